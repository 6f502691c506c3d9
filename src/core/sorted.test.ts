import fc from "fast-check";
import { expect, test } from "vitest";
import { countBefore, firstAbove, firstAtLeast } from "./sorted.ts";

test("searches agree with going through all", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 20 })), fc.integer({ min: -1, max: 21 }), (list, value) => {
      const ascending = list.toSorted((a, b) => a - b);
      const index = (found: number) => (found < 0 ? ascending.length : found);
      expect(firstAtLeast(ascending, value)).toBe(index(ascending.findIndex((other) => other >= value)));
      expect(firstAbove(ascending, value)).toBe(index(ascending.findIndex((other) => other > value)));
      expect(countBefore(ascending.length, (i) => (ascending[i] as number) < value)).toBe(
        ascending.filter((other) => other < value).length,
      );
    }),
  );
});
