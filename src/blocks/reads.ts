import type { BlockOrder, PlacedExtent } from "../core/ports.ts";

/** Neighbours closer than this are read in one go: a call costs more than reading the gap. */
const GAP = 64 << 10;
/**
 * What a read may grow to by joining where its bytes are copied on: its room stays with the worker (8 MiB took 40 MiB more over a deep
 * chain, and were no faster). Plain data in one piece goes to its place at once, and may be as much as the order.
 */
const READ_LIMIT = 2 << 20;

/** Bytes of a file. */
export interface FileRange {
  readonly at: number;
  readonly length: number;
}

export const totalBytes = (ranges: readonly FileRange[]): number => ranges.reduce((sum, { length }) => sum + length, 0);

/** One read of a source that serves several extents. */
export interface PlannedRead extends FileRange {
  readonly source: number;
  length: number;
  readonly extents: PlacedExtent[];
  /** Plain data in one piece: the extents follow each other in the file, and in the order's grains if no other extent lies between. */
  straight: boolean;
}

/** Bytes of its file that an extent needs. */
export const footprint = (extent: PlacedExtent): number => (extent.kind === "raw" ? extent.length : extent.packed);

/** Joins what lies close together in a file into few large reads; every extent is served by exactly one. */
export function planReads({ extents, grain }: Pick<BlockOrder, "extents" | "grain">): PlannedRead[] {
  const sorted = [...extents].sort((a, b) => a.file - b.file || a.at - b.at);
  const reads: PlannedRead[] = [];
  let last: PlannedRead | undefined;
  for (const extent of sorted) {
    const end = extent.at + footprint(extent);
    const goesOn = last !== undefined && extent.file === last.source && last.straight && continues(last, extent, grain);
    const isNear = last !== undefined && last.source === extent.file && extent.at <= last.at + last.length + GAP;
    if (last !== undefined && (goesOn || (isNear && end - last.at <= READ_LIMIT))) {
      last.length = Math.max(last.length, end - last.at);
      last.extents.push(extent);
      last.straight = goesOn;
    } else {
      last = { source: extent.file, at: extent.at, length: footprint(extent), extents: [extent], straight: extent.kind === "raw" };
      reads.push(last);
    }
  }
  return reads;
}

/** Whether a plain extent follows those of a straight read in the file, and on the disk, where grains without data may lie between. */
function continues({ at, length, extents }: PlannedRead, extent: PlacedExtent, grain: number): boolean {
  if (extent.kind !== "raw" || extent.at !== at + length) return false;
  const { start, length: before } = extents[extents.length - 1] as PlacedExtent;
  const stop = start + before;
  return extent.start === stop || (extent.start > stop && stop % grain === 0 && extent.start % grain === 0);
}

/** Position in an order's gathered grains of a place on the disk. */
export function placer({ grains, grain }: Pick<BlockOrder, "grains" | "grain">): (start: number) => number {
  const slot = new Map(grains.map((first, i) => [first, i * grain]));
  return (start) => {
    const first = start - (start % grain);
    return (slot.get(first) as number) + (start - first);
  };
}

/** Where a read's bytes belong as they are; null: other data lies between its extents, or nothing may be half-written (salvaging). */
export function placeOf(
  { straight, length, extents }: PlannedRead,
  { salvage }: BlockOrder,
  place: (start: number) => number,
): number | null {
  if (!straight || salvage) return null;
  const [first, last] = [extents[0] as PlacedExtent, extents[extents.length - 1] as PlacedExtent];
  const at = place(first.start);
  return place(last.start) + last.length - at === length ? at : null;
}

/** Data in more pieces than this is read by `planReads`, which joins pieces over gaps: a read costs more than copying what it gives. */
const MOST_PIECES = 32;

/** Plain data of one file that is an order's bytes when it is read piece by piece, in the order of the disk; null: it is not so. */
export function wholeRead(order: BlockOrder): { readonly source: number; readonly ranges: readonly FileRange[] } | null {
  const { grains, grain, unit, diskSize, extents, salvage } = order;
  const source = extents[0]?.file;
  if (source === undefined || salvage) return null;
  const place = placer(order);
  const ranges: { at: number; length: number }[] = [];
  let total = 0;
  for (const { kind, file, start, at, length } of extents) {
    if (kind !== "raw" || file !== source || place(start) !== total) return null;
    const last = ranges[ranges.length - 1];
    if (last !== undefined && last.at + last.length === at) last.length += length;
    else if (ranges.push({ at, length }) > MOST_PIECES) return null;
    total += length;
  }
  const covered = (grains.length - 1) * grain + Math.min(grain, diskSize - (grains[grains.length - 1] as number));
  return total === covered && covered % unit === 0 ? { source, ranges } : null;
}
