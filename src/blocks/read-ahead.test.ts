import { expect, test } from "vitest";
import type { BlockOrder, PlacedExtent } from "../core/ports.ts";
import { type ReadRanges, readAhead } from "./read-ahead.ts";
import { totalBytes } from "./reads.ts";

const GRAIN = 65_536;
const raw = (start: number, at: number, file = 0): PlacedExtent => ({ kind: "raw", start, length: GRAIN, file, at });
const orderOf = (extents: readonly PlacedExtent[]): BlockOrder => ({
  diskSize: extents.length * GRAIN,
  grain: GRAIN,
  unit: 512,
  grains: extents.map(({ start }) => start),
  extents,
  hash: false,
  units: true,
  encoding: null,
  salvage: false,
});
/** Far from each other, and against the order of the disk. */
const scattered = (count: number, file = 0): PlacedExtent[] =>
  Array.from({ length: count }, (_, i) => raw(i * GRAIN, (count - 1 - i) * 4 * GRAIN, file));
const range = (at: number) => ({ at, length: GRAIN });

test("only the next ranges of the right source are given; the next group begins when one is used up", async () => {
  const calls: number[] = [];
  const read: ReadRanges = async (ranges) => {
    calls.push(ranges.length);
    return new Uint8Array(totalBytes(ranges)).map((_, i) => i / GRAIN);
  };
  const { take } = readAhead(orderOf(scattered(4)), () => read);
  expect(calls).toEqual([2]);
  expect(take(1, [range(0)])).toBeNull();
  expect(take(0, [range(512)])).toBeNull();
  expect(take(0, [{ at: 0, length: 512 }])).toBeNull();
  expect((await take(0, [range(0)]))?.[0]).toBe(0);
  expect(calls).toEqual([2]);
  expect(take(0, [range(0)])).toBeNull();
  expect((await take(0, [range(4 * GRAIN)]))?.[0]).toBe(1);
  expect(calls).toEqual([2, 2]);
  expect(await take(0, [range(8 * GRAIN), range(12 * GRAIN)])).toHaveLength(2 * GRAIN);
  expect(take(0, [range(8 * GRAIN)])).toBeNull();
  expect(calls).toEqual([2, 2]);
});

test("sources that are not read ahead are passed over", async () => {
  const read: ReadRanges = async (ranges) => new Uint8Array(totalBytes(ranges));
  const extents = [raw(0, 0, 0), raw(GRAIN, 0, 1), raw(2 * GRAIN, 0, 2)];
  const { take } = readAhead(orderOf(extents), (source) => (source === 1 ? null : read));
  expect(await take(0, [range(0)])).toHaveLength(GRAIN);
  expect(take(1, [range(0)])).toBeNull();
  expect(await take(2, [range(0)])).toHaveLength(GRAIN);
});

test("what was begun and is never asked for may fail", async () => {
  readAhead(orderOf(scattered(4)), () => () => Promise.reject(new Error("told to nobody")));
  await new Promise((resolve) => setTimeout(resolve, 10)); // an error without a handler would end the test
});
