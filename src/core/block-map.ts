import { DiskError } from "./errors.ts";
import { type Extent, type MergeLayers, MOST_MERGED_RUNS, type PackedExtent, type RawExtent, type Volume } from "./model.ts";
import { firstAtLeast } from "./sorted.ts";

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

/**
 * The map offset → volume with the newest data, for one window: contiguous runs from `start`, at least one,
 * ending at `start + length` or sooner (where a volume stopped early), so a huge disk is never materialised.
 */
export type BlockMap = (start: number, length: number, signal?: AbortSignal) => Promise<Run[]>;

interface Hole {
  readonly kind: "hole";
  readonly start: number;
  readonly length: number;
}
type Piece = Hole | Run["extent"];

const zero = (start: number, length: number, allocated: boolean): ZeroExtent => ({ kind: "zero", start, length, allocated });
const hole = (start: number, length: number): Hole => ({ kind: "hole", start, length });

/** What one layer says about a part of the disk: contiguous pieces, where each ends, and the same with holes' ends negative. */
interface Answer {
  readonly pieces: readonly Piece[];
  readonly stops: Float64Array;
  readonly ends: Float64Array;
}

function answerOf(pieces: readonly Piece[]): Answer {
  const stops = new Float64Array(pieces.length);
  const ends = new Float64Array(pieces.length);
  for (let i = 0; i < pieces.length; i++) {
    const { kind, start, length } = pieces[i] as Piece;
    const stop = start + length;
    stops[i] = stop;
    ends[i] = kind === "hole" ? -stop : stop;
  }
  return { pieces, stops, ends };
}
const startOf = ({ pieces }: Answer): number => (pieces[0] as Piece).start;
const endOf = ({ stops }: Answer): number => stops[stops.length - 1] as number;

/** Layers below the newest that are asked at the same time: tables of 2 MiB each may be read for it. */
const ASKED_AHEAD = 8;

/**
 * The map of a chain of volumes, `chain[0]` the newest. Past the end of a shorter parent the disk reads as zero. Older layers are
 * asked only where newer ones have holes, and what they say about other places (a damaged table there) does no harm.
 * Each layer's last answer is kept, because layers stop early at different places.
 */
export function createBlockMap(chain: readonly Volume[], merge: MergeLayers): BlockMap {
  const [newest, ...older] = chain as readonly [Volume, ...Volume[]];
  if (older.length === 0) return async (start, length, signal) => ownRuns(await piecesOf(newest, start, start + length, signal));
  const kept: (Answer | undefined)[] = chain.map(() => undefined);
  const keptAt = (level: number, at: number): Answer | null => {
    const last = kept[level];
    return last !== undefined && at >= startOf(last) && at < endOf(last) ? last : null;
  };
  const ask = async (level: number, above: readonly Answer[], from: number, to: number, signal?: AbortSignal): Promise<Answer> => {
    const volume = chain[level] as Volume;
    try {
      const answer = answerOf(await piecesOf(volume, from, to, signal));
      kept[level] = answer;
      return answer;
    } catch (error) {
      if (above.length === 0 || !(error instanceof DiskError)) throw error;
      return askWhereOpen(volume, above, from, to, merge, signal);
    }
  };
  /** Several layers read their tables at once; what comes of it is kept, a failure is met again when the layer's turn comes. */
  const askAhead = async (level: number, from: number, to: number, signal?: AbortSignal): Promise<void> => {
    const next = chain.slice(level, level + ASKED_AHEAD).map((volume, i) => ({ volume, level: level + i }));
    await Promise.all(
      next.map(async ({ volume, level }) => {
        if (keptAt(level, from) !== null) return;
        const pieces = await piecesOf(volume, from, to, signal).catch(() => null);
        if (pieces !== null) kept[level] = answerOf(pieces);
      }),
    );
  };
  return async (start, length, signal) => {
    const layers: Answer[] = [];
    let end = start + length;
    let [from, to] = [start, end];
    while (layers.length < chain.length && from < to) {
      const level = layers.length;
      if (level % ASKED_AHEAD === 1) await askAhead(level, from, to, signal);
      const answer = keptAt(level, from) ?? (await ask(level, layers, from, to, signal));
      layers.push(answer);
      // It stopped early: so does the window.
      if (endOf(answer) < to) end = to = endOf(answer);
      [from, to] = openRange(answer, from, to);
    }
    return mergedRuns(layers, start, end, merge);
  };
}

/** Asks a layer, part by part, only for what newer ones leave open; up to where it cannot answer. */
async function askWhereOpen(
  volume: Volume,
  above: readonly Answer[],
  from: number,
  to: number,
  merge: MergeLayers,
  signal?: AbortSignal,
): Promise<Answer> {
  const { owner, end: ends, length } = mergeWindow(above, from, to, merge);
  const pieces: Piece[] = [];
  for (let run = 0, at = from; run < length; run++) {
    const stop = ends[run] as number;
    if (owner[run] !== above.length) pieces.push(hole(at, stop - at));
    else {
      try {
        for (const piece of await piecesOf(volume, at, stop, signal)) pieces.push(piece);
      } catch (error) {
        if (pieces.length === 0) throw error;
        break;
      }
      if (stopOf(pieces) < stop) break;
    }
    at = stop;
  }
  return answerOf(pieces);
}

const stopOf = (pieces: readonly Piece[]): number => {
  const last = pieces[pieces.length - 1] as Piece;
  return last.start + last.length;
};

/** A layer's own answer, cut at its end: past that it hides what is below, and holds nothing. */
async function piecesOf(volume: Volume, from: number, to: number, signal?: AbortSignal): Promise<Piece[]> {
  if (from >= volume.size) return [zero(from, to - from, false)];
  const inside = Math.min(to, volume.size);
  const pieces: Piece[] = [];
  for (const extent of await volume.extents(from, inside - from, signal)) {
    if (extent.kind === "zero") pieces.push(zero(extent.start, extent.length, true));
    else if (extent.kind !== "raw" || volume.files[extent.file]?.dataRanges === undefined) pieces.push(extent);
    else {
      for (const part of allocatedParts(volume, extent)) pieces.push(part);
      if (stopOf(pieces) < extent.start + extent.length) return pieces;
    }
  }
  if (stopOf(pieces) === inside && inside < to) pieces.push(zero(inside, to - inside, false));
  return pieces;
}

/** From the first to the last hole of an answer, inside `from..to`. */
function openRange({ pieces, stops }: Answer, from: number, to: number): [number, number] {
  let first = firstAtLeast(stops, from + 1);
  let last = Math.min(firstAtLeast(stops, to), pieces.length - 1);
  while (first <= last && pieces[first]?.kind !== "hole") first++;
  while (last >= first && pieces[last]?.kind !== "hole") last--;
  if (first > last) return [to, to];
  return [Math.max(from, (pieces[first] as Piece).start), Math.min(to, stops[last] as number)];
}

/** One layer's pieces in a window, and the number of the first; where it was not asked it has a hole. */
interface LayerWindow {
  readonly first: number;
  readonly ends: Float64Array;
}

function layerWindow({ pieces, stops, ends }: Answer, start: number, end: number): LayerWindow {
  const first = firstAtLeast(stops, start + 1);
  const inside = ends.subarray(first, firstAtLeast(stops, end) + 1);
  const begin = (pieces[first] as Piece).start;
  const isShort = (stops[stops.length - 1] as number) < end;
  if (begin <= start && !isShort) return { first, ends: inside };
  const lead = begin > start ? 1 : 0;
  const filled = new Float64Array(lead + inside.length + (isShort ? 1 : 0));
  if (lead > 0) filled[0] = -begin;
  filled.set(inside, lead);
  if (isShort) filled[filled.length - 1] = -end;
  return { first: first - lead, ends: filled };
}

/** The layers' windows, and what they show together; a shorter window where the kernel has no room for all of it. */
function mergeWindow(layers: readonly Answer[], start: number, end: number, merge: MergeLayers) {
  for (;;) {
    const windows = layers.map((layer) => layerWindow(layer, start, end));
    const count = windows.reduce((sum, { ends }) => sum + ends.length, 0);
    if (count <= MOST_MERGED_RUNS) {
      const lists = windows.map(({ ends }) => ends);
      return { windows, ...merge(lists, start, end) };
    }
    end = start + Math.max(1, Math.floor((end - start) / 2));
  }
}

/** What a layer shows that has none below: nothing to merge, only its holes. */
function ownRuns(pieces: readonly Piece[]): Run[] {
  const runs: Run[] = [];
  let before = 0;
  for (const piece of pieces) {
    if (piece.kind !== "hole") {
      before = 0;
      runs.push({ volume: 0, extent: piece });
    } else {
      if (before > 0) runs.pop();
      before += piece.length;
      runs.push({ volume: 1, extent: zero(piece.start + piece.length - before, before, false) });
    }
  }
  return runs;
}

function mergedRuns(layers: readonly Answer[], start: number, end: number, merge: MergeLayers): Run[] {
  const { windows, length, owner, index, end: ends } = mergeWindow(layers, start, end, merge);
  const runs: Run[] = [];
  for (let run = 0, at = start; run < length; run++) {
    const volume = owner[run] as number;
    const size = (ends[run] as number) - at;
    const window = windows[volume];
    const piece = window && (layers[volume] as Answer).pieces[window.first + (index[run] as number)];
    if (piece === undefined || piece.kind === "hole") runs.push({ volume, extent: zero(at, size, false) });
    else runs.push({ volume, extent: clip(piece, at, size) });
    at += size;
  }
  return runs;
}

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
  if (start === extent.start && length === extent.length) return extent;
  const moved = start - extent.start;
  if (extent.kind === "raw") return { ...extent, start, length, at: extent.at + moved };
  if (extent.kind === "packed") return { ...extent, start, length, skip: extent.skip + moved };
  return { ...extent, start, length };
}
