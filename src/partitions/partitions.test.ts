import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 as zlibCrc32 } from "node:zlib";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { noise } from "../testing/disks.ts";
import { judge } from "../testing/judges.ts";
import { crc32 } from "./crc32.ts";
import { missingEnd, type PartitionTable, readPartitions } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "partitions-"));
afterAll(() => rmSync(folder, { recursive: true }));
const sgdisk = judge("sgdisk");
const sfdisk = judge("sfdisk");
const MIB = 1 << 20;

/** Reads inside the disk only, and never much at once. */
const readerOf = (disk: Uint8Array) => async (at: number, length: number) => {
  if (at < 0 || length > MIB || at + length > disk.length) throw new Error(`read of ${at}+${length} in a disk of ${disk.length}`);
  return disk.slice(at, at + length);
};
const partitionsOf = (disk: Uint8Array) => readPartitions(readerOf(disk), disk.length);
const texts = (table: PartitionTable | null) => table?.notes.map(({ text }) => text).join("\n") ?? "none";

function blank(name: string, mebibytes: number): string {
  const path = join(folder, name);
  writeFileSync(path, new Uint8Array(mebibytes * MIB));
  return path;
}
function gptDisk(): Uint8Array {
  const path = blank("gpt.raw", 64);
  const parts = [
    "-n",
    "1:2048:+8M",
    "-t",
    "1:ef00",
    "-c",
    "1:EFI System",
    "-A",
    "1:set:2",
    "-n",
    "2:0:+16M",
    "-t",
    "2:8300",
    "-c",
    "2:Wurzel — größer",
    "-n",
    "5:0:0",
    "-t",
    "5:8e00",
  ];
  sgdisk!.must([...parts, path]);
  return new Uint8Array(readFileSync(path));
}
function mbrDisk(script: string, options: readonly string[] = []): Uint8Array {
  const path = blank("mbr.raw", 64);
  sfdisk!.must([...options, path], { input: script });
  return new Uint8Array(readFileSync(path));
}
/** What sfdisk lists, in bytes. */
function judged(path: string, sector = 512): { start: number; length: number; name: string }[] {
  const json = JSON.parse(sfdisk!.must(["-J", path])) as {
    partitiontable: { partitions?: { start: number; size: number; name?: string }[] };
  };
  return (json.partitiontable.partitions ?? []).map(({ start, size, name }) => ({
    start: start * sector,
    length: size * sector,
    name: name ?? "",
  }));
}
const listed = (table: PartitionTable | null) => table?.partitions.map(({ start, length, name }) => ({ start, length, name }));

test.skipIf(zlibCrc32 === undefined)("the checksum is CRC-32", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 3000 }), (bytes) => crc32(bytes) === zlibCrc32(bytes)));
});
test("the checksum of the catalogue's example", () => {
  expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
});

test("an empty disk, noise and a tiny disk have no partition table", async () => {
  expect(await partitionsOf(new Uint8Array(MIB))).toBeNull();
  expect(await partitionsOf(noise(MIB, 4))).toBeNull();
  expect(await partitionsOf(new Uint8Array(100))).toBeNull();
  expect(await partitionsOf(new Uint8Array(512))).toBeNull();
});

describe.skipIf(sgdisk === null || sfdisk === null)("GPT", () => {
  test("partitions, types, names and flags as sfdisk lists them", async () => {
    const table = await partitionsOf(gptDisk());
    expect(table?.kind).toBe("gpt");
    expect(table?.notes).toEqual([]);
    expect(listed(table)).toEqual(judged(join(folder, "gpt.raw")));
    expect(table?.partitions.map(({ number, type, name, flags }) => [number, type, name, flags])).toEqual([
      [1, "EFI system", "EFI System", ["legacy boot"]],
      [2, "Linux", "Wurzel — größer", []],
      [5, "Linux LVM", "", []],
    ]);
  });

  test("a damaged first copy is replaced by the backup, and told", async () => {
    const disk = gptDisk();
    const sound = listed(await partitionsOf(disk));
    const wrongCrc = new Uint8Array(disk);
    wrongCrc[512 + 40] = 99;
    const table = await partitionsOf(wrongCrc);
    expect(texts(table)).toContain("checksum is wrong");
    expect(texts(table)).toContain("backup GPT is used");
    expect(listed(table)).toEqual(sound);
    const gone = new Uint8Array(disk);
    gone.fill(0, 512, 1024);
    expect(texts(await partitionsOf(gone))).toContain("is missing; its backup");
    expect(listed(await partitionsOf(gone))).toEqual(sound);
  });

  test("a disk that was enlarged or cut, a table with a wrong checksum, no protective MBR", async () => {
    const disk = gptDisk();
    expect(texts(await partitionsOf(new Uint8Array(Buffer.concat([disk, new Uint8Array(MIB)]))))).toContain("the disk was enlarged");
    const cut = await partitionsOf(disk.subarray(0, disk.length - MIB));
    expect(texts(cut)).toContain("backup GPT at the end of the disk is missing");
    expect(texts(cut)).toContain("past the end of the disk");
    expect(texts(cut)).toContain(`made for a disk of ${64 * MIB} bytes, but this one has ${63 * MIB}`);
    const read = readerOf(disk);
    expect(await missingEnd(read, 63 * MIB)).toEqual(cut?.notes[0]);
    expect(await missingEnd(read, 64 * MIB)).toBe(null);
    const entry = new Uint8Array(disk);
    entry[1024 + 56] = 0x5a;
    expect(texts(await partitionsOf(entry))).toContain("partition entries is wrong");
    const bare = new Uint8Array(disk);
    bare.fill(0, 0, 512);
    expect(texts(await partitionsOf(bare))).toContain("no protective MBR");
  });

  test("4096-byte sectors", async () => {
    const disk = gptDisk();
    const large = new Uint8Array(64 * MIB);
    large.set(disk.subarray(0, 512));
    const header = new Uint8Array(disk.subarray(512, 1024));
    const view = new DataView(header.buffer);
    view.setBigUint64(32, BigInt(large.length / 4096 - 1), true);
    view.setUint32(16, 0, true);
    view.setUint32(16, crc32(header.subarray(0, 92)), true);
    large.set(header, 4096);
    large.set(disk.subarray(1024, 1024 + 128 * 128), 8192);
    const table = await partitionsOf(large);
    expect(table).toMatchObject({ kind: "gpt", sector: 4096 });
    expect(table?.partitions[0]).toMatchObject({ start: 2048 * 4096, length: 16384 * 4096 });
  });
});

describe.skipIf(sfdisk === null)("MBR", () => {
  const SCRIPT =
    "label: dos\nlabel-id: 0x1234abcd\nstart=2048,size=20480,type=83,bootable\nsize=20480,type=7\ntype=5\nsize=8192,type=82\nsize=8192,type=83\nsize=4096,type=c\n";
  test("primary, extended and logical partitions as sfdisk lists them", async () => {
    const table = await partitionsOf(mbrDisk(SCRIPT));
    expect(table).toMatchObject({ kind: "mbr", sector: 512, id: "0x1234abcd", notes: [] });
    expect(listed(table)).toEqual(judged(join(folder, "mbr.raw")));
    expect(table?.partitions.map(({ number, type, flags }) => [number, type, flags])).toEqual([
      [1, "Linux", ["active"]],
      [2, "NTFS or exFAT", []],
      [3, "Extended", ["extended"]],
      [5, "Linux swap", ["logical"]],
      [6, "Linux", ["logical"]],
      [7, "FAT32", ["logical"]],
    ]);
  });

  test("a circle of logical partitions, a chain past the end and overlaps end with a note", async () => {
    const disk = mbrDisk(SCRIPT);
    const table = await partitionsOf(disk);
    const second = (table?.partitions[4]?.start as number) - 2048 * 512;
    const circle = new Uint8Array(disk);
    new DataView(circle.buffer).setUint32(second + 446 + 16 + 8, 0x10000, true);
    expect(texts(await partitionsOf(circle))).toMatch(/circle|no extended boot record|past the end/);
    const self = new Uint8Array(disk);
    const extended = (table?.partitions[2]?.start as number) / 512;
    new DataView(self.buffer).setUint32(second + 446 + 16 + 8, second / 512 - extended, true);
    expect(texts(await partitionsOf(self))).toContain("circle");
    const overlap = new Uint8Array(disk);
    new DataView(overlap.buffer).setUint32(446 + 16 + 8, 3000, true);
    expect(texts(await partitionsOf(overlap))).toContain("Partitions 1 and 2 overlap");
    expect(texts(await partitionsOf(disk.subarray(0, 16 * MIB)))).toContain("past the end of the disk");
  });

  test.skipIf(sgdisk === null)("altered bytes in the tables never break the reading", async () => {
    const disks = [new Uint8Array(mbrDisk(SCRIPT)), new Uint8Array(gptDisk())];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...disks),
        fc.array(fc.tuple(fc.nat(2047), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        async (disk, edits) => {
          const before = edits.map(([at]) => disk[at] as number);
          for (const [at, value] of edits) disk[at] = value;
          const table = await partitionsOf(disk);
          edits.forEach(([at], i) => {
            disk[at] = before[i] as number;
          });
          for (const { start, length } of table?.partitions ?? []) expect(Number.isSafeInteger(start + length)).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });
});
