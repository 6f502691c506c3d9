import fc from "fast-check";
import { memorySource } from "../core/bytes.ts";
import type { Extent, Volume } from "../core/model.ts";
import { STANDALONE } from "../core/standalone.ts";

/** One layer as a list of cells: null = hole, 0 = explicit zero, else data filled with that byte. */
export interface Layer {
  readonly cell: number;
  readonly cells: readonly (number | null)[];
  /** `extents` stops after so many cells, as readers do at table borders. */
  readonly stopAfter: number;
}

export const layerSize = ({ cell, cells }: Layer): number => cell * cells.length;

export function layerVolume({ cell, cells, stopAfter }: Layer, name = "layer"): Volume {
  const content = new Uint8Array(cell * cells.length);
  for (const [i, byte] of cells.entries()) content.fill(byte ?? 0xee, i * cell, (i + 1) * cell);
  return {
    ...STANDALONE,
    format: "test",
    variant: "",
    size: content.length,
    unit: cell,
    files: [memorySource(name, content)],
    notes: [],
    details: {},
    async extents(start, length) {
      const out: Extent[] = [];
      for (let at = start; at < start + length && out.length < stopAfter; ) {
        const step = Math.min(cell - (at % cell), start + length - at);
        const byte = cells[Math.floor(at / cell)];
        if (byte === null) out.push({ kind: "hole", start: at, length: step });
        else if (byte === 0) out.push({ kind: "zero", start: at, length: step });
        else out.push({ kind: "raw", start: at, length: step, file: 0, at });
        at += step;
      }
      return out;
    },
  };
}

/** What the chain shows, byte by byte: the naive model. */
export function flatten(layers: readonly Layer[]): Uint8Array {
  const out = new Uint8Array(layerSize(layers[0] as Layer));
  out.forEach((_, at) => {
    for (const { cell, cells } of layers) {
      if (at >= cell * cells.length) break;
      const byte = cells[Math.floor(at / cell)];
      if (byte === null) continue;
      out[at] = byte as number;
      break;
    }
  });
  return out;
}

export const arbitraryLayer = (cell: number, most: number): fc.Arbitrary<Layer> =>
  fc.record({
    cell: fc.constant(cell),
    cells: fc.array(fc.option(fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 255 }))), { minLength: 1, maxLength: most }),
    stopAfter: fc.integer({ min: 1, max: 8 }),
  });
