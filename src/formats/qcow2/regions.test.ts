import fc from "fast-check";
import { expect, test } from "vitest";
import type { Header } from "./header.ts";
import { createRegions } from "./regions.ts";

const CLUSTER = 512;
const sorted = fc.array(fc.nat(60), { maxLength: 6 }).map((places) =>
  Float64Array.from(
    places.toSorted((a, b) => a - b),
    (n) => n * CLUSTER,
  ),
);
const place = fc.record({ at: fc.nat(60).map((n) => n * CLUSTER), length: fc.integer({ min: 1, max: 1500 }) });

/** Asked one after another: what an earlier answer said of the gap between claims must not hide a later conflict. */
test("the first claim that a range meets, whatever was asked before", () => {
  fc.assert(
    fc.property(fc.array(place, { maxLength: 3 }), sorted, sorted, fc.array(place, { maxLength: 40 }), (fixed, l2, blocks, asked) => {
      const regions = createRegions(
        { clusterSize: CLUSTER } as Header,
        fixed.map((claim) => ({ ...claim, what: "a table" })),
        l2,
        blocks,
      );
      const claims = [
        ...fixed.map(({ at, length }) => [at, at + Math.ceil(length / CLUSTER) * CLUSTER]),
        ...[...l2, ...blocks].map((at) => [at, at + CLUSTER]),
      ] as [number, number][];
      for (const { at, length } of asked) {
        const met = claims.filter(([from, to]) => from < at + length && to > at).map(([from]) => Math.max(at, from));
        expect(regions.conflict(at, length)?.at ?? null).toBe(met.length === 0 ? null : Math.min(...met));
      }
    }),
    { numRuns: 500 },
  );
});
