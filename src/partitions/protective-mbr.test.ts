import { expect, test } from "vitest";
import { bootRecord, ENTRIES_AT, Entry } from "./mbr.ts";
import { damagedEntry, hasOverlap, protectiveMbr } from "./protective-mbr.ts";

type Row = readonly [type: number, start: number, count: number];
function bootSector(...rows: readonly Row[]): Uint8Array {
  const boot = new Uint8Array(512).fill(0xfa, 0, 440);
  boot.set([0x55, 0xaa], 510);
  rows.forEach(([type, start, count], i) => {
    const zero = { status: 0, firstHead: 0, firstSector: 2, firstCylinder: 0, lastHead: 1, lastSector: 2, lastCylinder: 3 };
    boot.set(Entry.write({ ...zero, type, start, count }), ENTRIES_AT + i * Entry.bytes);
  });
  return boot;
}
const rowsOf = (boot: Uint8Array) =>
  bootRecord(boot)
    ?.filter(({ type }) => type !== 0)
    .map(({ type, start, count }) => [type, start, count]);

const cases: readonly [string, readonly Row[], before: number, after: number, readonly Row[]][] = [
  ["the one entry follows the end", [[0xee, 1, 999]], 1000, 5000, [[0xee, 1, 4999]]],
  ["and back", [[0xee, 1, 4999]], 5000, 1000, [[0xee, 1, 999]]],
  ["whatever size it stated", [[0xee, 1, 0xffffffff]], 1000, 5000, [[0xee, 1, 4999]]],
  ["as far as 32 bits reach", [[0xee, 1, 999]], 1000, 2 ** 33, [[0xee, 1, 0xffffffff]]],
  ["to the last size that 32 bits tell", [[0xee, 1, 999]], 1000, 2 ** 32, [[0xee, 1, 0xffffffff]]],
  [
    "a hybrid's entry for the table alone stays",
    [
      [0xee, 1, 2047],
      [0x83, 2048, 100],
    ],
    5000,
    9000,
    [
      [0xee, 1, 2047],
      [0x83, 2048, 100],
    ],
  ],
  [
    "a hybrid's entry up to the end follows",
    [
      [0xee, 1, 2047],
      [0x83, 2048, 100],
      [0xee, 2148, 2852],
    ],
    5000,
    9000,
    [
      [0xee, 1, 2047],
      [0x83, 2048, 100],
      [0xee, 2148, 6852],
    ],
  ],
  [
    "one that would lie behind the end goes",
    [
      [0xee, 1, 2047],
      [0x83, 2048, 100],
      [0xee, 4000, 1000],
    ],
    5000,
    3000,
    [
      [0xee, 1, 2047],
      [0x83, 2048, 100],
    ],
  ],
  [
    "one that ends behind it is cut",
    [
      [0xee, 1, 2047],
      [0x83, 2048, 100],
      [0xee, 2148, 2000],
    ],
    5000,
    3000,
    [
      [0xee, 1, 2047],
      [0x83, 2048, 100],
      [0xee, 2148, 852],
    ],
  ],
  [
    "an entry without sectors beside it does not count",
    [
      [0xee, 1, 99],
      [0x83, 0, 0],
    ],
    5000,
    9000,
    [
      [0xee, 1, 8999],
      [0x83, 0, 0],
    ],
  ],
  ["one that does not begin at sector 1 is made again", [[0xee, 63, 900]], 5000, 9000, [[0xee, 1, 8999]]],
  ["an MBR of another kind stays", [[0x83, 2048, 100]], 5000, 9000, [[0x83, 2048, 100]]],
  ["an empty one gets the entry", [], 5000, 9000, [[0xee, 1, 8999]]],
];
test.each(cases)("%s", (_, rows, before, after, expected) => {
  const boot = bootSector(...rows);
  const now = protectiveMbr(boot, before, after);
  expect(rowsOf(now)).toEqual(expected);
  expect(now.subarray(0, ENTRIES_AT)).toEqual(boot.subarray(0, ENTRIES_AT));
  // Of an entry that stays, every byte does.
  rows.forEach((row, i) => {
    const at = ENTRIES_AT + i * Entry.bytes;
    if (expected[i]?.join() === row.join()) expect(now.subarray(at, at + Entry.bytes)).toEqual(boot.subarray(at, at + Entry.bytes));
  });
});

test("a first sector without any mark becomes a protective MBR; a file system's boot sector stays", () => {
  expect(rowsOf(protectiveMbr(new Uint8Array(512), 100, 200))).toEqual([[0xee, 1, 199]]);
  const other = new Uint8Array(512).fill(7);
  expect(protectiveMbr(other, 100, 200)).toEqual(other);
});

test("a protective entry in a sector without the marks of a boot record is made again, in its place; the rest of the sector stays", () => {
  const boot = bootSector([0, 0, 0], [0xee, 1, 999]);
  expect(damagedEntry(boot)).toBeNull();
  const active = new Uint8Array(boot);
  active[ENTRIES_AT + Entry.bytes] = 0x80;
  expect(damagedEntry(active)).toBeNull();
  const places = [
    [510, 0],
    [511, 0],
    [ENTRIES_AT + Entry.bytes, 0x55],
  ] as const;
  for (const [at, value] of places) {
    const spoilt = new Uint8Array(boot);
    spoilt[at] = value;
    expect(damagedEntry(spoilt)).toBe(1);
    const now = protectiveMbr(spoilt, 1000, 5000);
    expect(rowsOf(now)).toEqual([[0xee, 1, 4999]]);
    expect(now.subarray(0, ENTRIES_AT)).toEqual(boot.subarray(0, ENTRIES_AT));
    // Elsewhere on the disk the same byte is a boot loader's.
    new DataView(spoilt.buffer).setUint32(ENTRIES_AT + Entry.bytes + 8, 7, true);
    expect(damagedEntry(spoilt)).toBeNull();
    expect(protectiveMbr(spoilt, 1000, 5000)).toEqual(spoilt);
  }
});

test("entries that overlap", () => {
  expect(hasOverlap(bootSector([0xee, 1, 2047], [0x83, 2048, 100], [0xee, 2148, 100]))).toBe(false);
  expect(hasOverlap(bootSector([0xee, 1, 2048], [0x83, 2048, 100]))).toBe(true);
  expect(hasOverlap(bootSector([0x83, 2048, 100], [0xee, 1, 5000], [0x83, 4000, 1]))).toBe(true);
});
