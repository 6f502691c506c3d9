import type { Extent, PackedExtent, RawExtent, Volume } from "./model.ts";

/** A resolved piece of the disk and the volume that holds its newest data; volume 0 is the newest. */
export interface Run {
  readonly volume: number;
  readonly extent: RawExtent | PackedExtent | ZeroExtent;
}
/** `allocated`: a volume says so explicitly; otherwise no volume holds anything here. */
export interface ZeroExtent {
  readonly kind: "zero";
  readonly start: number;
  readonly length: number;
  readonly allocated: boolean;
}

const zero = (start: number, length: number, allocated: boolean): ZeroExtent => ({ kind: "zero", start, length, allocated });

/**
 * The map offset → volume with the newest data, for one window: contiguous runs from `start`, at least one,
 * ending at `start + length` or sooner (where a volume stopped early), so a huge disk is never materialised.
 * `chain[0]` is the newest volume. Past the end of a shorter parent the disk reads as zero.
 */
export async function resolveRuns(
  chain: readonly Volume[],
  start: number,
  length: number,
  signal?: AbortSignal,
  level = 0,
): Promise<Run[]> {
  const volume = chain[level];
  const end = start + length;
  if (volume === undefined || start >= volume.size) return [{ volume: level, extent: zero(start, length, false) }];
  const runs: Run[] = [];
  const inside = Math.min(end, volume.size);
  let at = start;
  for (const extent of await volume.extents(start, inside - start, signal)) {
    at = extent.start + extent.length;
    if (extent.kind === "zero") runs.push({ volume: level, extent: zero(extent.start, extent.length, true) });
    else if (extent.kind === "raw") {
      for (const part of allocatedParts(volume, extent)) runs.push({ volume: level, extent: part });
      const last = runs[runs.length - 1] as Run;
      if (last.extent.start + last.extent.length < at) return runs;
    } else if (extent.kind === "packed") runs.push({ volume: level, extent });
    else {
      const below = await resolveRuns(chain, extent.start, extent.length, signal, level + 1);
      for (const run of below) runs.push(run);
      if (endOf(below) < at) return runs;
    }
  }
  if (at === inside && inside < end) runs.push({ volume: level, extent: zero(inside, end - inside, false) });
  return runs;
}

const endOf = (runs: readonly Run[]): number => {
  const last = (runs[runs.length - 1] as Run).extent;
  return last.start + last.length;
};

/** One answer of the map lists no more parts of one extent than this. */
const MOST_PARTS = 4096;

/** What is known to be a hole in the file itself is zero, without reading it; stops early rather than list too much. */
function allocatedParts(volume: Volume, extent: RawExtent): (RawExtent | ZeroExtent)[] {
  const ranges = volume.files[extent.file]?.dataRanges?.(extent.at, extent.length);
  if (ranges === undefined) return [extent];
  const parts: (RawExtent | ZeroExtent)[] = [];
  const shift = extent.start - extent.at;
  let at = extent.start;
  for (const range of ranges) {
    if (parts.length >= MOST_PARTS) return parts;
    const start = range.start + shift;
    if (start > at) parts.push(zero(at, start - at, true));
    parts.push(clip(extent, start, range.length));
    at = start + range.length;
  }
  const end = extent.start + extent.length;
  if (at < end) parts.push(zero(at, end - at, true));
  return parts;
}

/** Cuts an extent to a range that lies inside it. */
export function clip<E extends Extent | ZeroExtent>(extent: E, start: number, length: number): E {
  const moved = start - extent.start;
  if (extent.kind === "raw") return { ...extent, start, length, at: extent.at + moved };
  if (extent.kind === "packed") return { ...extent, start, length, skip: extent.skip + moved };
  return { ...extent, start, length };
}
