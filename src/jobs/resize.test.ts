import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DiskError } from "../core/errors.ts";
import { noise } from "../testing/disks.ts";
import { failure } from "../testing/failure.ts";
import { testCompute } from "../testing/image-harness.ts";
import { judge } from "../testing/judges.ts";
import {
  BACKUP,
  blank,
  bytesOf,
  diskOf,
  fileDisk,
  folder,
  gptDisk,
  MIB,
  made,
  mbrDisk,
  requireSound,
  resized,
  safe,
  save,
  sfdisk,
  sgdisk,
} from "../testing/resizing.ts";
import { createDisk, type Disk } from "./disk.ts";

const fdisk = judge("fdisk");
const qemu = judge("qemu-img");
const GIB = 1 << 30;

describe.skipIf(sgdisk === null || sfdisk === null)("GPT", () => {
  test.skipIf(qemu === null)(
    "a disk grown from 2 to 8 GiB: nothing is wrong with it, and its partition grows into the new space",
    async () => {
      const path = blank("two.raw", 2 * GIB);
      sgdisk!.must(["-n", "1:0:+64M", "-t", "1:ef00", "-n", "2:0:0", "-c", "2:root", path]);
      const image = join(folder, "two.qcow2");
      qemu!.must(["convert", "-O", "qcow2", path, image]);
      const disk = await fileDisk(image, "qcow2");
      const { disk: large, changes } = await resized(disk, 8 * GIB);
      expect(large.size).toBe(8 * GIB);
      expect(changes.map(({ what, severity }) => [what, severity])).toEqual([
        [`The disk grows from ${2 * GIB} to ${8 * GIB} bytes`, "note"],
      ]);
      const grown = await save(large, "eight.raw");
      requireSound(grown);
      const before = sgdisk!.must(["-i", "2", grown]);
      expect(before).toBe(sgdisk!.must(["-i", "2", path]));
      sfdisk!.must(["-N", "2", grown], { input: ", +\n" });
      requireSound(grown);
      const partitions = JSON.parse(sfdisk!.must(["-J", grown])).partitiontable.partitions as {
        start: number;
        size: number;
        name?: string;
      }[];
      expect((partitions[1]!.start + partitions[1]!.size) * 512).toBeGreaterThan(8 * GIB - 2 * MIB);
      expect(partitions[1]!.name).toBe("root");
    },
  );

  /** Tables of many kinds over noise, in 4 MiB disks. */
  const tables: readonly (() => Uint8Array)[] = [
    () => gptDisk(4 * MIB, "-n", "1:2048:4095", "-n", "2:4096:6000"),
    () => gptDisk(4 * MIB, "-a", "1", "-n", "1:34:40", "-n", "7:3000:3001", "-c", "7:ein Name — größer"),
    () => gptDisk(4 * MIB, "-S", "256", "-n", "1:2048:5000"),
    () => gptDisk(4 * MIB, "-n", "1:2048:4095", "-n", "2:4096:6000", "-h", "2"),
    () => gptDisk(4 * MIB, "-o"),
  ];
  const noisy = (disk: Uint8Array): Uint8Array => {
    const filler = noise(disk.length, 11);
    return disk.map((byte, at) => (byte === 0 && at >= 128 * 1024 && at < disk.length - 64 * 1024 ? (filler[at] as number) : byte));
  };

  test("whatever the new size, only the tables change", async () => {
    const disks = tables.map((make) => noisy(make()));
    const backup = disks.map((disk) => (disk[1024 - 512 + 80] as number) * 128 + (disk[512 + 81] as number) * 256 * 128 + 512);
    await fc.assert(
      fc.asyncProperty(fc.nat(disks.length - 1), fc.integer({ min: 1, max: 12 * 2048 }), async (which, sectors) => {
        const [old, tail] = [disks[which] as Uint8Array, backup[which] as number];
        const disk = await diskOf(old);
        const size = sectors * 512;
        const { smallest, because } = await safe(disk);
        if (size < smallest) {
          expect(await failure(resized(disk, size))).toMatchObject({
            code: "limit",
            message: expect.stringContaining(`${smallest} bytes. ${because}`),
          });
          return;
        }
        const now = await bytesOf((await resized(disk, size)).disk);
        expect(now.length).toBe(size);
        const expected = new Uint8Array(size);
        expected.set(old.subarray(0, size));
        // Where the backup was there are zeros now, and where it is to be there is a table that sgdisk has looked at below.
        if (size > old.length - tail) expected.fill(0, old.length - tail, Math.min(old.length, size));
        expected.set(now.subarray(size - tail), size - tail);
        for (const [at, length] of [
          [446, 64],
          [512, 512],
        ] as const)
          expected.set(now.subarray(at, at + length), at);
        expect(Buffer.compare(now, expected)).toBe(0);
        expect(Buffer.compare(now.subarray(size - tail, size - 512), old.subarray(1024, 1024 + tail - 512))).toBe(0);
      }),
      { numRuns: 30 },
    );
  });

  test.each(tables.map((make, i) => [i, make] as const))(
    "table %i: the smallest size, near sizes and large ones are right",
    async (which, make) => {
      const old = noisy(make());
      const disk = await diskOf(old);
      const { smallest } = await safe(disk);
      for (const size of [smallest, smallest + 512, old.length - 512, old.length + 512, old.length + 20 * 512, 9 * MIB]) {
        const path = await save((await resized(disk, size)).disk, "new.raw");
        expect(sgdisk!.must(["-v", path])).toContain("No problems found");
        if (which !== 3) requireSound(path);
        // A partition in the new space, and a sector less would not do.
        if (size > old.length + MIB) sgdisk!.must(["-n", "9:0:0", path]);
      }
      expect((await failure(resized(disk, smallest - 512))).code).toBe("limit");
    },
  );

  test("a size of its own changes nothing; there and back gives the same bytes up to what was cut", async () => {
    const old = tables[0]!();
    const disk = await diskOf(old);
    expect(await resized(disk, old.length)).toEqual({ disk, changes: [] });
    const back = await resized((await resized(disk, 10 * MIB)).disk, old.length);
    // The protective entry's address in cylinders, which a virtual disk has not, is the only thing that sgdisk writes otherwise.
    const expected = new Uint8Array(old).fill(0xff, 451, 454);
    expect(Buffer.compare(await bytesOf(back.disk), expected)).toBe(0);
    expect(back.disk.chain).toHaveLength(3);
  });

  test("a hybrid MBR keeps its entries; one that spans the disk follows it", async () => {
    const old = tables[3]!();
    const { disk } = await resized(await diskOf(old), 8 * MIB);
    const now = await bytesOf(disk, 0, 512);
    const entryOf = (mbr: Uint8Array, type: number) =>
      [0, 1, 2, 3].map((i) => mbr.subarray(446 + i * 16, 462 + i * 16)).find((entry) => entry[4] === type);
    expect(entryOf(now, 0x83)).toEqual(entryOf(old, 0x83));
    expect(now.subarray(0, 446)).toEqual(old.subarray(0, 446));
  });

  const damage = (disk: Uint8Array, ...places: number[]): Uint8Array => {
    const out = new Uint8Array(disk);
    for (const at of places) out[at] = (out[at] as number) ^ 0xff;
    return out;
  };
  const primaries: readonly [string, (disk: Uint8Array) => Uint8Array, string][] = [
    ["primary header damaged", (disk) => damage(disk, 512 + 40), "start of the disk was damaged"],
    ["primary entries damaged", (disk) => damage(disk, 1024 + 40), "start of the disk was damaged"],
    ["primary missing", (disk) => disk.map((byte, at) => (at >= 512 && at < 34 * 512 ? 0 : byte)), "start of the disk was missing"],
    ["first sectors wiped", (disk) => disk.map((byte, at) => (at < 34 * 512 ? 0 : byte)), "protective MBR was missing"],
    ["backup header damaged", (disk) => damage(disk, disk.length - 512 + 40), "backup GPT was missing or damaged"],
    ["backup entries damaged", (disk) => damage(disk, disk.length - BACKUP + 40), "entries of the backup GPT were damaged"],
    [
      "primary damaged, backup not at the end",
      (disk) => new Uint8Array([...damage(disk, 512 + 40), ...new Uint8Array(MIB)]),
      "start of the disk was damaged",
    ],
    ["backup not at the end", (disk) => new Uint8Array([...disk, ...new Uint8Array(MIB)]), "not at the end"],
  ];
  test.each(primaries)("%s: repaired from the other copy, and told", async (_, spoil, told) => {
    const sound = gptDisk(4 * MIB, "-n", "1:2048:4095", "-n", "2:4096:6000");
    const disk = await diskOf(spoil(sound));
    expect((await safe(disk)).warnings.join()).toContain(told);
    for (const size of [6 * MIB, 3.5 * MIB, disk.size]) {
      const result = await resized(disk, size);
      expect(result.changes).toContainEqual(expect.objectContaining({ what: expect.stringContaining(told), severity: "warning" }));
      const path = await save(result.disk, "repaired.raw");
      requireSound(path);
      expect(Buffer.compare(readFileSync(path).subarray(1024, 34 * 512), sound.subarray(1024, 34 * 512))).toBe(0);
    }
  });

  test("no whole copy: refused", async () => {
    const sound = tables[0]!();
    const end = sound.length;
    for (const broken of [
      damage(sound, 552, end - 512 + 40),
      damage(sound, 1064, end - BACKUP + 40),
      damage(sound, 552, end - BACKUP + 40),
    ]) {
      expect(await failure(resized(await diskOf(broken), 8 * MIB))).toMatchObject({
        code: "corrupt",
        message: expect.stringContaining("GPT is damaged"),
      });
      expect((await failure(safe(await diskOf(broken)))).code).toBe("corrupt");
    }
  });

  test("a disk that was cut off: told, and the smallest size is the one that has room for all partitions", async () => {
    const sound = gptDisk(4 * MIB, "-n", "1:2048:4095", "-n", "2:4096:0");
    const disk = await diskOf(sound.subarray(0, 3 * MIB));
    const { smallest, warnings } = await safe(disk);
    expect(smallest).toBe(4 * MIB);
    expect(warnings.join()).toContain("its end was cut off");
    expect((await failure(resized(disk, 3 * MIB))).code).toBe("limit");
    requireSound(await save((await resized(disk, 4 * MIB)).disk, "restored.raw"));
  });

  test("an entry that cannot be right: the disk can only grow", async () => {
    const disk = gptDisk(4 * MIB, "-n", "1:2048:4095");
    const view = new DataView(disk.buffer);
    view.setBigUint64(1024 + 40, 100n, true);
    // The backup has the right entries still; so that both agree, it is spoilt and the first copy's checksums are set right.
    const entries = disk.subarray(1024, 1024 + 16384);
    view.setUint32(512 + 88, testCompute().crc32(entries), true);
    view.setUint32(512 + 16, 0, true);
    view.setUint32(512 + 16, testCompute().crc32(disk.subarray(512, 512 + 92)), true);
    const { smallest, because } = await safe(await diskOf(disk));
    expect(smallest).toBe(4 * MIB);
    expect(because).toContain("which cannot be right");
    expect((await resized(await diskOf(disk), 5 * MIB)).disk.size).toBe(5 * MIB);
  });

  test("where the image is damaged the other copy will do, and what is cut need not be read", async () => {
    const old = gptDisk(4 * MIB, "-n", "1:2048:4095");
    const spoilt = async (from: number, to: number): Promise<Disk> => {
      const [volume] = (await diskOf(old)).chain;
      const broken = async (start: number, length: number) => {
        if (start < to && start + length > from) throw new DiskError("corrupt", "damaged", { guest: { start: from, length: to - from } });
        return (volume as Disk["chain"][number]).extents(start, length);
      };
      return createDisk([{ ...(volume as Disk["chain"][number]), extents: broken }], testCompute().mergeLayers);
    };
    const size = 3 * MIB;
    const first = await resized(await spoilt(512, 1024), size);
    expect(first.changes.map(({ what }) => what).join()).toContain("start of the disk was missing");
    expect(
      Buffer.compare(await bytesOf(first.disk, 0, 34 * 512), await bytesOf((await resized(await diskOf(old), size)).disk, 0, 34 * 512)),
    ).toBe(0);
    const last = await resized(await spoilt(3.5 * MIB, 4 * MIB), size);
    expect(last.changes.map(({ what }) => what).join()).toMatch(/backup GPT was missing.*was not looked at/);
    requireSound(await save(last.disk, "damaged.raw"));
  });

  test("data that no partition holds is not cut in silence", async () => {
    const disk = gptDisk(4 * MIB, "-n", "1:2048:4095");
    const whats = async () => (await resized(await diskOf(disk), 3 * MIB)).changes.map(({ what }) => what).join("\n");
    expect(await whats()).not.toContain("cut off");
    disk[3 * MIB + 4097] = 1;
    expect(await whats()).toContain(`Data from byte ${3 * MIB + 4097} on is cut off`);
  });

  test("to the largest sizes: 2 TiB and past, and 2^53", async () => {
    const disk = await diskOf(tables[0]!());
    for (const size of [2 ** 41 - 512, 2 ** 41, 2 ** 41 + 512, 2 ** 53 - 512]) {
      const large = (await resized(disk, size)).disk;
      const mbr = await bytesOf(large, 0, 1024);
      const view = new DataView(mbr.buffer, mbr.byteOffset);
      expect(view.getUint32(446 + 12, true)).toBe(Math.min(size / 512 - 1, 0xffffffff));
      expect(view.getBigUint64(512 + 32, true)).toBe(BigInt(size / 512 - 1));
      const back = await safe(large);
      expect(back).toMatchObject({ smallest: 6001 * 512 + BACKUP, warnings: [] });
    }
    requireSound(await save((await resized(disk, 2 ** 42)).disk, "large.raw"));
    for (const size of [2 ** 53, -512, 0, Number.NaN, 1000.5]) expect((await failure(resized(disk, size))).code).toBe("usage");
    expect(await failure(resized(disk, 5_000_000))).toMatchObject({
      code: "usage",
      message: expect.stringContaining("4999680 or 5000192 bytes"),
    });
  });

  test.skipIf(fdisk === null)("4096-byte sectors, as fdisk finds them", async () => {
    const old = made("fdisk", 8 * MIB, (path) => ["-b", "4096", path], "g\nn\n1\n256\n511\nn\n2\n512\n1000\nw\n");
    const disk = await diskOf(old);
    expect(await safe(disk)).toMatchObject({ sector: 4096, smallest: 1001 * 4096 + 5 * 4096 });
    expect(await failure(resized(disk, 9 * MIB + 512))).toMatchObject({ code: "usage", message: expect.stringContaining("4096") });
    for (const size of [1006 * 4096, 8 * MIB + 4096, 64 * MIB]) {
      const path = await save((await resized(disk, size)).disk, "large-sectors.raw");
      const words = fdisk!.run(["-b", "4096", path], { input: "v\nq\n" });
      expect(words.stdout).toContain("No errors detected");
      expect(words.stdout + words.stderr).not.toMatch(/mismatch|corrupt|not on the end/);
      if (size < 9 * MIB) continue;
      fdisk!.must(["-b", "4096", path], { input: "d\n2\nn\n2\n512\n\nw\n" });
      expect(fdisk!.must(["-b", "4096", "-l", "-o", "Start,End", path])).toMatch(/\n +512 +16(1|3)\d\d\n/);
    }
    expect((await failure(resized(disk, 1005 * 4096))).code).toBe("limit");
  });
});

describe.skipIf(sfdisk === null)("MBR", () => {
  test("nothing on the disk changes; the last partition is the limit, logical ones included", async () => {
    const old = mbrDisk(8 * MIB, "start=2048,size=2048,type=83\nstart=4096,size=8000,type=5\nstart=6144,size=2048,type=83\n");
    const disk = await diskOf(old);
    const { smallest, because } = await safe(disk);
    expect([smallest, because]).toEqual([12_096 * 512, expect.stringContaining("Partition 2 (Extended) ends at byte")]);
    for (const size of [smallest, 20 * MIB]) {
      const now = await bytesOf((await resized(disk, size)).disk);
      const expected = new Uint8Array(size);
      expected.set(old.subarray(0, size));
      expect(Buffer.compare(now, expected)).toBe(0);
    }
    expect(await failure(resized(disk, smallest - 512))).toMatchObject({ code: "limit", message: expect.stringContaining("Partition 2") });
    sfdisk!.must(["--verify", await save((await resized(disk, 20 * MIB)).disk, "mbr.raw")]);
  });

  test("past 2 TiB the table cannot follow, and says so", async () => {
    const disk = await diskOf(mbrDisk(4 * MIB, "start=2048,size=2048,type=83\n"));
    expect((await resized(disk, 2 ** 41)).changes).toHaveLength(1);
    expect((await resized(disk, 2 ** 41 + 512)).changes).toContainEqual(
      expect.objectContaining({ what: expect.stringContaining(`${2 ** 41}`), severity: "warning" }),
    );
  });

  test("a dynamic disk, a table without partitions and a protective entry without a GPT only grow", async () => {
    for (const script of ["start=2048,size=2048,type=42\n", "", "start=1,size=4000,type=ee\n"]) {
      const disk = await diskOf(mbrDisk(4 * MIB, script));
      expect((await safe(disk)).smallest).toBe(4 * MIB);
      expect((await failure(resized(disk, 4 * MIB - 512))).code).toBe("limit");
      expect((await resized(disk, 5 * MIB)).disk.size).toBe(5 * MIB);
    }
  });

  test.skipIf(judge("mkfs.fat") === null)(
    "a table that counts in sectors of 4096 bytes is known by where its file system lies",
    async () => {
      const table = mbrDisk(16 * MIB, "start=256,size=2048,type=c\n");
      const fat = made("mkfs.fat", 8 * MIB, (path) => ["-S", "4096", "-F", "12", path]);
      table.set(fat, 256 * 4096);
      expect(await safe(await diskOf(table))).toMatchObject({ sector: 4096, smallest: (256 + 2048) * 4096 });
    },
  );
});
