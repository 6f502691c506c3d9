import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { judge } from "../testing/judges.ts";
import { crc32 } from "./crc32.ts";
import { Header } from "./gpt-layout.ts";
import { resizedGpt, type SoundGpt, soundGpt } from "./index.ts";
import { ENTRIES_AT, Entry } from "./mbr.ts";

const folder = mkdtempSync(join(tmpdir(), "gpt-shapes-"));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, "gpt.raw");
const sgdisk = judge("sgdisk");
const parted = judge("parted");
const fdisk = judge("fdisk");
const MIB = 1 << 20;

interface Shape {
  readonly size?: number;
  readonly sector?: number;
  readonly entrySize?: number;
  readonly entryCount?: number;
  readonly headerSize?: number;
  readonly firstUsable?: number;
  /** First and last sectors. */
  readonly partitions?: readonly (readonly [number, number])[];
}
const LINUX = Buffer.from("af3dc60f838472478e793d69d8477de4", "hex");

/** A GPT disk as UEFI 2.10 section 5.3 has it, in shapes that no partitioning program makes. */
function disk(shape: Shape = {}): Uint8Array<ArrayBuffer> {
  const { size = 4 * MIB, sector = 512, entrySize = 128, entryCount = 128, headerSize = 92 } = shape;
  const { partitions = [[2048, 4095] as const, [4096, 6000] as const] } = shape;
  const out = new Uint8Array(size);
  const table = new Uint8Array(entrySize * entryCount);
  const view = new DataView(table.buffer);
  for (const [i, [first, last]] of partitions.entries()) {
    table.set(LINUX, i * entrySize);
    table.fill(i + 1, i * entrySize + 16, i * entrySize + 32);
    view.setBigUint64(i * entrySize + 32, BigInt(first), true);
    view.setBigUint64(i * entrySize + 40, BigInt(last), true);
    // What later versions of the standard might put behind the known fields.
    table.fill(0x77, i * entrySize + 128, (i + 1) * entrySize);
  }
  const [last, sectors] = [size / sector - 1, Math.ceil(table.length / sector)];
  const shared = { signature: 0x5452415020494645n, revision: 0x10000, headerSize, headerCrc: 0, reserved: 0 };
  const rest = { diskGuid: new Uint8Array(16).fill(0x5a), entryCount, entrySize, entriesCrc: crc32(table) };
  const usable = { firstUsableLba: BigInt(shape.firstUsable ?? 2 + sectors), lastUsableLba: BigInt(last - sectors - 1) };
  for (const [my, alternate, entries] of [
    [1, last, 2],
    [last, 1, last - sectors],
  ] as const) {
    const places = { myLba: BigInt(my), alternateLba: BigInt(alternate), entriesLba: BigInt(entries) };
    out.set(Header.write({ ...shared, ...usable, ...rest, ...places }), my * sector);
    const covered = out.subarray(my * sector, my * sector + headerSize);
    new DataView(out.buffer).setUint32(my * sector + Header.offsetOf("headerCrc"), crc32(covered), true);
    out.set(table, entries * sector);
  }
  out.set([0x55, 0xaa], 510);
  setEntry(out, 0, 0xee, 1, last);
  return out;
}
function setEntry(bytes: Uint8Array, slot: number, type: number, start: number, count: number): void {
  const address = { firstHead: 0, firstSector: 2, firstCylinder: 0, lastHead: 255, lastSector: 255, lastCylinder: 255 };
  bytes.set(Entry.write({ status: 0, type, start, count, ...address }), ENTRIES_AT + slot * Entry.bytes);
}
const edited = (edit: (bytes: Uint8Array) => void, shape?: Shape): Uint8Array => {
  const bytes = disk(shape);
  edit(bytes);
  return bytes;
};
const soundIn = (bytes: Uint8Array) => soundGpt(async (at, length) => bytes.slice(at, at + length), bytes.length);

/** The disk at each of the sizes, in a file for the judges. */
async function atSizes(bytes: Uint8Array, sizes: readonly number[], judged: (gpt: SoundGpt, size: number) => void): Promise<void> {
  const gpt = await soundIn(bytes);
  expect(gpt).not.toBeNull();
  for (const size of sizes) {
    const out = new Uint8Array(size);
    out.set(bytes.subarray(0, size));
    for (const { start, length, bytes: put } of resizedGpt(gpt!, size)) out.set(put ?? new Uint8Array(length), start);
    writeFileSync(path, out);
    judged(gpt!, size);
  }
}

const setting = (at: number, value: number) => (bytes: Uint8Array) => bytes.set([value], at);
const without = (from: number, to: number) => (bytes: Uint8Array) => void bytes.fill(0, from < 0 ? bytes.length + from : from, to);
const odd: readonly [string, Uint8Array][] = [
  ["as usual", disk()],
  ["entries of 256 bytes", disk({ entrySize: 256 })],
  ["entries of 256 bytes, no backup header", edited(without(-512, 4 * MIB), { entrySize: 256 })],
  ["entries of 256 bytes, no first header", edited(without(512, 1024), { entrySize: 256 })],
  ["31 entries of 136 bytes, which end within a sector", disk({ entrySize: 136, entryCount: 31 })],
  ["two entries", disk({ entryCount: 2 })],
  ["a header of 512 bytes", disk({ headerSize: 512 })],
  ["a gap in front of the first usable sector", disk({ firstUsable: 2048 })],
  ["a partition to the disk's end, over the backup", disk({ partitions: [[2048, 8191]] })],
  ["a protective entry that is too short", edited((bytes) => setEntry(bytes, 0, 0xee, 1, 100))],
  ["one without a length", edited((bytes) => setEntry(bytes, 0, 0xee, 1, 0))],
  ["one that is too long", edited((bytes) => setEntry(bytes, 0, 0xee, 1, 0xffffffff))],
  ["one that begins at sector 63", edited((bytes) => setEntry(bytes, 0, 0xee, 63, 8000))],
  ["one with a wrong status", edited(setting(ENTRIES_AT, 0x55))],
  ["one in a sector without signature", edited(setting(510, 0))],
  [
    "a hybrid MBR whose protective entry is short",
    edited((bytes) => [setEntry(bytes, 0, 0xee, 1, 5), setEntry(bytes, 1, 0x83, 2048, 2048)]),
  ],
];
describe.skipIf(sgdisk === null || parted === null)("odd tables, grown", () => {
  test.each(odd)("%s", async (_, bytes) => {
    await atSizes(bytes, [6 * MIB, 4.5 * MIB], ({ partitions, remarks }, size) => {
      expect(sgdisk!.must(["-v", path])).toContain("No problems found");
      const lines = parted!.must(["-ms", path, "unit", "B", "print"]).split("\n");
      expect(lines[1]).toContain(`:${size}B:file:512:512:gpt:`);
      const listed = partitions.map(({ number, start, length }) => `${number}:${start}B:${start + length - 1}B:${length}B:::;`);
      expect(lines.slice(2, -1)).toEqual(listed);
      expect(remarks).toEqual([]);
    });
  });

  /** sgdisk finds fault with each of them, before as after. */
  const faulty: readonly [string, Uint8Array, string][] = [
    [
      "partitions that overlap",
      disk({
        partitions: [
          [2048, 4095],
          [4000, 6000],
        ],
      }),
      "Partitions 1 and 2 overlap.",
    ],
    [
      "a partition over the first copy",
      disk({ partitions: [[1, 100]] }),
      "Partition 1 begins at byte 512, in front of the first usable one",
    ],
    ["a first usable sector behind a partition", disk({ firstUsable: 3000 }), "Partition 1 begins at byte 1048576, in front of"],
    [
      "an MBR that lists what the GPT does not",
      edited((bytes) => setEntry(bytes, 1, 0x83, 6100, 100)),
      "The MBR lists a partition at byte 3123200",
    ],
    [
      "an MBR without a protective entry",
      edited((bytes) => setEntry(bytes, 0, 0x83, 6100, 100)),
      "The MBR lists a partition at byte 3123200",
    ],
    ["protective entries that overlap", edited((bytes) => setEntry(bytes, 1, 0xee, 1, 8191)), "Entries of the MBR overlap."],
  ];
  test.each(faulty)("%s: stays so, and is told", async (_, bytes, told) => {
    await atSizes(bytes, [6 * MIB], ({ remarks }) => {
      expect(remarks.join("\n")).toContain(told);
      expect(sgdisk!.run(["-v", path]).stdout).toMatch(/Identified \d problem/);
    });
  });
});

test.each([1e15, 9000])("a first usable sector of %d in a disk of 8192: refused", async (firstUsable) => {
  await expect(soundIn(disk({ firstUsable }))).rejects.toMatchObject({ code: "corrupt" });
});

describe.skipIf(fdisk === null)("sectors of 4096 bytes, grown", () => {
  const shape: Shape = {
    sector: 4096,
    size: 8 * MIB,
    partitions: [
      [256, 511],
      [512, 1000],
    ],
  };
  const large: readonly [string, Uint8Array][] = [
    ["sound", disk(shape)],
    ["entries of 256 bytes", disk({ ...shape, entrySize: 256 })],
    ["no backup header", edited(without(-4096, 8 * MIB), shape)],
    ["a damaged backup header", edited(setting(8 * MIB - 4096 + 40, 9), shape)],
    ["no first header", edited(without(4096, 8192), shape)],
    ["nothing of the first copy, nor a boot sector", edited(without(0, 6 * 4096), shape)],
    ["a protective entry that is too short", edited((bytes) => setEntry(bytes, 0, 0xee, 1, 100), shape)],
  ];
  test.each(large)("%s", async (_, bytes) => {
    await atSizes(bytes, [16 * MIB, 8 * MIB + 4096], () => {
      const { stdout, stderr } = fdisk!.run(["-b", "4096", path], { input: "v\nq\n" });
      expect(stdout).toContain("No errors detected");
      expect(stdout).toContain("Using 2 out of 128 partitions");
      expect(stdout + stderr).not.toMatch(/mismatch|corrupt|not on the end/);
    });
  });
});
