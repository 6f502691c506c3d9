import { expect, test } from "vitest";
import { bootRecord, ENTRIES_AT, Entry } from "./mbr.ts";
import { protectiveMbr } from "./protective-mbr.ts";

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
