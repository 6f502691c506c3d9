import { DiskError } from "../../core/errors.ts";
import { countBefore } from "../../core/sorted.ts";
import { type BlockTable, type ChunkEntry, chunkAt, chunksOf, hasData, MOST_BYTES } from "./block-tables.ts";
import { KIND_RAW, KIND_ZERO, SECTOR } from "./spec.ts";

export const SOUND = 0;
/** Two chunks tell of the same sectors. */
export const OVERLAP = 1;
/** The table leaves sectors out that it says it covers. */
export const LEFT_OUT = 2;
/** The chunk's bytes do not lie inside the file. */
export const OUTSIDE = 3;
/** A raw chunk with another number of bytes in the file than on the disk. */
export const UNEQUAL = 4;
/** A packed chunk with more bytes in the file than packing can make of it. */
export const SWOLLEN = 5;
export type Fault = typeof SOUND | typeof OVERLAP | typeof LEFT_OUT | typeof OUTSIDE | typeof UNEQUAL | typeof SWOLLEN;

/** More than any of the codecs makes of data that it cannot pack: what is read at once follows from the chunk's size on the disk. */
const mostPacked = (length: number): number => length + length / 8 + (64 << 10);

/** What lies at a range of the disk: a chunk or, after a contradiction, what is left of one. */
export interface Segment {
  readonly start: number;
  readonly end: number;
  readonly fault: Fault;
  /** The table, and the whole chunk in it. */
  readonly table: BlockTable;
  readonly chunk: ChunkEntry;
}

/**
 * The chunks of all tables in the order of the disk, none overlapping; what none of them covers no table tells about. Up to 1.2 million
 * chunks fit into the largest property list that is read, so their entries stay where they are, in the tables.
 */
export class ChunkMap {
  /** End of what the tables tell about. */
  readonly end: number;
  /** The tables whose chunks go past the sectors that they say they cover. */
  readonly overrun: readonly BlockTable[];
  /** Kinds of the chunks that have data, and the most bytes of disk that one of them holds. */
  readonly kinds: ReadonlySet<number>;
  readonly largestChunk: number;
  readonly #tables: readonly BlockTable[];
  readonly #columns: Columns;

  /** `dataEnd`: end of what may be data in the file. */
  constructor(tables: readonly BlockTable[], dataEnd: number, file: string) {
    const entries = tables.reduce((sum, { head }) => sum + head.chunkCount, 0);
    // Each entry may have sectors left out before it, each table after its last.
    const all = new Columns(2 * entries + tables.length);
    const overrun: BlockTable[] = [];
    const kinds = new Set<number>();
    let end = 0;
    let largest = 0;
    const onData = ({ kind, length }: ChunkEntry): void => {
      kinds.add(kind);
      largest = Math.max(largest, length);
    };
    tables.forEach((table, number) => {
      const tableEnd = addTable(all, table, number, dataEnd, file, onData);
      if (tableEnd > statedEnd(table)) overrun.push(table);
      end = Math.max(end, tableEnd);
    });
    this.end = end;
    this.overrun = overrun;
    this.kinds = kinds;
    this.largestChunk = largest;
    this.#tables = tables;
    this.#columns = withoutOverlaps(all);
  }

  get length(): number {
    return this.#columns.length;
  }

  segment(i: number): Segment {
    const { start, end, table, index, fault } = this.#columns;
    const owner = this.#tables[table[i] as number] as BlockTable;
    const place = { start: start[i] as number, end: end[i] as number, fault: fault[i] as Fault, table: owner };
    if (fault[i] !== LEFT_OUT) return { ...place, chunk: chunkAt(owner, index[i] as number) };
    return { ...place, chunk: { index: index[i] as number, kind: KIND_ZERO, start: place.start, length: 0, at: owner.place, packed: 0 } };
  }

  /** Bytes of a disk of `size` that no segment tells about, and the number of segments with a fault. */
  coverage(size: number): { readonly uncovered: number; readonly damaged: number } {
    const { start, end, fault, length } = this.#columns;
    let uncovered = 0;
    let damaged = 0;
    let next = 0;
    for (let i = 0; i < length; i++) {
      uncovered += (start[i] as number) - next;
      next = end[i] as number;
      if (fault[i] !== SOUND) damaged++;
    }
    return { uncovered: uncovered + Math.max(0, size - next), damaged };
  }

  *[Symbol.iterator](): Generator<Segment> {
    for (let i = 0; i < this.length; i++) yield this.segment(i);
  }

  /** Number of the first segment that ends behind `position`; `length` when there is none. */
  firstEndingAfter(position: number): number {
    const { end, length } = this.#columns;
    return countBefore(length, (i) => (end[i] as number) <= position);
  }
}

/** Segments as parallel arrays. */
class Columns {
  readonly start: Float64Array;
  readonly end: Float64Array;
  /** Number of the table, and of the entry in it. */
  readonly table: Uint32Array;
  readonly index: Uint32Array;
  readonly fault: Uint8Array;
  length = 0;

  constructor(capacity: number) {
    this.start = new Float64Array(capacity);
    this.end = new Float64Array(capacity);
    this.table = new Uint32Array(capacity);
    this.index = new Uint32Array(capacity);
    this.fault = new Uint8Array(capacity);
  }

  push(start: number, end: number, fault: Fault, table: number, index: number): void {
    const i = this.length++;
    this.start[i] = start;
    this.end[i] = end;
    this.fault[i] = fault;
    this.table[i] = table;
    this.index[i] = index;
  }

  /** Numbers of the segments by where they begin. */
  order(): Uint32Array {
    const numbers = new Uint32Array(this.length);
    const { start } = this;
    let isSorted = true;
    for (let i = 1; i < numbers.length; i++) {
      numbers[i] = i;
      isSorted &&= (start[i] as number) >= (start[i - 1] as number);
    }
    return isSorted ? numbers : numbers.sort((a, b) => (start[a] as number) - (start[b] as number) || a - b);
  }
}

const statedEnd = ({ start, head }: BlockTable): number => start + Number(head.sectorCount) * SECTOR;

/** The end of what the table tells about. */
function addTable(
  all: Columns,
  table: BlockTable,
  number: number,
  dataEnd: number,
  file: string,
  onData: (chunk: ChunkEntry) => void,
): number {
  const stated = statedEnd(table);
  let next = table.start;
  for (const chunk of chunksOf(table)) {
    const end = chunk.start + chunk.length;
    if (end > MOST_BYTES)
      throw new DiskError("corrupt", `dmg: block table "${table.name}": chunk ${chunk.index} ends at byte ${end} of the disk, past 2^53`, {
        file,
        at: table.place,
      });
    if (chunk.start > next) all.push(next, chunk.start, LEFT_OUT, number, chunk.index);
    const fault = faultOf(chunk, dataEnd);
    all.push(chunk.start, end, fault, number, chunk.index);
    if (fault === SOUND && hasData(chunk.kind)) onData(chunk);
    next = Math.max(next, end);
  }
  if (next < stated && stated <= MOST_BYTES) all.push(next, stated, LEFT_OUT, number, table.head.chunkCount);
  return next;
}

/** What is wrong with a chunk by itself; `dataEnd`: end of what may be data in the file. */
export function faultOf({ kind, at, packed, length }: ChunkEntry, dataEnd: number): Fault {
  if (!hasData(kind)) return SOUND;
  if (at + packed > dataEnd) return OUTSIDE;
  if (kind === KIND_RAW) return packed === length ? SOUND : UNEQUAL;
  return packed > mostPacked(length) ? SWOLLEN : SOUND;
}

/**
 * Of sectors that two chunks tell about neither is believed; what the later one does not touch of the earlier one stays.
 * Sectors that one table leaves out and another tells about are no contradiction.
 */
function withoutOverlaps(all: Columns): Columns {
  const chunks = new Columns(all.length);
  const leftOut: number[] = [];
  for (const i of all.order()) {
    if (all.fault[i] === LEFT_OUT) leftOut.push(i);
    else addChunk(chunks, all, i);
  }
  return leftOut.length === 0 ? chunks : withLeftOut(chunks, all, leftOut);
}

/** Adds segment `i` of `all`, which begins no sooner than those added before. */
function addChunk(out: Columns, all: Columns, i: number): void {
  const start = all.start[i] as number;
  const end = all.end[i] as number;
  const push = (fault: Fault, to: number) => out.push(start, to, fault, all.table[i] as number, all.index[i] as number);
  const last = out.length - 1;
  const lastEnd = last < 0 ? 0 : (out.end[last] as number);
  if (start >= lastEnd) push(all.fault[i] as Fault, end);
  else if (out.fault[last] === OVERLAP) out.end[last] = Math.max(lastEnd, end);
  else {
    out.end[last] = start;
    if (out.start[last] === start) out.length--;
    push(OVERLAP, Math.max(lastEnd, end));
  }
}

/** The chunks, and between them what the segments `leftOut` of `all`, in order, have of the gaps. */
function withLeftOut(chunks: Columns, all: Columns, leftOut: readonly number[]): Columns {
  // Every piece of a gap ends where a chunk begins or where its own segment ends.
  const out = new Columns(2 * chunks.length + leftOut.length);
  let at = 0;
  let next = 0;
  const passChunks = (limit: number): void => {
    for (; next < chunks.length && (chunks.start[next] as number) <= limit; next++) {
      const end = chunks.end[next] as number;
      out.push(chunks.start[next] as number, end, chunks.fault[next] as Fault, chunks.table[next] as number, chunks.index[next] as number);
      at = Math.max(at, end);
    }
  };
  for (const i of leftOut) {
    const end = all.end[i] as number;
    at = Math.max(at, all.start[i] as number);
    passChunks(at);
    while (at < end) {
      const stop = next < chunks.length ? Math.min(end, chunks.start[next] as number) : end;
      out.push(at, stop, LEFT_OUT, all.table[i] as number, all.index[i] as number);
      at = stop;
      passChunks(at);
    }
  }
  passChunks(Number.POSITIVE_INFINITY);
  return out;
}
