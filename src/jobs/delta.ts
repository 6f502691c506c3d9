import { BitSet } from "../core/bit-set.ts";
import { DiskError } from "../core/errors.ts";
import type { Origin, Range, Volume } from "../core/model.ts";
import type { BlockPool, Compute } from "../core/ports.ts";
import type { Base } from "../core/target.ts";
import { diskAt } from "./chain.ts";
import { differingPieces } from "./compare.ts";
import { type Disk, requireReadable } from "./disk.ts";
import type { Report } from "./progress.ts";
import { MIN_GRAIN, mapRuns } from "./walk.ts";

/** What a delta is written over. */
export interface Over {
  readonly base: Base;
  /** What the base shows, through its own parents. */
  readonly disk: Disk;
  /** Where the source may show something else than the base, ascending and disjoint, told as often as asked; null: what the layers above the base hold. */
  readonly changes: Iterable<Range> | null;
}

/** What a layer over `volume` states about it. `name`: of its file. */
export function baseOf({ format, size, identity, version, details, parent, files }: Volume, name: string): Base {
  const isSplit = format === "raw" && files.length > 1;
  return { name, format, size, identity, version, details, isLayer: parent !== null, isSplit };
}

/**
 * What a layer over `base` means for a disk; where the disk does not lie over it, the two are read and compared. `name`: of the base's
 * file. A `usage` error where whoever opens that file would see another disk than `base`.
 */
export async function overBase(
  disk: Disk,
  base: Disk,
  name: string,
  { pool, compute }: { readonly pool: BlockPool; readonly compute: Pick<Compute, "mergeLayers"> },
  report: Report,
  signal: AbortSignal,
): Promise<Over> {
  const top = base.chain[0];
  if (top === undefined) throw new Error("a chain has at least one volume");
  if (top.wrapping !== undefined)
    throw new DiskError("usage", `${name} is wrapped (${top.wrapping.join(", ")}): a layer cannot lie over it`, { file: name });
  if (top.snapshot !== undefined)
    throw new DiskError("usage", `${name} is shown as its snapshot ${top.snapshot} has it: a layer lies over what it holds now`, {
      file: name,
    });
  const level = levelOf(base, disk);
  if (level !== null) return { base: baseOf(top, name), disk: diskAt(disk, level, compute), changes: null };
  requireReadable(base);
  return { base: baseOf(top, name), disk: base, changes: await differingRanges(disk, base, pool, report, signal) };
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
  for await (const { start, length } of over.changes ?? knownChanges(disk, over, salvage, signal)) {
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

/** What the layers above a base hold, from one walk over all of them. */
interface KnownChanges {
  readonly disk: Disk;
  readonly salvage: boolean;
  /** A start and an end each. */
  readonly borders: Float64Array;
}
const KNOWN = new WeakMap<Over, KnownChanges>();
/** A million ranges, 16 MiB: of a disk with more of them, every walk asks the layers again. */
const MOST_BORDERS = 2 ** 21;

/**
 * The same at every call for one `over`. A conversion goes through the changes six times, two of them at once: layers that are asked from
 * different places in turn read their tables over and over.
 */
async function* knownChanges(disk: Disk, over: Over, salvage: boolean, signal: AbortSignal): AsyncGenerator<Range> {
  const known = KNOWN.get(over);
  if (known?.disk === disk && known.salvage === salvage) {
    const { borders } = known;
    for (let i = 0; i < borders.length; i += 2) {
      const start = borders[i] as number;
      yield { start, length: (borders[i + 1] as number) - start };
    }
    return;
  }
  const borders: number[] = [];
  for await (const { start, length } of ownChanges(disk, over.disk, salvage, signal)) {
    yield { start, length };
    if (borders[borders.length - 1] === start) borders[borders.length - 1] = start + length;
    else if (borders.length < MOST_BORDERS) borders.push(start, start + length);
  }
  if (borders.length < MOST_BORDERS) KNOWN.set(over, { disk, salvage, borders: Float64Array.from(borders) });
}

async function* ownChanges(disk: Disk, base: Disk, salvage: boolean, signal: AbortSignal): AsyncGenerator<Range> {
  const own = layersAbove(disk, base);
  if (own === null) throw new Error("the base is not one of the disk's layers: its changes have to be given");
  for await (const { lost, runs } of toldRuns(disk, 0, disk.size, salvage, signal)) {
    yield* lost;
    for (const { volume, extent } of runs) {
      if (volume >= own) continue;
      if (extent.kind !== "zero") yield extent;
      else yield* dataOf(base, extent, salvage, signal);
    }
  }
}

/** Where the base holds data in a range. */
async function* dataOf(base: Disk, { start, length }: Range, salvage: boolean, signal: AbortSignal): AsyncGenerator<Range> {
  for await (const { lost, runs } of toldRuns(base, start, Math.min(start + length, base.size), salvage, signal)) {
    yield* lost;
    for (const { extent } of runs) if (extent.kind !== "zero") yield extent;
  }
}

/** The runs of a map between two places; in salvage mode with the ranges before them that it cannot tell, so that all come in the order of the disk. */
export async function* toldRuns(disk: Disk, start: number, end: number, salvage: boolean, signal: AbortSignal) {
  const lost: Range[] = [];
  const onLost = salvage ? (range: Range) => void lost.push(range) : null;
  for await (const runs of mapRuns(disk, start, end, signal, onLost)) yield { lost: lost.splice(0), runs };
  yield { lost, runs: [] };
}

/**
 * Reads both disks and finds where they differ, up to the end of the first: the changes of a delta over a base that knows nothing of it.
 * They are kept as one bit for each 64 KiB, for a disk may differ in every other piece.
 */
export async function differingRanges(
  disk: Disk,
  base: Disk,
  pool: BlockPool,
  report: Report,
  signal: AbortSignal,
): Promise<Iterable<Range>> {
  const pieces = new BitSet();
  for await (const { start } of differingPieces(disk, base, pool, report, signal)) {
    if (start >= disk.size) break;
    pieces.add(start / MIN_GRAIN);
  }
  return {
    *[Symbol.iterator]() {
      for (const { start, length } of pieces.runs()) {
        const at = start * MIN_GRAIN;
        yield { start: at, length: Math.min(length * MIN_GRAIN, disk.size - at) };
      }
    },
  };
}

/**
 * At which level of the disk's chain the base lies, when both were opened from the same files in the same way: then the base's share of the data is known
 * without reading any. Null: it is another disk.
 */
export function levelOf(base: Disk, disk: Disk): number | null {
  const level = disk.chain.length - base.chain.length;
  return level > 0 && base.chain.every((volume, i) => showsSame(volume, disk.chain[level + i] as Volume)) ? level : null;
}

function showsSame(a: Volume, b: Volume): boolean {
  if (a.format !== b.format || a.snapshot !== b.snapshot || a.files.length === 0 || a.files.length !== b.files.length) return false;
  return a.files.every((file, i) => file === b.files[i] || (file.origin !== null && isSameOrigin(file.origin, b.files[i]?.origin)));
}
const isSameOrigin = (a: Origin, b: Origin | null | undefined): boolean => b != null && a.handle === b.handle && a.at === b.at;
