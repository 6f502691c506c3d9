import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { emptyFile, extSample, fatSample, ntfsSample } from "../testing/file-systems.ts";
import { testCompute } from "../testing/image-harness.ts";
import { type JudgeName, judge } from "../testing/judges.ts";
import { FREE_MAPS, type FreeMap } from "./free-space.ts";

const folder = mkdtempSync(join(tmpdir(), "free-refusals-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, "fs.img");
const tool = (name: JudgeName) => judge(name);

function open(kind: string, image: Uint8Array = new Uint8Array(readFileSync(path))): Promise<FreeMap> {
  const read = async (at: number, length: number) => image.slice(at, at + length);
  return FREE_MAPS[kind]!({ name: "Partition 3", length: image.length, read }, testCompute());
}
const freeOf = async (map: FreeMap) => (await map.free(0, 1 << 26)).ranges;

const ext = extSample("ext", 16, ["-b", "1024", "-g", "4096"]);
describe.skipIf(ext.tools === null)("ext", () => {
  const debugfs = tool("debugfs");
  test.each([
    ["feature needs_recovery", "was not unmounted"],
    ["ssv state 0", "was not unmounted cleanly"],
    ["ssv state 3", "errors were found"],
    ["ssv state 5", "errors were found"],
    ["ssv feature_incompat 0x100002c2", "not known here (s_feature_incompat 0x10000000)"],
    ["ssv feature_ro_compat 0x446b", "not known here (s_feature_ro_compat 0x4000)"],
    ["ssv blocks_per_group 4088", "s_blocks_per_group at byte 1056 is 4088, expected 4096"],
    ["ssv inode_size 384", "s_inode_size at byte 1112 is 384"],
    ["ssv log_block_size 9", "s_log_block_size at byte 1048 is 9, expected at most 6"],
  ])("%s: refused", async (command, reason) => {
    ext.tools!.make(path, join(folder, "files"));
    await expect(open("ext4")).resolves.toMatchObject({ kind: "ext4", unit: 1024 });
    debugfs!.run(["-w", "-R", command, path]);
    await expect(open("ext4")).rejects.toThrow("Partition 3: ext4: ");
    await expect(open("ext4")).rejects.toThrow(reason);
  });

  test("a checksum that is wrong, and a file system that its partition cuts", async () => {
    ext.tools!.make(path, join(folder, "files"));
    const image = new Uint8Array(readFileSync(path));
    await expect(open("ext4", image.subarray(0, image.length - 1024))).rejects.toThrow("s_blocks_count_lo at byte 1028 is 16384");
    image[1024 + 120] = 65;
    await expect(open("ext4", image)).rejects.toThrow("s_checksum at byte 2044");
  });

  test("without checksums the superblock's copy has to agree", async () => {
    emptyFile(path, 16 << 20);
    tool("mkfs.ext4")!.must(["-q", "-F", "-t", "ext2", "-b", "1024", path]);
    const image = new Uint8Array(readFileSync(path));
    expect(await freeOf(await open("ext2", image))).not.toEqual([]);
    image[8193 * 1024 + 56] = 0;
    await expect(open("ext2", image)).rejects.toThrow("s_magic at byte 1080 is 61267, but 61184 in the superblock's copy at byte 8389632");
  });

  test("a group whose count contradicts its bitmap stays whole", async () => {
    emptyFile(path, 16 << 20);
    tool("mkfs.ext4")!.must(["-q", "-F", "-t", "ext2", "-b", "1024", path]);
    const image = new Uint8Array(readFileSync(path));
    const sound = await freeOf(await open("ext2", image));
    // A block of group 1 that is free becomes used: bg_block_bitmap, and the last byte before the bits past the end.
    const bitmap = new DataView(image.buffer).getUint32(2048 + 32, true) * 1024;
    const free = image.subarray(bitmap, bitmap + 1000).lastIndexOf(0);
    expect(free).toBeGreaterThan(0);
    image[bitmap + free] = 1;
    const map = await open("ext2", image);
    const group = 8193 * 1024;
    expect(await freeOf(map)).toEqual(sound.filter(({ start }) => start < group));
    expect((await map.free(0, 16 << 20)).doubtful).toBe((16 << 20) - group);
  });

  test("descriptors that do not add up to the superblock's count are of another day", async () => {
    emptyFile(path, 16 << 20);
    tool("mkfs.ext4")!.must(["-q", "-F", "-t", "ext2", "-b", "1024", path]);
    const image = new Uint8Array(readFileSync(path));
    // bg_free_blocks_count of group 1.
    image[2048 + 32 + 12] = (image[2048 + 32 + 12] as number) ^ 1;
    await expect(open("ext2", image)).rejects.toThrow(/superblock counts \d+ free blocks, its block groups \d+/);
  });
});

describe.each([
  ["fat16", fatSample("fat16", 16, ["-F", "16"]), 37, 2, 0xc0],
  ["fat32", fatSample("fat32", 40, ["-F", "32"]), 65, 4, 0x0c],
] as const)("%s", (kind, { tools }, dirtyAt, entryBytes, cleanBits) => {
  test.skipIf(tools === null)("in use, in disagreement or of one table only", async () => {
    tools!.make(path, join(folder, "files"));
    const sound = new Uint8Array(readFileSync(path));
    const free = await freeOf(await open(kind, sound));
    const { start: first, end } = tools!.marks(path)[1]!;
    const second = tools!.marks(path)[2]!.start;
    expect(end).toBeGreaterThan(first);
    const changed = (change: (image: Uint8Array) => void): Uint8Array => {
      const image = sound.slice();
      change(image);
      return image;
    };
    const reject = (image: Uint8Array, reason: string) => expect(open(kind, image)).rejects.toThrow(reason);
    await reject(
      changed((image) => image.fill(1, dirtyAt, dirtyAt + 1)),
      "was not unmounted cleanly",
    );
    const unclean = (image: Uint8Array, table: number) => {
      const at = table + 2 * entryBytes - 1;
      image[at] = (image[at] as number) & ~cleanBits;
    };
    await reject(
      changed((image) => unclean(image, first)),
      "was not unmounted cleanly",
    );
    await reject(
      changed((image) => unclean(image, second)),
      "was not unmounted cleanly",
    );
    await reject(
      changed((image) => image.fill(0, second, second + 512)),
      `entry 0 of the FAT at byte ${second} is 0`,
    );
    await reject(
      changed((image) => image.fill(200, 11, 12)),
      "BPB_BytsPerSec at byte 11",
    );
    // A free cluster that the second table says is taken.
    const last = free[free.length - 1]!;
    const unit = (await open(kind, sound)).unit;
    const cluster = changed((image) => image.fill(1, second + 8 * entryBytes * 1000, second + 8 * entryBytes * 1000 + 1));
    const fewer = await freeOf(await open(kind, cluster));
    expect(fewer.length).toBe(free.length + 1);
    expect((await (await open(kind, cluster)).free(0, sound.length)).doubtful).toBe(unit);
    expect(fewer[fewer.length - 1]!.start + fewer[fewer.length - 1]!.length).toBe(last.start + last.length);
    // FSInfo is not asked.
    if (kind === "fat32")
      expect(
        await freeOf(
          await open(
            kind,
            changed((image) => image.fill(0xff, 512 + 484, 512 + 496)),
          ),
        ),
      ).toEqual(free);
  });
});

describe.each([
  ["fat12", fatSample("fat12", 8, ["-F", "12"])],
  ["fat16", fatSample("fat16", 24, ["-F", "16"])],
  ["fat32", fatSample("fat32", 80, ["-F", "32", "-s", "2"])],
] as const)("%s with directories", (kind, { tools }) => {
  const made = (): Uint8Array => {
    tools!.make(path, join(folder, "files"));
    tool("mmd")!.must(["-i", path, "::/later"]);
    return new Uint8Array(readFileSync(path));
  };
  const [clusterField, rootField] = [13, 17];
  test.skipIf(tools === null)("clusters that do not lie where the boot sector says are found out", async () => {
    const sound = made();
    await expect(open(kind, sound)).resolves.toMatchObject({ kind });
    const view = new DataView(sound.buffer);
    const count = view.getUint16(rootField, true);
    for (const change of kind === "fat32" ? [] : [16, -16, 256]) {
      view.setUint16(rootField, count + change, true);
      await expect(open(kind, sound)).rejects.toThrow("does not begin at its cluster");
    }
    view.setUint16(rootField, count, true);
    // Larger clusters: fewer of them, for which the tables have more than enough room.
    view.setUint8(clusterField, view.getUint8(clusterField) * 2);
    await expect(open(kind, sound)).rejects.toThrow("does not begin at its cluster");
  });
  test.skipIf(tools === null)("a directory that points past the end, and what only looks like one", async () => {
    const sound = made();
    const name = Buffer.from("LATER      ");
    const at = Buffer.from(sound.buffer).indexOf(name);
    sound.fill(0xff, at + 26, at + 28);
    await expect(open(kind, sound)).rejects.toThrow(`the directory named at byte ${at} `);
    for (const attributes of [0x08, 0x0f, 0x18, 0x20]) {
      sound[at + 11] = attributes;
      await expect(open(kind, sound)).resolves.toMatchObject({ kind });
    }
    sound[at + 11] = 0x10;
    sound[at] = 0xe5;
    await expect(open(kind, sound)).resolves.toMatchObject({ kind });
  });
});

test.skipIf(tool("mkfs.fat") === null)("one FAT is too few", async () => {
  emptyFile(path, 4 << 20);
  tool("mkfs.fat")!.must(["-F", "12", "-f", "1", path]);
  await expect(open("fat12")).rejects.toThrow("it has one FAT only");
});

const ntfs = ntfsSample("ntfs", 16, []);
const ntfsfix = tool("ntfsfix");
const ntfscp = tool("ntfscp");
describe.skipIf(ntfs.tools === null || ntfsfix === null || ntfscp === null)("ntfs", () => {
  test("in need of a check", async () => {
    ntfs.tools!.make(path, join(folder, "files"));
    const free = await freeOf(await open("ntfs"));
    expect(free.length).toBeGreaterThan(0);
    ntfsfix!.must([path]);
    await expect(open("ntfs")).rejects.toThrow("Partition 3: ntfs: it is marked as in need of a check (chkdsk; flags 0x1)");
    ntfsfix!.must(["-d", path]);
    expect(await freeOf(await open("ntfs"))).toEqual(free);
  });

  test("with shadow copies", async () => {
    ntfs.tools!.make(path, join(folder, "files"));
    const image = new Uint8Array(readFileSync(path));
    image.set([0x6b, 0x87, 0x08, 0x38, 0x76, 0xc1, 0x48, 0x4e, 0xb7, 0xae, 0x04, 0x04, 0x6e, 0x6c, 0xc7, 0x52], 0x1e00);
    await expect(open("ntfs", image)).resolves.toMatchObject({ kind: "ntfs" });
    image[0x1e00 + 50] = 1;
    await expect(open("ntfs", image)).rejects.toThrow("it holds shadow copies (restore points)");
  });

  /** Both restart pages as Windows leaves them: [MS-NTFS] has none, fields as in ntfs-3g's logfile.h. */
  function withJournal(image: Uint8Array, log: number, client: number, flags: number, lsns: readonly [number, number]): Uint8Array {
    const out = image.slice();
    lsns.forEach((lsn, i) => {
      const view = new DataView(out.buffer, log + i * 4096, 4096);
      new Uint8Array(out.buffer, log + i * 4096, 4096).fill(0);
      view.setUint32(0, 0x52545352, true);
      view.setUint16(4, 30, true);
      view.setUint16(6, 9, true);
      view.setUint32(16, 4096, true);
      view.setUint32(20, 4096, true);
      view.setUint16(24, 48, true);
      view.setUint16(26, 1, true);
      view.setUint16(28, 1, true);
      view.setBigUint64(48, BigInt(lsn), true);
      view.setUint16(56, 1, true);
      view.setUint16(58, client === 0xffff ? 0 : 0xffff, true);
      view.setUint16(60, i === (lsns[0] > lsns[1] ? 0 : 1) ? client : 0xffff, true);
      view.setUint16(62, flags, true);
      view.setUint32(64, 46, true);
      view.setUint16(68, 224, true);
      view.setUint16(70, 64, true);
      view.setBigUint64(72, 1n << 20n, true);
      view.setUint16(84, 48, true);
      view.setUint16(86, 64, true);
      view.setUint16(48 + 64 + 16, 0xffff, true);
      view.setUint16(48 + 64 + 18, 0xffff, true);
      // The update sequence: number 1, and the zeros that it stands for.
      view.setUint16(30, 1, true);
      for (let at = 510; at < 4096; at += 512) view.setUint16(at, 1, true);
    });
    return out;
  }

  test.each([
    [0, 0, [5, 9], true],
    [0, 0, [9, 5], true],
    [0, 2, [5, 9], false],
    [0xffff, 0, [5, 9], false],
  ] as const)("with a journal of client %i, flags %i, sequence numbers %j", async (client, flags, lsns, isDirty) => {
    ntfs.tools!.make(path, join(folder, "files"));
    const sound = new Uint8Array(readFileSync(path));
    const log = ntfs.tools!.marks(path)[3]!.start;
    const image = withJournal(sound, log, client, flags, lsns);
    writeFileSync(path, image);
    // Without --force it writes to no volume whose journal is not clean.
    expect(ntfscp!.run([path, join(folder, "files/file1"), "new"]).status !== 0).toBe(isDirty);
    if (isDirty) await expect(open("ntfs", image)).rejects.toThrow("it was not shut down cleanly");
    else expect(await freeOf(await open("ntfs", image))).toEqual(await freeOf(await open("ntfs", sound)));
    image[log + 510] = 7;
    await expect(open("ntfs", image)).rejects.toThrow("not written whole");
  });

  test("a cluster of a file that the bitmap says is free, and a record that differs from its copy", async () => {
    ntfs.tools!.make(path, join(folder, "files"));
    const image = new Uint8Array(readFileSync(path));
    const [, mft, , , bitmap] = ntfs.tools!.marks(path);
    const free = await freeOf(await open("ntfs", image));
    // The last cluster before the last free range belongs to something.
    const cluster = free[free.length - 1]!.start / 4096 - 1;
    const at = bitmap!.start + (cluster >> 3);
    image[at] = (image[at] as number) & ~(1 << (cluster & 7));
    await expect(open("ntfs", image)).rejects.toThrow(`holds cluster ${cluster}, which $Bitmap says is free`);
    image[at] = (image[at] as number) | (1 << (cluster & 7));
    await expect(open("ntfs", image)).resolves.toMatchObject({ kind: "ntfs", unit: 4096 });
    image[mft!.start + 3 * 1024 + 60] = 0x77;
    await expect(open("ntfs", image)).rejects.toThrow(`$Volume at byte ${mft!.start + 3072}`);
  });
});
