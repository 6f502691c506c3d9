import type { Disk } from "./disk.ts";
import { mapRuns } from "./walk.ts";

/** Bytes of each kind in equal cells of the disk; the last cell may be shorter. */
export interface CellSums {
  readonly cellBytes: number;
  readonly data: Float64Array;
  readonly packed: Float64Array;
  /** Explicitly zero. */
  readonly zero: Float64Array;
  /** Held by no layer. */
  readonly hole: Float64Array;
  /** What each volume of the chain is the newest holder of, the newest volume first, when asked for. Data lost to damage is nobody's. */
  readonly owners?: readonly OwnerSums[];
}

/** Bytes of data that one volume holds, in the same cells. */
export interface OwnerSums {
  readonly data: Float64Array;
  readonly packed: Float64Array;
}

/** What the block map says about a disk, without reading a byte of data. */
export interface Survey {
  readonly dataBytes: number;
  /** Packed data, as unpacked bytes. */
  readonly packedBytes: number;
  readonly zeroBytes: number;
  readonly holeBytes: number;
  readonly cells: CellSums;
}

/** Cells are whole multiples of this, so that a cell never splits a sector. */
const CELL_STEP = 4096;

export interface SurveyRequest {
  /** At most so many cells. */
  readonly cells: number;
  /** Carry on past damaged tables: what they cover counts as data. */
  readonly salvage: boolean;
  /** Only this part of the disk; absent: all of it. */
  readonly start?: number;
  readonly end?: number;
  /** Also sum up by volume. */
  readonly owners?: boolean;
  /** Called for each run of data, ascending. */
  readonly onData?: (start: number, length: number) => void;
}

export async function survey(disk: Disk, request: SurveyRequest, signal: AbortSignal): Promise<Survey> {
  const cellBytes = Math.max(CELL_STEP, Math.ceil(disk.size / request.cells / CELL_STEP) * CELL_STEP);
  const count = Math.ceil(disk.size / cellBytes);
  const sums = {
    data: new Float64Array(count),
    packed: new Float64Array(count),
    zero: new Float64Array(count),
    hole: new Float64Array(count),
  };
  const owners =
    request.owners === true ? disk.chain.map(() => ({ data: new Float64Array(count), packed: new Float64Array(count) })) : undefined;
  const totals = { data: 0, packed: 0, zero: 0, hole: 0 };
  const spread = (into: Float64Array, start: number, length: number): void => {
    const end = start + length;
    for (let cell = Math.floor(start / cellBytes), at = start; at < end; cell++) {
      const stop = Math.min(end, (cell + 1) * cellBytes);
      into[cell] = (into[cell] as number) + stop - at;
      at = stop;
    }
  };
  const add = (kind: keyof typeof sums, start: number, length: number): void => {
    totals[kind] += length;
    spread(sums[kind], start, length);
  };
  const onLost = request.salvage ? (lost: { start: number; length: number }) => add("data", lost.start, lost.length) : null;
  for await (const runs of mapRuns(disk, request.start ?? 0, request.end ?? disk.size, signal, onLost)) {
    for (const { volume, extent } of runs) {
      if (extent.kind === "zero") add(extent.allocated ? "zero" : "hole", extent.start, extent.length);
      else {
        const kind = extent.kind === "packed" ? "packed" : "data";
        add(kind, extent.start, extent.length);
        const owner = owners?.[volume];
        if (owner !== undefined) spread(owner[kind], extent.start, extent.length);
        request.onData?.(extent.start, extent.length);
      }
    }
  }
  return {
    dataBytes: totals.data,
    packedBytes: totals.packed,
    zeroBytes: totals.zero,
    holeBytes: totals.hole,
    cells: { cellBytes, ...sums, ...(owners && { owners }) },
  };
}
