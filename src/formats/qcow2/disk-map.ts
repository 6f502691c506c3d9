import { DiskError } from "../../core/errors.ts";
import type { ByteSource, Extent, ScanTable } from "../../core/model.ts";
import { firstAbove } from "../../core/sorted.ts";
import type { Header } from "./header.ts";
import { BAD, claimClusters, decodeSlice, type Entries, HOLE, PACKED, RAW, type Slice, scanEntries } from "./l2-slice.ts";
import type { Refcounts } from "./refcounts.ts";
import { type Claim, createRegions, type Regions } from "./regions.ts";
import * as q from "./spec.ts";

/** Table bytes read at a time, and how much of tables one `extents` call reads before it stops early. */
const SLICE_BYTES = 64 << 10;
const MOST_EXTENTS = 8192;
/** Decoded slices are kept up to this many bytes (25 per segment), in each of up to 256 layers. */
const KEPT_BYTES = 1 << 20;
/** Host clusters are tracked for double use up to this many (8 MiB of bits: 4 TiB of 64 KiB clusters). */
const TRACKED_CLUSTERS = 1 << 26;
/** Beyond this many doubly used clusters the image is given up. */
const MOST_DAMAGED = 1 << 20;

export interface DiskMapInput {
  readonly file: ByteSource;
  /** Where raw clusters lie: `file`, or the external data file. */
  readonly data: ByteSource;
  readonly header: Header;
  /** Null: they cannot be read. */
  readonly refcounts: Refcounts | null;
  readonly scanTable: ScanTable;
  readonly diskSize: number;
  readonly l1: { readonly at: number; readonly entries: number };
  /** Tables other than L2 tables and refcount blocks. */
  readonly claims: readonly Claim[];
}

/** Where tables lie, from the L1 table. */
interface Tables {
  /** For data. */
  readonly regions: Regions;
  /** For L2 tables themselves. */
  readonly tableRegions: Regions;
  /** L2 tables that more than one L1 entry names. */
  readonly shared: ReadonlySet<number>;
}

/** L1 and L2 tables → extents, for the active state or one snapshot. Memory: the L1 table (at most 32 MiB) twice, and about 9 MiB. */
export class DiskMap {
  private readonly input: DiskMapInput;
  private readonly l1: DataView;
  /** Bytes of disk that one L2 table maps, and that one slice of it maps. */
  private readonly tableSpan: number;
  private readonly sliceSpan: number;
  private readonly sliceBytes: number;
  private readonly slices = new Map<number, Promise<Slice>>();
  private readonly costs = new Map<number, number>();
  private keptBytes = 0;
  private tables: Tables | null = null;
  private seenClusters: Int32Array | null = null;
  private readonly seenSlices: Uint8Array;
  private readonly damaged = new Set<number>();

  private constructor(input: DiskMapInput, l1: Uint8Array) {
    const { header, diskSize } = input;
    this.input = input;
    this.l1 = new DataView(l1.buffer, l1.byteOffset, l1.byteLength);
    this.tableSpan = header.clusterSize * header.l2Entries;
    this.sliceBytes = Math.min(header.clusterSize, SLICE_BYTES);
    this.sliceSpan = (this.sliceBytes / header.l2EntryBytes) * header.clusterSize;
    this.seenSlices = new Uint8Array(Math.ceil(Math.ceil(diskSize / this.sliceSpan) / 8));
  }

  /** `input.l1` must lie inside the file at least as far as the disk needs it. */
  static async open(input: DiskMapInput): Promise<DiskMap> {
    const { file, l1 } = input;
    const bytes = Math.min(l1.entries * 8, Math.max(0, Math.floor((file.size - l1.at) / 8) * 8));
    return new DiskMap(input, bytes === 0 ? new Uint8Array(0) : await file.read(l1.at, bytes));
  }

  /** How many L1 entries past the end of the disk are in use. */
  entriesPastEnd(): number {
    let used = 0;
    for (let i = Math.ceil(this.input.diskSize / this.tableSpan); i < this.l1.byteLength / 8; i++) if (this.isPresent(i)) used++;
    return used;
  }

  /** See Volume.extents. */
  async extents(start: number, length: number, signal?: AbortSignal): Promise<readonly Extent[]> {
    const { diskSize } = this.input;
    if (!(start >= 0 && length > 0 && start + length <= diskSize))
      throw new DiskError("usage", `qcow2: bytes ${start}+${length} are outside the disk of ${diskSize} bytes`);
    const end = start + length;
    const out: Extent[] = [];
    let at = start;
    let budget = SLICE_BYTES;
    while (at < end && budget > 0 && out.length < MOST_EXTENTS) {
      const table = Math.floor(at / this.tableSpan);
      if (!this.isPresent(table)) {
        const next = Math.min(end, this.nextPresent(table) * this.tableSpan);
        append(out, { kind: "hole", start: at, length: next - at });
        at = next;
        continue;
      }
      signal?.throwIfAborted();
      let slice: Slice;
      try {
        slice = await this.slice(Math.floor(at / this.sliceSpan));
      } catch (error) {
        // What lies before is sound: it is handed out first, the error comes when its place is asked for.
        if (out.length > 0 && error instanceof DiskError) return out;
        throw error;
      }
      budget -= this.sliceBytes;
      const stop = Math.min(end, slice.end);
      const bad = this.take(slice, at, stop, out);
      if (bad < 0) at = stop;
      else if (out.length > 0) return out;
      else throw this.badSegment(slice, bad, at);
    }
    return out;
  }

  /** Appends the extents of `at..end`; returns the index of a bad segment that it met, or -1. */
  private take(slice: Slice, at: number, end: number, out: Extent[]): number {
    const { file, data, header } = this.input;
    const rawFile = data === file ? 0 : 1;
    for (let i = firstAbove(slice.start, at) - 1; i < slice.length; i++) {
      const first = slice.start[i] as number;
      const start = Math.max(at, first);
      const stop = Math.min(end, slice.start[i + 1] ?? slice.end);
      if (start >= end) break;
      const kind = slice.kind[i];
      const position = slice.at[i] as number;
      const length = stop - start;
      if (kind === BAD) return i;
      if (kind === RAW) append(out, { kind: "raw", start, length, file: rawFile, at: position + start - first });
      else if (kind === PACKED) {
        const packed = slice.packed[i] as number;
        const codec = header.compression;
        out.push({
          kind: "packed",
          start,
          length,
          file: 0,
          at: position,
          packed,
          codec,
          skip: start - first,
          unpacked: header.clusterSize,
        });
      } else append(out, { kind: kind === HOLE ? "hole" : "zero", start, length });
    }
    return -1;
  }

  private isPresent(table: number): boolean {
    return table * 8 < this.l1.byteLength && (this.l1.getUint32(table * 8) !== 0 || this.l1.getUint32(table * 8 + 4) !== 0);
  }

  private nextPresent(table: number): number {
    const last = this.l1.byteLength / 8;
    let next = table + 1;
    while (next < last && !this.isPresent(next)) next++;
    return next < last ? next : Number.POSITIVE_INFINITY;
  }

  private slice(index: number): Promise<Slice> {
    const known = this.slices.get(index);
    if (known !== undefined) {
      this.slices.delete(index);
      this.slices.set(index, known);
      return known;
    }
    const loading = this.load(index).then(
      (slice) => {
        this.keep(index, slice);
        return slice;
      },
      (error) => {
        this.slices.delete(index);
        throw error;
      },
    );
    this.slices.set(index, loading);
    return loading;
  }

  /** Accounts for a loaded slice and lets go of those unused for longest; slices still loading are not touched. */
  private keep(index: number, slice: Slice): void {
    const cost = 64 + slice.length * 25;
    this.costs.set(index, cost);
    this.keptBytes += cost;
    for (const old of this.slices.keys()) {
      if (this.keptBytes <= KEPT_BYTES) break;
      const oldCost = this.costs.get(old);
      if (old === index || oldCost === undefined) continue;
      this.slices.delete(old);
      this.costs.delete(old);
      this.keptBytes -= oldCost;
    }
  }

  private async load(index: number): Promise<Slice> {
    const { file, data, header, scanTable, diskSize } = this.input;
    const start = index * this.sliceSpan;
    this.tables ??= this.findTables();
    const { regions } = this.tables;
    const tableAt = await this.tablePosition(Math.floor(start / this.tableSpan), this.tables);
    const at = tableAt + ((start % this.tableSpan) / header.clusterSize) * header.l2EntryBytes;
    if (at + this.sliceBytes > file.size)
      throw this.broken(start, this.sliceSpan, `the L2 table at ${q.hex(tableAt)} runs past the end of the file (${file.size} bytes)`, at);
    const entries = scanEntries(await file.read(at, this.sliceBytes), header, scanTable);
    await this.findDamaged(index, entries);
    const { damaged } = this;
    return decodeSlice(entries, start, { header, regions, fileSize: file.size, dataSize: data.size, diskSize, damaged });
  }

  /** Position of an L2 table, checked ([1] L1 table entry). */
  private async tablePosition(index: number, { tableRegions, shared }: Tables): Promise<number> {
    const { file, header, l1 } = this.input;
    const high = this.l1.getUint32(index * 8);
    const low = this.l1.getUint32(index * 8 + 4);
    const at = q.offsetOf(high, low);
    const refuse = (text: string) => this.broken(index * this.tableSpan, this.tableSpan, `L1 entry ${index} ${text}`, l1.at + index * 8);
    if ((high & q.L1_RESERVED_HIGH) !== 0 || (low & q.RESERVED_LOW) !== 0) throw refuse("has reserved bits set");
    if (at % header.clusterSize !== 0) throw refuse(`is ${q.hex(at)}, expected a multiple of the cluster size`);
    if (at >= file.size) throw refuse(`is ${q.hex(at)}, past the end of the file (${file.size} bytes)`);
    const conflict = tableRegions.conflict(at, header.clusterSize);
    if (conflict !== null) throw refuse(`is ${q.hex(at)}: the L2 table lies over ${conflict.what}`);
    if (shared.has(at) && !(await isShared(this.input.refcounts, at / header.clusterSize)))
      throw refuse(`is ${q.hex(at)}: another L1 entry names the same L2 table`);
    return at;
  }

  private findTables(): Tables {
    const { header, claims, refcounts } = this.input;
    const blocks = (refcounts?.blocks ?? new Float64Array(0)).filter((at) => at > 0).sort();
    const tables = Float64Array.from({ length: this.l1.byteLength / 8 }, (_, i) =>
      q.offsetOf(this.l1.getUint32(i * 8), this.l1.getUint32(i * 8 + 4)),
    )
      .filter((at) => at > 0)
      .sort();
    return {
      regions: createRegions(header, claims, tables, blocks),
      tableRegions: createRegions(header, claims, new Float64Array(0), blocks),
      shared: new Set(tables.filter((at, i) => at === tables[i - 1])),
    };
  }

  /** The first time that a slice is read: finds host clusters that other entries use as well, against what refcounts say. */
  private async findDamaged(index: number, entries: Entries): Promise<void> {
    const { file, header, refcounts } = this.input;
    const byte = Math.floor(index / 8);
    const bit = 1 << (index % 8);
    if (header.dataFile || ((this.seenSlices[byte] as number) & bit) !== 0) return;
    this.seenSlices[byte] = (this.seenSlices[byte] as number) | bit;
    this.seenClusters ??= new Int32Array(Math.ceil(Math.min(file.size / header.clusterSize, TRACKED_CLUSTERS) / 32));
    const first = (index * this.sliceSpan) / header.clusterSize;
    for (const { entry, cluster } of claimClusters(entries, header, this.seenClusters)) {
      if (await isShared(refcounts, cluster)) continue;
      this.damaged.add(first + entry);
      if (this.damaged.size > MOST_DAMAGED) throw q.problem("corrupt", "more than a million clusters are used twice", { file: file.name });
    }
  }

  private badSegment(slice: Slice, index: number, at: number): DiskError {
    const { header, diskSize } = this.input;
    const end = Math.min(slice.start[index + 1] ?? slice.end, diskSize);
    const table = Math.floor(at / this.tableSpan);
    const entry = Math.floor((at % this.tableSpan) / header.clusterSize);
    const tableAt = q.offsetOf(this.l1.getUint32(table * 8), this.l1.getUint32(table * 8 + 4));
    return this.broken(at, end - at, slice.reason.get(index) as string, tableAt + entry * header.l2EntryBytes);
  }

  /** `start` and `length`: the part of the disk that cannot be known. */
  private broken(start: number, length: number, reason: string, at: number): DiskError {
    const { file, diskSize } = this.input;
    const guest = { start, length: Math.min(length, diskSize - start) };
    return q.problem("corrupt", `bytes ${start} to ${start + guest.length} of the disk: ${reason}`, { file: file.name, at, guest });
  }
}

/** [1] Host cluster management: two or more users are in order when the refcount says so. */
async function isShared(refcounts: Refcounts | null, cluster: number): Promise<boolean> {
  return ((await refcounts?.get(cluster)) ?? 0) >= 2;
}

/** Adds an extent, joined with the last one where it continues it. */
function append(out: Extent[], extent: Extent): void {
  const last = out[out.length - 1];
  const joins =
    last !== undefined &&
    last.kind === extent.kind &&
    (last.kind === "hole" ||
      last.kind === "zero" ||
      (last.kind === "raw" && extent.kind === "raw" && last.at + last.length === extent.at && last.file === extent.file));
  if (joins) out[out.length - 1] = { ...last, length: last.length + extent.length };
  else out.push(extent);
}
