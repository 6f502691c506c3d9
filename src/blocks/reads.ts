import type { PlacedExtent } from "../core/ports.ts";

/** Neighbours closer than this are read in one go: a call costs more than reading the gap. */
const GAP = 64 << 10;
/** A read never grows past this by joining: its room stays with the worker (8 MiB took 40 MiB more over a deep chain, and were no faster). */
const READ_LIMIT = 2 << 20;

/** One read of a source that serves several extents. */
export interface PlannedRead {
  readonly source: number;
  readonly at: number;
  length: number;
  readonly extents: PlacedExtent[];
}

/** Bytes of its file that an extent needs. */
export const footprint = (extent: PlacedExtent): number => (extent.kind === "raw" ? extent.length : extent.packed);

/** Joins what lies close together in a file into few large reads; every extent is served by exactly one. */
export function planReads(extents: readonly PlacedExtent[]): PlannedRead[] {
  const sorted = [...extents].sort((a, b) => a.file - b.file || a.at - b.at);
  const reads: PlannedRead[] = [];
  let last: PlannedRead | undefined;
  for (const extent of sorted) {
    const end = extent.at + footprint(extent);
    if (last !== undefined && last.source === extent.file && extent.at <= last.at + last.length + GAP && end - last.at <= READ_LIMIT) {
      last.length = Math.max(last.length, end - last.at);
      last.extents.push(extent);
    } else {
      last = { source: extent.file, at: extent.at, length: footprint(extent), extents: [extent] };
      reads.push(last);
    }
  }
  return reads;
}
