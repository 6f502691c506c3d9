import fc from "fast-check";
import { expect, test } from "vitest";
import { BitSet } from "./bit-set.ts";

test("what is in it, and the gaps between", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(300), fc.integer({ min: 65_400, max: 65_700 }))), fc.nat(70_000), (bits, end) => {
      const set = new BitSet();
      const known = new Set<number>();
      for (const bit of bits) {
        expect(set.add(bit)).toBe(!known.has(bit));
        known.add(bit);
      }
      const missing: number[] = [];
      for (const { start, length } of set.gaps(end)) for (let bit = start; bit < start + length; bit++) missing.push(bit);
      expect(missing).toEqual(Array.from({ length: end }, (_, bit) => bit).filter((bit) => !known.has(bit)));
      for (const bit of bits) expect(set.has(bit)).toBe(true);
      const runs = [...set.runs()];
      const held = runs.flatMap(({ start, length }) => Array.from({ length }, (_, i) => start + i));
      expect(held).toEqual([...known].sort((a, b) => a - b));
      expect(runs.slice(1).every(({ start }, i) => start > runs[i]!.start + runs[i]!.length)).toBe(true);
    }),
    { numRuns: 30 },
  );
});

test("the gap behind a few numbers costs nothing, however long", () => {
  const set = new BitSet();
  set.add(5);
  expect([...set.gaps(2 ** 50)]).toEqual([
    { start: 0, length: 5 },
    { start: 6, length: 2 ** 50 - 6 },
  ]);
});
