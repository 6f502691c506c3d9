import type { ScanTable, TableLayout, TableRuns } from "../../core/model.ts";
import { RUN_DATA, RUN_HOLE, RUN_PACKED, RUN_ZERO } from "../../core/model.ts";
import type { Header } from "./header.ts";
import type { Regions } from "./regions.ts";
import * as q from "./spec.ts";

export const HOLE = 0;
export const ZERO = 1;
export const RAW = 2;
export const PACKED = 3;
/** Cannot be known; `reason` says why. */
export const BAD = 4;

/** What a part of an L2 table says, as parallel arrays: contiguous, ascending, `end` after the last. */
export interface Slice {
  readonly length: number;
  readonly kind: Uint8Array;
  /** Virtual offset. */
  readonly start: Float64Array;
  /** RAW and PACKED: offset in the file. */
  readonly at: Float64Array;
  /** PACKED: bytes that the stream may take. */
  readonly packed: Float64Array;
  readonly reason: ReadonlyMap<number, string>;
  readonly end: number;
}

/** What the meaning of a slice depends on. */
export interface SliceContext {
  readonly header: Header;
  readonly regions: Regions;
  /** Size of the file that holds the image, and of the one that holds its raw clusters. */
  readonly fileSize: number;
  readonly dataSize: number;
  readonly diskSize: number;
  /** Guest clusters whose host cluster belongs to another one too. */
  readonly damaged: ReadonlySet<number>;
}

/** Whole entries of an L2 table, and runs of like ones; of an extended table, whose entries are taken one by one, null. */
export interface Entries {
  readonly table: Uint8Array;
  readonly runs: TableRuns | null;
}

/** Decodes entries, the first of which stands for the guest cluster at `start`. */
export function decodeSlice({ table, runs }: Entries, start: number, context: SliceContext): Slice {
  const { clusterSize, l2EntryBytes } = context.header;
  const inside = Math.min(table.length, Math.ceil((context.diskSize - start) / clusterSize) * l2EntryBytes);
  // Entries past the end mean that `size` or the table is damaged. The disk's last cluster stands for the end that cannot be known.
  const endless = table.subarray(inside).some((byte) => byte !== 0);
  const segments = new SegmentList(start, runs?.length ?? FEW, context);
  const known = table.subarray(0, endless ? inside - l2EntryBytes : inside);
  if (runs === null) decodeExtended(known, segments, context);
  else decodeStandard(known, runs, segments, context);
  if (endless) segments.bad(clusterSize, "the L2 table maps clusters past the end of the disk: size or the table is damaged");
  return segments.finish();
}

/** Entries with reserved bits come back one by one with the compressed ones; in version 2 the zero flag is reserved. */
export function scanEntries(table: Uint8Array, { clusterSize, version, extendedL2 }: Header, scanTable: ScanTable): Entries {
  if (extendedL2) return { table, runs: null };
  const reserved = version === 2 ? q.L2_RESERVED | q.L2_ZERO : q.L2_RESERVED;
  const layout: TableLayout = {
    entryBytes: 8,
    endian: "be",
    mask: q.L2_OFFSET,
    scale: 1,
    base: 0,
    unit: clusterSize,
    hole: 0n,
    zero: null,
    zeroBits: version === 2 ? 0n : q.L2_ZERO,
    packedBits: q.L2_COMPRESSED | reserved,
  };
  return { table, runs: scanTable(table, layout) };
}

function decodeStandard(table: Uint8Array, runs: TableRuns, segments: SegmentList, { header }: SliceContext): void {
  const { clusterSize } = header;
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const entries = table.length / 8;
  for (let run = 0; run < runs.length; run++) {
    const kind = runs.kind[run];
    const first = runs.first[run] as number;
    if (first >= entries) break;
    const length = Math.min(runs.count[run] as number, entries - first) * clusterSize;
    if (kind === RUN_HOLE) segments.add(HOLE, length);
    else if (kind === RUN_ZERO) segments.add(ZERO, length);
    else if (kind === RUN_DATA) segments.addData(length, runs.at[run] as number);
    else segments.addSpecial(view.getUint32(first * 8), view.getUint32(first * 8 + 4));
  }
}

/** [1] Extended L2 Entries */
function decodeExtended(table: Uint8Array, segments: SegmentList, { header }: SliceContext): void {
  const { clusterSize } = header;
  const subcluster = clusterSize / q.SUBCLUSTERS;
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  for (let entry = 0; entry < table.length; entry += 16) {
    const high = view.getUint32(entry);
    const low = view.getUint32(entry + 4);
    const zero = view.getUint32(entry + 8);
    const allocated = view.getUint32(entry + 12);
    const at = q.offsetOf(high, low);
    if ((high & q.COMPRESSED_HIGH) !== 0) {
      if ((zero | allocated) !== 0) segments.bad(clusterSize, "a compressed cluster has subcluster bits");
      else segments.addSpecial(high, low);
    } else if ((high & q.L2_RESERVED_HIGH) !== 0 || (low & q.RESERVED_LOW) !== 0) segments.addSpecial(high, low);
    else if ((zero & allocated) !== 0) segments.bad(clusterSize, "a subcluster is marked both allocated and zero");
    else if (allocated !== 0 && high === 0 && low === 0)
      segments.bad(clusterSize, "subclusters are allocated but there is no host cluster");
    else if ((high | low) !== 0 && at % clusterSize !== 0) segments.bad(clusterSize, segments.unaligned(at));
    else {
      for (let i = 0; i < q.SUBCLUSTERS; i++) {
        const bit = 2 ** i;
        if ((allocated & bit) !== 0) segments.addData(subcluster, at + i * subcluster, at);
        else segments.add((zero & bit) !== 0 ? ZERO : HOLE, subcluster);
      }
    }
  }
}

/** Room for segments where nothing tells how many there will be. */
const FEW = 256;

type Columns = Pick<Slice, "kind" | "start" | "at" | "packed">;

const createColumns = (room: number): Columns => ({
  kind: new Uint8Array(room),
  start: new Float64Array(room),
  at: new Float64Array(room),
  packed: new Float64Array(room),
});

/** The first `length` segments, with room for `room`. */
function resized({ kind, start, at, packed }: Columns, length: number, room: number): Columns {
  const columns = createColumns(room);
  columns.kind.set(kind.subarray(0, length));
  columns.start.set(start.subarray(0, length));
  columns.at.set(at.subarray(0, length));
  columns.packed.set(packed.subarray(0, length));
  return columns;
}

class SegmentList {
  private length = 0;
  private columns: Columns;
  private readonly reason = new Map<number, string>();
  private readonly context: SliceContext;
  private next: number;

  /** `room`: how many segments are likely; there may be more. */
  constructor(start: number, room: number, context: SliceContext) {
    this.columns = createColumns(room);
    this.next = start;
    this.context = context;
  }

  add(kind: number, length: number, at = 0, packed = 0): void {
    const { length: count, columns } = this;
    const last = count - 1;
    const joins =
      last >= 0 &&
      kind === columns.kind[last] &&
      kind < PACKED &&
      (kind !== RAW || at === (columns.at[last] as number) + this.next - (columns.start[last] as number));
    if (!joins) {
      if (count === columns.kind.length) this.columns = resized(columns, count, count * 2 + FEW);
      const into = this.columns;
      into.kind[count] = kind;
      into.start[count] = this.next;
      into.at[count] = at;
      into.packed[count] = packed;
      this.length++;
    }
    this.next += length;
  }

  bad(length: number, reason: string): void {
    this.reason.set(this.length, reason);
    this.add(BAD, length);
  }

  unaligned(at: number): string {
    return `the cluster offset ${q.hex(at)} is not a multiple of the cluster size`;
  }

  /** Raw bytes of one or more clusters, or of one subcluster of the cluster at `clusterAt`. */
  addData(length: number, at: number, clusterAt = at): void {
    const { clusterSize, dataFile } = this.context.header;
    if (!Number.isInteger(clusterAt / clusterSize)) this.bad(length, this.unaligned(clusterAt));
    else if (!dataFile) this.addUnclaimed(length, at);
    // [1] Incompatible bit 2: the offset must match the guest offset.
    else if (at !== this.next) this.bad(length, `the offset ${q.hex(at)} in the external data file is not the one on the disk`);
    else this.addInside(length, at);
  }

  /** Only what nothing else claims is data. */
  private addUnclaimed(length: number, at: number): void {
    const { header, damaged, regions } = this.context;
    for (let done = 0; done < length; ) {
      const from = at + done;
      const left = length - done;
      const conflict = regions.conflict(from, left);
      const shared = damaged.size > 0 ? this.untilDamaged(left) : left;
      let step = Math.min(left, shared, conflict === null ? left : conflict.at - from);
      if (step > 0) this.addInside(step, from);
      else if (conflict !== null && conflict.at === from) {
        step = conflict.length;
        this.bad(step, `the cluster at ${q.hex(from)} lies over ${conflict.what}`);
      } else {
        step = Math.min(left, header.clusterSize);
        this.bad(step, `the cluster at ${q.hex(from)} belongs to another part of the disk too`);
      }
      done += step;
    }
  }

  /** Bytes until the first damaged guest cluster, at most `length`. */
  private untilDamaged(length: number): number {
    const { header, damaged } = this.context;
    const end = this.next + length;
    for (let cluster = Math.floor(this.next / header.clusterSize); cluster * header.clusterSize < end; cluster++)
      if (damaged.has(cluster)) return Math.max(0, cluster * header.clusterSize - this.next);
    return length;
  }

  /** Only the bytes inside the disk must exist: the cluster that the disk ends in may be cut short. */
  private addInside(length: number, at: number): void {
    const { header, dataSize, diskSize } = this.context;
    const needed = Math.min(length, diskSize - this.next);
    const whole = at + needed <= dataSize ? length : Math.max(0, Math.floor((dataSize - at) / header.clusterSize) * header.clusterSize);
    if (whole > 0) this.add(RAW, whole, at);
    if (whole < length)
      this.bad(
        length - whole,
        `the data at ${q.hex(at + whole)} lie past the end of the file (${dataSize} bytes): it is truncated or damaged`,
      );
  }

  /** A compressed cluster, or an entry that is not allowed. */
  addSpecial(high: number, low: number): void {
    const { header, fileSize } = this.context;
    const place = (high & q.COMPRESSED_HIGH) === 0 ? null : q.compressedPlace(high, low, header.clusterBits);
    if (place === null) {
      this.bad(header.clusterSize, "the L2 entry has reserved bits set");
      return;
    }
    const problem = this.compressedProblem(place.at);
    if (problem !== null) this.bad(header.clusterSize, problem);
    else this.add(PACKED, header.clusterSize, place.at, Math.min(place.length, fileSize - place.at));
  }

  private compressedProblem(at: number): string | null {
    const { header, fileSize, regions } = this.context;
    if (header.dataFile) return "the cluster is compressed, which an image with an external data file cannot hold";
    if (at >= fileSize) return `the compressed data at ${q.hex(at)} lie past the end of the file (${fileSize} bytes)`;
    const conflict = regions.conflict(at, 1);
    return conflict === null ? null : `the compressed data at ${q.hex(at)} lie over ${conflict.what}`;
  }

  finish(): Slice {
    const { length, columns, reason } = this;
    const { kind, start, at, packed } = length === columns.kind.length ? columns : resized(columns, length, length);
    return { length, kind, start, at, packed, reason, end: Math.min(this.next, this.context.diskSize) };
  }
}

/** An entry, by its place in the table, and a host cluster that it uses and another one does as well. */
interface SharedUse {
  readonly entry: number;
  readonly cluster: number;
}

/** Host clusters that raw entries use and `seen` (a bit per host cluster) already has; marks them all. */
export function claimClusters({ table, runs }: Entries, { clusterSize, l2EntryBytes }: Header, seen: Int32Array): readonly SharedUse[] {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const twice: SharedUse[] = [];
  const claim = (at: number, entry: number, count: number): void => {
    const cluster = at / clusterSize;
    if (Number.isInteger(cluster)) claimRun(seen, cluster, entry, count, twice);
  };
  /** One that is no run of plain data: compressed ones are not counted, those with reserved bits are, unless they are zero. */
  const claimEntry = (entry: number, isUsed: (high: number, low: number) => boolean): void => {
    const high = view.getUint32(entry * l2EntryBytes);
    const low = view.getUint32(entry * l2EntryBytes + 4);
    if ((high & q.COMPRESSED_HIGH) === 0 && (high | low) !== 0 && isUsed(high, low)) claim(q.offsetOf(high, low), entry, 1);
  };
  if (runs === null)
    for (let entry = 0; entry * l2EntryBytes < table.length; entry++) claimEntry(entry, () => view.getUint32(entry * 16 + 12) !== 0);
  else
    for (let run = 0; run < runs.length; run++) {
      const first = runs.first[run] as number;
      if (runs.kind[run] === RUN_DATA) claim(runs.at[run] as number, first, runs.count[run] as number);
      else if (runs.kind[run] === RUN_PACKED) claimEntry(first, (_, low) => (low & q.ZERO_LOW) === 0);
    }
  return twice;
}

/** Marks `count` host clusters from `cluster` on, which `entry` and those after it use. */
function claimRun(seen: Int32Array, cluster: number, entry: number, count: number, twice: SharedUse[]): void {
  const end = Math.min(cluster + count, seen.length * 32);
  for (let next = cluster; next < end; ) {
    const word = next >>> 5;
    const stop = Math.min(end, (word + 1) * 32);
    const bits = (-1 << (next & 31)) & (-1 >>> ((word + 1) * 32 - stop));
    const before = seen[word] as number;
    seen[word] = before | bits;
    if ((before & bits) !== 0)
      for (let used = next; used < stop; used++)
        if ((before & (1 << (used & 31))) !== 0) twice.push({ entry: entry + used - cluster, cluster: used });
    next = stop;
  }
}
