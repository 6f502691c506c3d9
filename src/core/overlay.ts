import { joined, memorySource } from "./bytes.ts";
import type { Extent, Range, Volume } from "./model.ts";
import { firstAtLeast } from "./sorted.ts";
import { STANDALONE } from "./standalone.ts";

/** A part of a disk that is shown otherwise than its chain has it. */
export interface Patch extends Range {
  /** `length` of them; null: zeros. */
  readonly bytes: Uint8Array | null;
}

/** One answer lists no more patches than this. */
const MOST_EXTENTS = 4096;

/**
 * A volume that lies on top of a chain: it holds `patches` (ascending, none overlaps another) and nothing else. `size` is the disk's
 * virtual size, which may differ from the chain's: past the end of a shorter chain the disk reads as zero.
 */
export function createOverlay(size: number, patches: readonly Patch[]): Volume {
  const bytes = patches.flatMap((patch) => (patch.bytes === null ? [] : [patch.bytes]));
  const content = joined(bytes);
  const places: number[] = [];
  let filled = 0;
  for (const patch of patches) {
    places.push(filled);
    if (patch.bytes === null) continue;
    if (patch.bytes.length !== patch.length) throw new Error(`a patch of ${patch.length} bytes has ${patch.bytes.length}`);
    filled += patch.length;
  }
  const stops = Float64Array.from(patches, ({ start, length }) => start + length);
  return {
    ...STANDALONE,
    format: "overlay",
    variant: "",
    size,
    unit: 0,
    files: [memorySource("changes", content)],
    notes: [],
    details: {},
    async extents(start, length) {
      const end = start + length;
      const extents: Extent[] = [];
      let at = start;
      for (let i = firstAtLeast(stops, start + 1); at < end && i < patches.length && extents.length < MOST_EXTENTS; i++) {
        const patch = patches[i] as Patch;
        if (patch.start >= end) break;
        if (patch.start > at) extents.push({ kind: "hole", start: at, length: patch.start - at });
        const from = Math.max(at, patch.start);
        const stop = Math.min(end, patch.start + patch.length);
        if (patch.bytes === null) extents.push({ kind: "zero", start: from, length: stop - from });
        else extents.push({ kind: "raw", start: from, length: stop - from, file: 0, at: (places[i] as number) + from - patch.start });
        at = stop;
      }
      if (at < end && extents.length < MOST_EXTENTS) extents.push({ kind: "hole", start: at, length: end - at });
      return extents;
    },
  };
}
