import type { Base, Origin, Range, Volume } from "../core/model.ts";
import type { BlockPool } from "../core/ports.ts";
import { differingPieces } from "./compare.ts";
import type { Disk } from "./disk.ts";
import type { Report } from "./progress.ts";
import { mapRuns } from "./walk.ts";

/** What a delta is written over. */
export interface Over {
  readonly base: Base;
  /** What the base shows, through its own parents. */
  readonly disk: Disk;
  /** Where the source may show something else than the base, ascending and disjoint; null: what the layers above the base hold. */
  readonly changes: readonly Range[] | null;
}

/** What a layer over `volume` states about it. `name`: of its file. */
export function baseOf({ format, size, identity, version, details, parent }: Volume, name: string): Base {
  return { name, format, size, identity, version, details, isLayer: parent !== null };
}

/** How many of the disk's newest layers lie above the base; null: the base is not one of the disk's layers. */
export function layersAbove(disk: Disk, base: Disk): number | null {
  const own = disk.chain.length - base.chain.length;
  return own > 0 && base.chain.every((volume, i) => disk.chain[own + i] === volume) ? own : null;
}

/**
 * Whole units that a delta has to hold, as ascending, disjoint ranges (the last may be cut at the end of the disk): those in which a layer
 * above the base holds data, or zeros over data of the base. In salvage mode what cannot be read counts as changed.
 */
export async function* changedUnits(disk: Disk, over: Over, unit: number, salvage: boolean, signal: AbortSignal): AsyncGenerator<Range> {
  let open: Range | null = null;
  for await (const { start, length } of over.changes ?? ownChanges(disk, over.disk, salvage, signal)) {
    const from = Math.floor(start / unit) * unit;
    const to = Math.min(Math.ceil((start + length) / unit) * unit, disk.size);
    if (open !== null && from <= open.start + open.length) {
      open = { start: open.start, length: Math.max(to - open.start, open.length) };
      continue;
    }
    if (open !== null) yield open;
    open = { start: from, length: to - from };
  }
  if (open !== null) yield open;
}

async function* ownChanges(disk: Disk, base: Disk, salvage: boolean, signal: AbortSignal): AsyncGenerator<Range> {
  const own = layersAbove(disk, base);
  if (own === null) throw new Error("the base is not one of the disk's layers: its changes have to be given");
  const lost: Range[] = [];
  const onLost = salvage ? (range: Range) => lost.push(range) : null;
  for await (const runs of mapRuns(disk, 0, disk.size, signal, onLost)) {
    yield* lost.splice(0);
    for (const { volume, extent } of runs) {
      if (volume >= own) continue;
      if (extent.kind !== "zero") yield extent;
      else yield* dataOf(base, extent, signal, onLost);
    }
  }
  yield* lost;
}

/** Where the base holds data in a range. */
async function* dataOf(
  base: Disk,
  { start, length }: Range,
  signal: AbortSignal,
  onLost: ((lost: Range) => void) | null,
): AsyncGenerator<Range> {
  const end = Math.min(start + length, base.size);
  for await (const runs of mapRuns(base, start, end, signal, onLost))
    for (const { extent } of runs) if (extent.kind !== "zero") yield extent;
}

/** Reads both disks and finds where they differ, up to the end of the first: the changes of a delta over a base that knows nothing of it. */
export async function differingRanges(
  disk: Disk,
  base: Disk,
  pool: BlockPool,
  report: Report,
  signal: AbortSignal,
): Promise<readonly Range[]> {
  const ranges: { start: number; length: number }[] = [];
  for await (const { start, length } of differingPieces(disk, base, pool, report, signal)) {
    if (start >= disk.size) break;
    const last = ranges[ranges.length - 1];
    if (last !== undefined && last.start + last.length === start) last.length += length;
    else ranges.push({ start, length });
  }
  const last = ranges[ranges.length - 1];
  if (last !== undefined) last.length = Math.min(last.length, disk.size - last.start);
  return ranges;
}

/**
 * At which level of the disk's chain the base lies, when both were opened from the same files: then the base's share of the data is known
 * without reading any. Null: it is another disk.
 */
export function levelOf(base: Disk, disk: Disk): number | null {
  const level = disk.chain.length - base.chain.length;
  return level > 0 && base.chain.every((volume, i) => sameFiles(volume, disk.chain[level + i] as Volume)) ? level : null;
}

function sameFiles({ files: a }: Volume, { files: b }: Volume): boolean {
  return a.length === b.length && a.every((file, i) => file === b[i] || (file.origin !== null && isSameOrigin(file.origin, b[i]?.origin)));
}
const isSameOrigin = (a: Origin, b: Origin | null | undefined): boolean => b != null && a.handle === b.handle && a.at === b.at;
