import fc from "fast-check";
import { expect, test } from "vitest";
import { mergeLayers } from "../core/merge-layers.ts";
import { createKernels } from "./index.ts";

const kernels = createKernels();

/** Ends of runs that reach from before `start` to `end` or past it, holes negative. */
const layer = (end: number) =>
  fc.array(fc.tuple(fc.integer({ min: 1, max: end }), fc.boolean()), { maxLength: 12 }).map((list) => {
    const stops = [...new Set([...list.map(([stop]) => stop), end + (list.length % 3)])].sort((a, b) => a - b);
    return Float64Array.from(stops, (stop, i) => (list[i % Math.max(1, list.length)]?.[1] === true ? -stop : stop));
  });

test("equals its twin", () => {
  fc.assert(
    fc.property(fc.array(layer(60), { maxLength: 7 }), fc.nat(59), (layers, start) => {
      expect(kernels.mergeLayers(layers, start, 60)).toEqual(mergeLayers(layers, start, 60));
    }),
    { numRuns: 400 },
  );
});

test("many layers of many runs", () => {
  const many = Array.from({ length: 64 }, (_, l) =>
    Float64Array.from({ length: 2000 }, (_, i) => (i + 1) * 2 ** 34 * ((i * 7 + l) % 5 === 0 ? 1 : -1)),
  );
  const end = 2000 * 2 ** 34;
  expect(kernels.mergeLayers(many, 0, end)).toEqual(mergeLayers(many, 0, end));
});

test("refuses more than fits", () => {
  const list = Float64Array.from({ length: 2 ** 17 + 1 }, (_, i) => i + 1);
  expect(() => kernels.mergeLayers([list], 0, list.length)).toThrow("kernels: the number of runs");
});
