import type { Range } from "../core/model.ts";
import type { BlockResult } from "../core/ports.ts";
import type { ImageWriter, Write } from "../core/target.ts";
import { changedUnits, type Over } from "./delta.ts";
import type { Disk } from "./disk.ts";
import { type Survey, survey } from "./survey.ts";

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

/** What the changed units of a delta hold; the rest of the disk counts as held by no layer. */
export async function surveyChanges(
  disk: Disk,
  over: Over,
  unit: number,
  salvage: boolean,
  onData: (start: number, length: number) => void,
  signal: AbortSignal,
): Promise<Survey> {
  const totals = { dataBytes: 0, packedBytes: 0, zeroBytes: 0, holeBytes: disk.size };
  for await (const { start, length } of changedUnits(disk, over, unit, salvage, signal)) {
    onData(start, length);
    const part = await survey(disk, { cells: 1, salvage, start, end: start + length }, signal);
    totals.dataBytes += part.dataBytes;
    totals.packedBytes += part.packedBytes;
    totals.zeroBytes += part.zeroBytes + part.holeBytes;
    totals.holeBytes -= length;
  }
  const none = new Float64Array(1);
  return { ...totals, cells: { cellBytes: disk.size, data: none, packed: none, zero: none, hole: Float64Array.of(disk.size) } };
}
