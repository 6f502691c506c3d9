import { checkRange } from "../core/bytes.ts";
import type { ByteSource, Range } from "../core/model.ts";

/** A file of which only some ranges are stored, one after another in `stored`; between them it is zero. `ranges`: ascending, apart. */
export function sparseSource(stored: ByteSource, size: number, ranges: readonly Range[]): ByteSource {
  const places: number[] = [];
  let place = 0;
  for (const { length } of ranges) {
    places.push(place);
    place += length;
  }
  /** The first range that ends behind `at`. */
  const first = (at: number): number => {
    let [low, high] = [0, ranges.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { start, length } = ranges[middle] as Range;
      if (start + length <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const { name } = stored;
  return {
    name,
    size,
    origin: null,
    async read(at, length, signal) {
      checkRange({ name, size }, at, length);
      const out = new Uint8Array(length);
      for (let i = first(at); i < ranges.length; i++) {
        const range = ranges[i] as Range;
        const start = Math.max(at, range.start);
        const end = Math.min(at + length, range.start + range.length);
        if (start >= end) break;
        out.set(await stored.read((places[i] as number) + start - range.start, end - start, signal), start - at);
      }
      return out;
    },
    *dataRanges(at, length) {
      for (let i = first(at); i < ranges.length; i++) {
        const range = ranges[i] as Range;
        const start = Math.max(at, range.start);
        const end = Math.min(at + length, range.start + range.length);
        if (start >= end) return;
        yield { start, length: end - start };
      }
    },
  };
}
