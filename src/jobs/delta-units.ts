import type { Range } from "../core/model.ts";
import type { BlockResult } from "../core/ports.ts";
import type { ImageWriter, Write } from "../core/target.ts";
import { changedUnits, type Over, toldRuns } from "./delta.ts";
import type { Disk } from "./disk.ts";
import type { Survey } from "./survey.ts";

/** Zero units that are written in one go. */
const MOST_ZEROS = 4096;

/** The writes of a whole image: every unit that is not all zero. */
export function* unitWrites(writer: ImageWriter, result: BlockResult, from = 0, to = result.index.length): Generator<Write> {
  for (let i = from; i < to; i++) {
    const bytes = new Uint8Array(result.buffer, result.offset[i], result.length[i]);
    yield* writer.put(result.index[i] as number, { kind: result.packed[i] === 1 ? "packed" : "data", bytes });
  }
}

/** The writes of a delta, in the order of the disk, in batches that are each to be carried out before the next is asked for. */
export interface DeltaUnits {
  /** Of the changed units up to the last of `result`: those in it as data, those before and between as zeros. */
  writes(result: BlockResult): AsyncGenerator<Iterable<Write>>;
  /** Of the changed units behind the last result: zeros. */
  rest(): AsyncGenerator<Iterable<Write>>;
}

/** `changes`: the ranges of changed units (see `changedUnits`); results hold only units that are not all zero, and may hold others than these. */
export function createDeltaUnits(writer: ImageWriter, changes: AsyncGenerator<Range>): DeltaUnits {
  const { unit } = writer;
  /** The range at hand, in units; null before the first and after the last. */
  let first = 0;
  let end = 0;
  let isOver = false;

  function* zeros(from: number, to: number): Generator<Write> {
    if (writer.putZero === undefined) throw new Error("this writer has no explicit zeros");
    for (let index = from; index < to; index++) yield* writer.putZero(index);
  }
  /** Explicit zeros for the changed units below `limit`. */
  async function* zerosBelow(limit: number): AsyncGenerator<Iterable<Write>> {
    for (;;) {
      while (first < Math.min(end, limit)) {
        const stop = Math.min(end, limit, first + MOST_ZEROS);
        yield zeros(first, stop);
        first = stop;
      }
      if (first < end || isOver) return;
      const { value, done } = await changes.next();
      if (done === true) isOver = true;
      else {
        first = Math.floor(value.start / unit);
        end = Math.ceil((value.start + value.length) / unit);
      }
    }
  }
  return {
    async *writes(result) {
      for (let i = 0; i < result.index.length; ) {
        const index = result.index[i] as number;
        yield* zerosBelow(index);
        if (isOver || index < first) {
          i++; // in the same grain as a changed unit
          continue;
        }
        let stop = i;
        while (stop < result.index.length && result.index[stop] === first && first < end) {
          stop++;
          first++;
        }
        yield unitWrites(writer, result, i, stop);
        i = stop;
      }
    },
    rest: () => zerosBelow(Number.POSITIVE_INFINITY),
  };
}

/**
 * What the changed units of a delta hold; the rest of the disk counts as held by no layer. `onData` is told the units, in whole ranges. The
 * map is walked once from end to end: asked for each unit alone, every layer would have to look up its tables anew.
 */
export async function surveyChanges(
  disk: Disk,
  over: Over,
  unit: number,
  salvage: boolean,
  onData: (start: number, length: number) => void,
  signal: AbortSignal,
): Promise<Survey> {
  const held = { raw: 0, packed: 0 };
  let changedBytes = 0;
  const units = changedUnits(disk, over, unit, salvage, signal);
  const next = async (): Promise<Range | null> => {
    const { value, done } = await units.next();
    if (done === true) return null;
    onData(value.start, value.length);
    changedBytes += value.length;
    return value;
  };
  let open = await next();
  const add = async (kind: keyof typeof held, { start, length }: Range): Promise<void> => {
    const end = start + length;
    while (open !== null && open.start < end) {
      const stop = open.start + open.length;
      held[kind] += Math.max(0, Math.min(stop, end) - Math.max(open.start, start));
      if (stop > end) return;
      open = await next();
    }
  };
  for await (const { lost, runs } of toldRuns(disk, 0, open === null ? 0 : disk.size, salvage, signal)) {
    for (const range of lost) await add("raw", range);
    for (const { extent } of runs) if (extent.kind !== "zero") await add(extent.kind, extent);
  }
  while (open !== null) open = await next();
  const none = new Float64Array(1);
  const holeBytes = disk.size - changedBytes;
  return {
    dataBytes: held.raw,
    packedBytes: held.packed,
    zeroBytes: changedBytes - held.raw - held.packed,
    holeBytes,
    cells: { cellBytes: disk.size, data: none, packed: none, zero: none, hole: Float64Array.of(disk.size) },
  };
}
