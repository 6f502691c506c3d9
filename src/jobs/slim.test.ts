import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../core/bytes.ts";
import type { ByteSource } from "../core/model.ts";
import { same } from "../testing/disks.ts";
import { openFileSource } from "../testing/file-source.ts";
import { emptyFile, extSample, fatSample, ntfsSample, SAMPLES } from "../testing/file-systems.ts";
import { contextOf, readVolume, testCompute } from "../testing/image-harness.ts";
import { judge } from "../testing/judges.ts";
import { localPool } from "../testing/local-pool.ts";
import { memorySink } from "../testing/memory-sink.ts";
import { openDisk } from "./chain.ts";
import { planConvert, runConvert } from "./convert.ts";
import type { Disk } from "./disk.ts";
import { slimDisk } from "./slim.ts";
import { mapRuns } from "./walk.ts";

const folder = mkdtempSync(join(tmpdir(), "slim-"));
afterAll(() => rmSync(folder, { recursive: true }));
const { signal } = new AbortController();
const MIB = 1 << 20;
const qemu = judge("qemu-img");
const sgdisk = judge("sgdisk");

const open = (source: ByteSource, format = "raw"): Promise<Disk> => openDisk(source, contextOf(), format);
const slim = (disk: Disk) => slimDisk(disk, testCompute(), signal);

async function dataBytes(disk: Disk): Promise<number> {
  let sum = 0;
  for await (const runs of mapRuns(disk, 0, disk.size, signal))
    for (const { extent } of runs) if (extent.kind !== "zero") sum += extent.length;
  return sum;
}

/** Sectors of `out` that are neither those of `source` nor zero, and whether any was dropped. */
function changes(source: Uint8Array, out: Uint8Array): { readonly wrong: number; readonly dropped: number } {
  const zeros = new Uint8Array(512);
  let wrong = 0;
  let dropped = 0;
  for (let at = 0; at < source.length; at += 512) {
    const sector = out.subarray(at, at + 512);
    if (same(sector, source.subarray(at, at + 512))) continue;
    if (same(sector, zeros)) dropped++;
    else wrong++;
  }
  return { wrong, dropped };
}

describe.each(SAMPLES)("$name", ({ tools }) => {
  test.skipIf(tools === null)("is sound after slimming, and holds the same files", async () => {
    const path = join(folder, "fs.img");
    tools!.make(path, join(folder, "files"));
    const files = tools!.hashes(path, join(folder, "out"));
    expect(Object.keys(files).length).toBeGreaterThan(10);
    const source = new Uint8Array(readFileSync(path));
    const disk = await open(memorySource("disk.img", source));
    const result = await slim(disk);
    expect(result.refused).toEqual([]);
    const freeBytes = tools!.freeBytes(path);
    expect(result.fileSystems).toMatchObject([{ partition: null, freeBytes, savedBytes: freeBytes, doubtfulBytes: 0 }]);
    expect(result.savedBytes).toBe((await dataBytes(disk)) - (await dataBytes(result.disk)));
    const out = await readVolume(result.disk.chain);
    writeFileSync(path, out);
    tools!.requireSound(path);
    expect(tools!.hashes(path, join(folder, "out"))).toEqual(files);
    const { wrong, dropped } = changes(source, out);
    expect(wrong).toBe(0);
    expect(dropped).toBeGreaterThan(10);
  });
});

const inside = { ext4: extSample("ext4", 16, []), fat16: fatSample("fat16", 16, ["-F", "16"]), ntfs: ntfsSample("ntfs", 16, []) };
const sfdisk = judge("sfdisk");
const others = [sgdisk, sfdisk, qemu, judge("mkswap")];
const hasAll = Object.values(inside).every(({ tools }) => tools !== null) && others.every((tool) => tool !== null);

describe.skipIf(!hasAll)("a disk of many partitions", () => {
  const size = 100 * MIB;
  /** Partition 1 ext4, 2 fat16, 3 ntfs, 4 swap, 5 an ext4 that was not unmounted, 6 empty; noise between them. */
  function make(path: string): Uint8Array {
    emptyFile(path, size);
    const partitions = [1, 2, 3, 4, 5, 6].flatMap((number) => [
      `--new=${number}:${(1 + (number - 1) * 16) * 2048}:+${(number === 1 ? 15 : 16) * 2048}`,
    ]);
    sgdisk!.must([...partitions, path]);
    const disk = new Uint8Array(readFileSync(path));
    const put = (part: string, mebibyte: number, bytes = new Uint8Array(readFileSync(part))): void => disk.set(bytes, mebibyte * MIB);
    const part = join(folder, "part.img");
    const ext = extSample("ext4", 15, []).tools!;
    ext.make(part, join(folder, "files"));
    put(part, 1);
    inside.fat16.tools!.make(part, join(folder, "files"));
    put(part, 17);
    inside.ntfs.tools!.make(part, join(folder, "files"));
    put(part, 33);
    emptyFile(part, 16 * MIB);
    judge("mkswap")!.must([part]);
    put(part, 49);
    inside.ext4.tools!.make(part, join(folder, "files"));
    const unclean = new Uint8Array(readFileSync(part));
    unclean[1024 + 58] = 0;
    put(part, 65, unclean);
    disk.fill(0x77, 96 * MIB, 99 * MIB);
    return disk;
  }
  const path = join(folder, "disk.img");

  test("each is slimmed, or refused with its reason; in any format and through a conversion", async () => {
    const source = make(path);
    writeFileSync(path, source);
    const qcow2 = join(folder, "disk.qcow2");
    qemu!.must(["convert", "-c", "-O", "qcow2", path, qcow2]);
    using file = openFileSource(qcow2);
    const raw = await slim(await open(memorySource("disk.img", source)));
    const disk = await open(file, "qcow2");
    const result = await slim(disk);
    expect(result.fileSystems.map(({ partition, kind }) => [partition, kind])).toEqual([
      [1, "ext4"],
      [2, "fat16"],
      [3, "ntfs"],
    ]);
    expect(result.refused).toMatchObject([
      { partition: 4, kind: "swap", why: "What is free in it is not known here." },
      { partition: 5, kind: "ext4", why: expect.stringContaining("s_checksum") },
    ]);
    expect(result.refused).toEqual(raw.refused);
    expect(result.fileSystems.map(({ freeBytes }) => freeBytes)).toEqual(raw.fileSystems.map(({ freeBytes }) => freeBytes));
    // qemu-img has dropped runs of zeros already: less of what is free holds data.
    expect(result.savedBytes).toBeLessThan(raw.savedBytes);
    expect(result.savedBytes).toBe((await dataBytes(disk)) - (await dataBytes(result.disk)));
    const out = await readVolume(result.disk.chain);
    expect(same(out, await readVolume(raw.disk.chain))).toBe(true);
    const { wrong, dropped } = changes(source, out);
    expect(wrong).toBe(0);
    expect(dropped).toBeGreaterThan(100);
    expect(same(out.subarray(65 * MIB), source.subarray(65 * MIB))).toBe(true);

    const pool = localPool();
    const sink = memorySink(["out.qcow2"]);
    const ports = { pool, compute: testCompute(), createSink: async () => sink };
    const request = { format: "qcow2", options: {}, name: "out.qcow2", salvage: false, verify: true, checkSource: false };
    const plan = await planConvert(result.disk, request, ports, signal);
    const converted = await runConvert(plan, ports, () => {}, signal);
    expect(converted.verified).toBe(true);
    pool.end();
    const written = join(folder, "out.qcow2");
    sink.files[0]!.save(written);
    const back = join(folder, "back.img");
    qemu!.must(["convert", "-O", "raw", written, back]);
    expect(same(new Uint8Array(readFileSync(back)), out)).toBe(true);
    expect(statSync(written).size).toBeLessThan(statSync(path).size / 2);
  });

  test("partitions that overlap or leave the disk stay whole", async () => {
    const source = make(path);
    // Without its last 20 MiB the GPT's copy is gone, and partition 5 and 6 are cut.
    const cut = await slim(await open(memorySource("disk.img", source.subarray(0, 80 * MIB))));
    expect(cut.refused).toContainEqual({ partition: 5, kind: "ext4", why: "Its partition ends past the end of the disk." });
    writeFileSync(path, source);
    sfdisk!.must(["--wipe", "always", path], { input: "label: dos\n2048 30720 83\n34816 32768 6\n" });
    const overlapping = new Uint8Array(readFileSync(path));
    // Partition 2 begins a sector before partition 1 ends.
    new DataView(overlapping.buffer).setUint32(446 + 12, 34817 - 2048, true);
    const result = await slim(await open(memorySource("disk.img", overlapping)));
    expect(result.fileSystems).toEqual([]);
    expect(result.refused.map(({ partition, why }) => [partition, why])).toEqual([
      [1, "Its partition and another one overlap."],
      [2, "Its partition and another one overlap."],
    ]);
    expect(result.savedBytes).toBe(0);
  });

  test("pieces of a dynamic disk or a RAID stay whole", async () => {
    const source = make(path);
    const reasonOf = async (image: Uint8Array, partition: number | null) =>
      (await slim(await open(memorySource("disk.img", image)))).refused.find((refused) => refused.partition === partition)?.why;
    const composite = "It may be a piece of a dynamic disk or RAID, and go on elsewhere.";
    expect(await reasonOf(source, 3)).toBeUndefined();
    writeFileSync(path, source);
    sgdisk!.must(["--typecode=3:af9b60a0-1431-4f62-bc68-3311714a69ad", "--typecode=2:fd00", path]);
    const typed = new Uint8Array(readFileSync(path));
    expect(await reasonOf(typed, 3)).toBe(composite);
    expect(await reasonOf(typed, 2)).toBe(composite);
    // A RAID superblock of version 0.90 at the end of a file system that fills the disk.
    const alone = source.slice(MIB, 16 * MIB);
    expect(await reasonOf(alone, null)).toBeUndefined();
    new DataView(alone.buffer).setUint32(15 * MIB - 65536, 0xa92b4efc, true);
    expect(await reasonOf(alone, null)).toBe(composite);
  });

  test("a bitmap that cannot be read leaves its group as it is", async () => {
    const ext = extSample("ext4", 40, ["-b", "1024", "-O", "^flex_bg"]).tools!;
    ext.make(path, join(folder, "files"));
    const image = new Uint8Array(readFileSync(path));
    const bad = ext.marks(path)[5]!;
    const source: ByteSource = memorySource("disk.img", image);
    const sound = await slim(await open(source));
    const failing: ByteSource = {
      ...source,
      async read(at, length) {
        if (at < bad.end && at + length > bad.start) return memorySource("disk.img", image.subarray(0, at)).read(at, length);
        return source.read(at, length);
      },
    };
    const result = await slim(await open(failing));
    expect(result.refused).toEqual([]);
    const [whole, part] = [sound.fileSystems[0]!, result.fileSystems[0]!];
    expect(part.doubtfulBytes).toBe(8 * MIB);
    expect(part.freeBytes).toBeLessThan(whole.freeBytes);
    expect(part.freeBytes).toBeGreaterThan(whole.freeBytes - 8 * MIB);
  });
});

test("nothing that is known: nothing changes", async () => {
  const disk = await open(memorySource("disk.img", new Uint8Array(4 * MIB).fill(3)));
  const result = await slim(disk);
  expect(result).toMatchObject({ fileSystems: [], refused: [], savedBytes: 0 });
  expect(await dataBytes(result.disk)).toBe(4 * MIB);
});
