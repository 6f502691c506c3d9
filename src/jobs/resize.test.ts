import {
  closeSync,
  copyFileSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../core/bytes.ts";
import { DiskError } from "../core/errors.ts";
import { createOverlay } from "../core/overlay.ts";
import { noise } from "../testing/disks.ts";
import { openFileSource } from "../testing/file-source.ts";
import { contextOf, testCompute } from "../testing/image-harness.ts";
import { type JudgeName, judge } from "../testing/judges.ts";
import { localPool } from "../testing/local-pool.ts";
import { openDisk } from "./chain.ts";
import { attachDisk, createDisk, type Disk } from "./disk.ts";
import { readDisk } from "./read.ts";
import { resizeDisk, safeSize } from "./resize.ts";
import { mapRuns } from "./walk.ts";

const folder = mkdtempSync(join(tmpdir(), "resize-"));
afterAll(() => rmSync(folder, { recursive: true }));
const pool = localPool(1);
const { signal } = new AbortController();
const program = judge;
const sgdisk = judge("sgdisk");
const sfdisk = judge("sfdisk");
const fdisk = program("fdisk");
const qemu = judge("qemu-img");
const MIB = 1 << 20;
const GIB = 1 << 30;
const BACKUP = 33 * 512;

const diskOf = (bytes: Uint8Array): Promise<Disk> => openDisk(memorySource("disk.raw", bytes), contextOf(), "raw");
const fileDisk = (path: string, format = "raw"): Promise<Disk> => openDisk(openFileSource(path), contextOf(), format);
const resized = (disk: Disk, size: number) => resizeDisk(disk, size, pool, testCompute(), signal);
const safe = (disk: Disk) => safeSize(disk, pool, signal);

async function bytesOf(disk: Disk, start = 0, length = disk.size): Promise<Uint8Array> {
  const attached = attachDisk(disk, pool);
  try {
    return await readDisk(attached, pool, start, length, signal);
  } finally {
    attached.detach();
  }
}
/** Writes what the disk shows to a sparse file. */
async function save(disk: Disk, name: string): Promise<string> {
  const path = join(folder, name);
  const file = openSync(path, "w");
  ftruncateSync(file, disk.size);
  for await (const runs of mapRuns(disk, 0, disk.size, signal))
    for (const { extent } of runs) {
      if (extent.kind === "zero") continue;
      for (let at = extent.start; at < extent.start + extent.length; at += 4 * MIB) {
        const bytes = await bytesOf(disk, at, Math.min(4 * MIB, extent.start + extent.length - at));
        if (bytes.some((byte) => byte !== 0)) writeSync(file, bytes, 0, bytes.length, at);
      }
    }
  closeSync(file);
  return path;
}
function blank(name: string, size: number): string {
  const path = join(folder, name);
  writeFileSync(path, "");
  truncateSync(path, size);
  return path;
}
function made(maker: JudgeName, size: number, args: (path: string) => readonly string[], input?: string): Uint8Array {
  const path = blank("made.raw", size);
  program(maker)!.must(args(path), input === undefined ? {} : { input });
  return new Uint8Array(readFileSync(path));
}
/** sgdisk takes a second each time: every table is made once. */
const kept = new Map<string, Uint8Array>();
function gptDisk(size: number, ...args: string[]): Uint8Array {
  const key = [size, ...args].join(" ");
  const disk = kept.get(key) ?? made("sgdisk", size, (path) => [...args, path]);
  kept.set(key, disk);
  return new Uint8Array(disk);
}
const mbrDisk = (size: number, script: string): Uint8Array => made("sfdisk", size, (path) => ["-q", path], `label: dos\n${script}`);
const refusal = async (promise: Promise<unknown>): Promise<DiskError> => {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DiskError);
  return error as DiskError;
};
const requireSound = (path: string): void => {
  expect(sgdisk!.must(["-v", path])).toContain("No problems found");
  const { status, stdout, stderr } = sfdisk!.run(["--verify", path]);
  expect([status, stdout + stderr]).toEqual([0, expect.stringContaining("No errors detected")]);
  expect(stdout + stderr).not.toMatch(/mismatch|corrupt|not on the end/);
};

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
          expect(await refusal(resized(disk, size))).toMatchObject({
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
      expect((await refusal(resized(disk, smallest - 512))).code).toBe("limit");
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
      expect(await refusal(resized(await diskOf(broken), 8 * MIB))).toMatchObject({
        code: "corrupt",
        message: expect.stringContaining("GPT is damaged"),
      });
      expect((await refusal(safe(await diskOf(broken)))).code).toBe("corrupt");
    }
  });

  test("a disk that was cut off: told, and the smallest size is the one that has room for all partitions", async () => {
    const sound = gptDisk(4 * MIB, "-n", "1:2048:4095", "-n", "2:4096:0");
    const disk = await diskOf(sound.subarray(0, 3 * MIB));
    const { smallest, warnings } = await safe(disk);
    expect(smallest).toBe(4 * MIB);
    expect(warnings.join()).toContain("its end was cut off");
    expect((await refusal(resized(disk, 3 * MIB))).code).toBe("limit");
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
    for (const size of [2 ** 53, -512, 0, Number.NaN, 1000.5]) expect((await refusal(resized(disk, size))).code).toBe("usage");
    expect(await refusal(resized(disk, 5_000_000))).toMatchObject({
      code: "usage",
      message: expect.stringContaining("4999680 or 5000192 bytes"),
    });
  });

  test.skipIf(fdisk === null)("4096-byte sectors, as fdisk finds them", async () => {
    const old = made("fdisk", 8 * MIB, (path) => ["-b", "4096", path], "g\nn\n1\n256\n511\nn\n2\n512\n1000\nw\n");
    const disk = await diskOf(old);
    expect(await safe(disk)).toMatchObject({ sector: 4096, smallest: 1001 * 4096 + 5 * 4096 });
    expect(await refusal(resized(disk, 9 * MIB + 512))).toMatchObject({ code: "usage", message: expect.stringContaining("4096") });
    for (const size of [1006 * 4096, 8 * MIB + 4096, 64 * MIB]) {
      const path = await save((await resized(disk, size)).disk, "large-sectors.raw");
      const words = fdisk!.run(["-b", "4096", path], { input: "v\nq\n" });
      expect(words.stdout).toContain("No errors detected");
      expect(words.stdout + words.stderr).not.toMatch(/mismatch|corrupt|not on the end/);
      if (size < 9 * MIB) continue;
      fdisk!.must(["-b", "4096", path], { input: "d\n2\nn\n2\n512\n\nw\n" });
      expect(fdisk!.must(["-b", "4096", "-l", "-o", "Start,End", path])).toMatch(/\n +512 +16(1|3)\d\d\n/);
    }
    expect((await refusal(resized(disk, 1005 * 4096))).code).toBe("limit");
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
    expect(await refusal(resized(disk, smallest - 512))).toMatchObject({ code: "limit", message: expect.stringContaining("Partition 2") });
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
      expect((await refusal(resized(disk, 4 * MIB - 512))).code).toBe("limit");
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

describe("what shrinking would cut", () => {
  interface System {
    readonly name: string;
    readonly maker: JudgeName;
    readonly args: (path: string) => readonly string[];
    readonly size: number;
    readonly disk: number;
    readonly check: readonly [JudgeName, ...string[]];
  }
  const systems: readonly System[] = [
    {
      name: "ext4",
      maker: "mkfs.ext4",
      args: (path) => ["-q", "-F", "-b", "1024", path, "30000"],
      size: 30_000 * 1024,
      disk: 40 * MIB,
      check: ["e2fsck", "-fn"],
    },
    {
      name: "NTFS",
      maker: "mkntfs",
      args: (path) => ["-qFQ", "-s", "512", path, "40000"],
      size: 40_000 * 512,
      disk: 40 * MIB,
      check: ["ntfsfix", "-n"],
    },
    {
      name: "FAT32",
      maker: "mkfs.fat",
      args: (path) => ["-F", "32", path, "36000"],
      size: 36_000 * 1024,
      disk: 40 * MIB,
      check: ["fsck.fat", "-n"],
    },
    {
      name: "XFS",
      maker: "mkfs.xfs",
      args: (path) => ["-q", "-d", "size=300m", path],
      size: 300 * MIB,
      disk: 320 * MIB,
      check: ["xfs_repair", "-n"],
    },
    {
      name: "Btrfs",
      maker: "mkfs.btrfs",
      args: (path) => ["-q", "-b", "128m", path],
      size: 128 * MIB,
      disk: 160 * MIB,
      check: ["btrfs", "check"],
    },
  ];
  describe.each(systems)("$name", ({ name, maker, args, size, disk: diskSize, check: [checker, ...checks] }) => {
    test.skipIf(program(maker) === null || program(checker) === null)(
      "alone on the disk: its own size is the limit",
      { timeout: 60_000 },
      async () => {
        const path = blank("alone.raw", diskSize);
        program(maker)!.must(args(path));
        const disk = await fileDisk(path);
        const { smallest, because } = await safe(disk);
        expect([smallest, because]).toEqual([size, expect.stringContaining(`one file system, ${name}, of ${size} bytes`)]);
        expect(await refusal(resized(disk, size - 512))).toMatchObject({
          code: "limit",
          message: expect.stringContaining(`smallest safe size is ${size} bytes`),
        });
        program(checker)!.must([...checks, await save((await resized(disk, size)).disk, "cut.raw")], { seconds: 60 });
      },
    );

    test.skipIf(program(maker) === null || sgdisk === null)(
      "in a partition: the partition's end is the limit",
      { timeout: 60_000 },
      async () => {
        const inner = blank("inner.raw", diskSize);
        program(maker)!.must(args(inner));
        const disk = await behindTable(inner, diskSize, diskSize);
        const { smallest, because } = await safe(disk);
        expect(smallest).toBe(diskSize + MIB + BACKUP);
        expect(because).toContain(`Partition 1 (${name}) ends at byte ${diskSize + MIB}.`);
        expect(because).toContain(`needs only ${size} of its ${diskSize} bytes`);
        expect((await refusal(resized(disk, smallest - 512))).code).toBe("limit");
        expect((await resized(disk, smallest)).disk.size).toBe(smallest);
        // A partition that was made smaller than its file system.
        const outgrown = await behindTable(inner, diskSize, Math.floor(size / 2 / MIB) * MIB);
        const limit = await safe(outgrown);
        expect(limit.smallest).toBe(MIB + size + BACKUP);
        expect(limit.because).toContain(`The file system in partition 1 (${name}) ends at byte ${MIB + size}`);
        expect((await refusal(resized(outgrown, limit.smallest - 512))).message).toContain(limit.because);
      },
    );
  });

  /** A disk 8 MiB larger than what is in the file, with a GPT and, from 1 MiB on, a partition of so many bytes where that begins. */
  async function behindTable(inner: string, innerSize: number, partition: number): Promise<Disk> {
    const path = blank("outer.raw", innerSize + 8 * MIB);
    sgdisk!.must(["-n", `1:2048:${2048 + partition / 512 - 1}`, path]);
    using outer = openFileSource(path);
    const [head, tail] = [await outer.read(0, MIB), await outer.read(innerSize + MIB, 7 * MIB)];
    const layer = (await fileDisk(inner)).chain[0]!;
    const table = createOverlay(innerSize + 8 * MIB, [
      { start: 0, length: MIB, bytes: head },
      { start: innerSize + MIB, length: 7 * MIB, bytes: tail },
    ]);
    const moved = { ...layer, size: innerSize + MIB, extents: (start: number, length: number) => shifted(layer, start, length) };
    return createDisk([table, moved], testCompute().mergeLayers);
  }

  /** The volume's bytes 1 MiB further back. */
  async function shifted(volume: Disk["chain"][number], start: number, length: number) {
    if (start < MIB) return [{ kind: "hole" as const, start, length: Math.min(length, MIB - start) }];
    return (await volume.extents(start - MIB, length)).map((extent) => ({ ...extent, start: extent.start + MIB }));
  }

  test.skipIf(judge("mkfs.ext4") === null || sgdisk === null)("a backup GPT that an earlier table left behind does not count", async () => {
    const path = join(folder, "left.raw");
    writeFileSync(path, gptDisk(40 * MIB, "-n", "1:2048:40000"));
    judge("mkfs.ext4")!.must(["-q", "-F", "-b", "1024", path, "30000"]);
    expect(await safe(await fileDisk(path))).toMatchObject({ smallest: 30_000 * 1024, because: expect.stringContaining("ext4") });
    // Nor does a boot sector that lists no partition.
    const bootable = new Uint8Array(readFileSync(path));
    bootable.set([0x55, 0xaa], 510);
    expect((await safe(await diskOf(bootable))).smallest).toBe(30_000 * 1024);
  });

  test.skipIf(judge("mkfs.ext4") === null)("a file system that is larger than its disk is told", async () => {
    const path = blank("short.raw", 40 * MIB);
    judge("mkfs.ext4")!.must(["-q", "-F", "-b", "1024", path]);
    copyFileSync(path, join(folder, "cut.raw"));
    truncateSync(join(folder, "cut.raw"), 39 * MIB);
    const disk = await fileDisk(join(folder, "cut.raw"));
    expect(await safe(disk)).toMatchObject({ smallest: 40 * MIB, warnings: [expect.stringContaining("its end was cut off")] });
    expect((await refusal(resized(disk, 38 * MIB))).code).toBe("limit");
    expect((await resized(disk, 39.5 * MIB)).disk.size).toBe(39.5 * MIB);
  });

  test.skipIf(judge("cryptsetup") === null)("a container may use the disk to its end", async () => {
    const path = blank("luks.raw", 20 * MIB);
    judge("cryptsetup")!.must(["luksFormat", "--type", "luks1", "--pbkdf-force-iterations", "1000", "-q", path, "-"], { input: "secret" });
    expect(await safe(await fileDisk(path))).toMatchObject({ smallest: 20 * MIB, because: expect.stringContaining("LUKS") });
  });

  test.skipIf(program("parted") === null)("partition tables that are not read here: the disk can only grow", async () => {
    for (const [label, name] of [
      ["mac", "Apple"],
      ["sun", "Sun"],
      ["bsd", "BSD"],
      ["dvh", "SGI"],
    ] as const) {
      const path = blank("foreign.raw", 8 * MIB);
      program("parted")!.must(["-s", path, "mklabel", label]);
      expect(await safe(await fileDisk(path))).toMatchObject({ smallest: 8 * MIB, because: expect.stringContaining(name) });
    }
  });

  test("nothing recognised: what the image holds as zeros or not at all may be cut", async () => {
    const layer = createOverlay(8 * MIB, [
      { start: 0, length: 5000, bytes: noise(5000, 1) },
      { start: MIB, length: 1001, bytes: noise(1001, 2) },
      { start: 2 * MIB, length: MIB, bytes: null },
    ]);
    const disk = createDisk([layer], testCompute().mergeLayers);
    expect(await safe(disk)).toMatchObject({
      smallest: MIB + 1024,
      because: expect.stringContaining(`last data ends at byte ${MIB + 1001}`),
    });
    expect((await refusal(resized(disk, MIB + 512))).code).toBe("limit");
    expect((await safe(createDisk([createOverlay(MIB, [])], testCompute().mergeLayers))).smallest).toBe(512);
  });
});
