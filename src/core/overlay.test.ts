import fc from "fast-check";
import { expect, test } from "vitest";
import { checked, readVolume } from "../testing/image-harness.ts";
import { flatten, type Layer, layerVolume } from "../testing/layers.ts";
import { createOverlay, type Patch } from "./overlay.ts";

/** Gaps and lengths, so that patches are ascending; a gap of 0 makes two that touch. */
const arbitraryPatches: fc.Arbitrary<Patch[]> = fc
  .array(
    fc.record({
      gap: fc.constantFrom(0, 0, 1, 7, 512, 3000),
      length: fc.integer({ min: 1, max: 2000 }),
      fill: fc.nat(255),
      isZero: fc.boolean(),
    }),
    {
      maxLength: 30,
    },
  )
  .map((parts) => {
    let at = 0;
    return parts.map(({ gap, length, fill, isZero }) => {
      const start = at + gap;
      at = start + length;
      return { start, length, bytes: isZero ? null : Uint8Array.from({ length }, (_, i) => (fill + i * 7) & 0xff) };
    });
  });
const arbitraryLayer: fc.Arbitrary<Layer> = fc.record({
  cell: fc.constantFrom(100, 512, 4096),
  cells: fc.array(fc.option(fc.nat(255)), { minLength: 1, maxLength: 20 }),
  stopAfter: fc.integer({ min: 1, max: 4 }),
});

/** The naive model: the chain's bytes up to the new end, zeros behind its own, and the patches over them. */
function modelOf(size: number, patches: readonly Patch[], layers: readonly Layer[]): Uint8Array {
  const out = new Uint8Array(size);
  out.set(flatten(layers).subarray(0, size));
  for (const { start, length, bytes } of patches)
    for (let i = 0; i < length && start + i < size; i++) out[start + i] = bytes === null ? 0 : (bytes[i] as number);
  return out;
}

test("a disk under an overlay shows the patches, and elsewhere the chain, whatever its size", async () => {
  const layers = fc.array(arbitraryLayer, { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(arbitraryPatches, layers, fc.integer({ min: 1, max: 100_000 }), fc.nat(1000), async (patches, below, size, from) => {
      const overlay = createOverlay(size, patches);
      const shown = await readVolume([overlay, ...below.map((layer) => layerVolume(layer))]);
      const model = modelOf(size, patches, below);
      expect(Buffer.compare(shown, model)).toBe(0);
      const start = Math.min(from, size - 1);
      const part = await readVolume([overlay, ...below.map((layer) => layerVolume(layer))], start, Math.ceil((size - start) / 2));
      expect(Buffer.compare(part, model.subarray(start, start + part.length))).toBe(0);
    }),
    { numRuns: 150 },
  );
});

test("an overlay over an overlay: a disk that shrank and grew again shows zeros where it was cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      arbitraryLayer,
      fc.integer({ min: 1, max: 20_000 }),
      fc.integer({ min: 1, max: 90_000 }),
      async (layer, small, large) => {
        const shown = await readVolume([createOverlay(large, []), createOverlay(small, []), layerVolume(layer)]);
        const model = new Uint8Array(large);
        model.set(flatten([layer]).subarray(0, Math.min(small, large)));
        expect(Buffer.compare(shown, model)).toBe(0);
      },
    ),
    { numRuns: 60 },
  );
});

test("many patches are listed a part at a time, and every answer keeps the contract", async () => {
  const count = 10_000;
  const patches = Array.from(
    { length: count },
    (_, i): Patch => ({ start: i * 3, length: 2, bytes: i % 3 === 0 ? null : new Uint8Array([i & 0xff, 1]) }),
  );
  const size = count * 3 + 5;
  const overlay = checked(createOverlay(size, patches));
  expect((await overlay.extents(0, size)).length).toBeLessThan(9000);
  expect(Buffer.compare(await readVolume(overlay), modelOf(size, patches, [{ cell: 1, cells: [null], stopAfter: 1 }]))).toBe(0);
});

test("places past 2^32 are exact", async () => {
  const at = 2 ** 52 + 512;
  const overlay = createOverlay(2 ** 53 - 512, [{ start: at, length: 3, bytes: new Uint8Array([1, 2, 3]) }]);
  expect(await overlay.extents(at - 1, 10)).toEqual([
    { kind: "hole", start: at - 1, length: 1 },
    { kind: "raw", start: at, length: 3, file: 0, at: 0 },
    { kind: "hole", start: at + 3, length: 6 },
  ]);
});

test("a patch whose bytes are not as many as it says is a mistake of the program", () => {
  expect(() => createOverlay(512, [{ start: 0, length: 4, bytes: new Uint8Array(3) }])).toThrow("a patch of 4 bytes has 3");
});
