import { placer } from "../core/grains.ts";
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

/** Joins what lies close together in a file into few large reads; every extent is served by exactly one. Exported for its tests. */
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

/** Pieces that are smaller on average are read by `planReads`, which joins them over gaps: a read costs more than copying what it gives. */
const LEAST_PIECE = 256 << 10;

/** What an order asks of its sources, in this order; whoever reads for it goes by this. */
export interface OrderReads {
  readonly reads: readonly PlannedRead[];
  /** Plain data of one file, in the order of the disk: one behind the other the reads are the order's bytes. */
  readonly whole: boolean;
}

export function orderReads(order: BlockOrder): OrderReads {
  const pieces = wholePieces(order);
  return { reads: pieces ?? planReads(order), whole: pieces !== null };
}

function wholePieces(order: BlockOrder): PlannedRead[] | null {
  const { grains, grain, unit, diskSize, extents, salvage } = order;
  if (salvage) return null;
  const place = placer(order);
  const pieces: PlannedRead[] = [];
  let total = 0;
  for (const extent of extents) {
    const { kind, file, start, at, length } = extent;
    const last = pieces[pieces.length - 1];
    if (kind !== "raw" || (last !== undefined && file !== last.source) || place(start) !== total) return null;
    if (last !== undefined && last.at + last.length === at) {
      last.length += length;
      last.extents.push(extent);
    } else pieces.push({ source: file, at, length, extents: [extent], straight: true });
    total += length;
  }
  const covered = (grains.length - 1) * grain + Math.min(grain, diskSize - (grains[grains.length - 1] as number));
  const isWhole = total === covered && covered % unit === 0;
  return isWhole && (pieces.length === 1 || total >= pieces.length * LEAST_PIECE) ? pieces : null;
}
