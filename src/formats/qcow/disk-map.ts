import { DiskError } from "../../core/errors.ts";
import type { ByteSource, Extent } from "../../core/model.ts";
import { RecentPieces } from "../../core/recent-pieces.ts";
import { firstAtLeast } from "../../core/sorted.ts";
import { ClusterUses } from "./cluster-uses.ts";
import type { Claim, Header } from "./header.ts";
import * as q from "./spec.ts";

/** Table bytes that one `extents` call reads before it stops early, and the extents it gives at most. */
const TABLE_BUDGET = 64 << 10;
const MOST_EXTENTS = 4096;
/** Decoded L2 tables that are kept. */
const KEPT_TABLES = 32;

/** Extents of the part of the disk that an L2 table maps, in order. `bad`: the reason why they cannot be known, and its entry's place. */
type Segment =
  | Extent
  | { readonly kind: "bad"; readonly start: number; readonly length: number; readonly at: number; readonly reason: string };

/** L1 and L2 tables → extents. Memory: the L1 table (at most 32 MiB) three times, 16 MiB of bits, and decoded tables. */
export class DiskMap {
  private readonly file: ByteSource;
  private readonly header: Header;
  private readonly l1: DataView;
  /** Bytes of disk that one L2 table maps. */
  private readonly tableSpan: number;
  /** Places of all L2 tables, ascending. */
  readonly tables: Float64Array;
  private readonly decoded = new RecentPieces<readonly Segment[]>(KEPT_TABLES);
  private readonly uses: ClusterUses;
  /** Guest clusters whose host cluster something else uses, and the L2 tables looked through for such. */
  private readonly shared = new Set<number>();
  private readonly counted = new Set<number>();

  private constructor(file: ByteSource, header: Header, l1: Uint8Array) {
    this.file = file;
    this.header = header;
    this.l1 = new DataView(l1.buffer, l1.byteOffset, l1.byteLength);
    this.tableSpan = header.clusterSize * header.l2Entries;
    this.tables = Float64Array.from({ length: header.l1.entries }, (_, i) => this.entry(this.l1, i))
      .filter((at) => at > 0)
      .sort();
    this.uses = new ClusterUses(file.size, header.clusterSize);
  }

  static async open(file: ByteSource, header: Header): Promise<DiskMap> {
    return new DiskMap(file, header, await file.read(header.l1.at, header.l1.entries * q.ENTRY_BYTES));
  }

  /** See Volume.extents. */
  async extents(start: number, length: number, signal?: AbortSignal): Promise<readonly Extent[]> {
    const { size, l2Bytes } = this.header;
    if (!(start >= 0 && length > 0 && start + length <= size))
      throw new DiskError("usage", `qcow: bytes ${start}+${length} are outside the disk of ${size} bytes`);
    const end = start + length;
    const out: Extent[] = [];
    let at = start;
    for (let budget = TABLE_BUDGET; at < end && budget > 0 && out.length < MOST_EXTENTS; ) {
      const table = Math.floor(at / this.tableSpan);
      if (this.entry(this.l1, table) === 0) {
        const next = Math.min(end, this.nextTable(table) * this.tableSpan);
        append(out, { kind: "hole", start: at, length: next - at });
        at = next;
        continue;
      }
      signal?.throwIfAborted();
      budget -= l2Bytes;
      try {
        at = this.take(await this.table(table), at, Math.min(end, (table + 1) * this.tableSpan), out);
      } catch (error) {
        // What lies before is sound: it is handed out first, the error comes when its place is asked for.
        if (out.length > 0 && error instanceof DiskError) return out;
        throw error;
      }
    }
    return out;
  }

  /**
   * Whether the first L2 table suggests larger clusters than the header states: no cluster lies at an odd multiple of their size, though
   * they are given out one after the other.
   */
  async clustersSeemLarger(): Promise<boolean> {
    let table = this.nextTable(-1);
    if (table >= this.header.l1.entries) table = -1;
    const segments = table < 0 ? [] : await this.table(table).catch(() => []);
    const raw = segments.filter((segment) => segment.kind === "raw");
    const few = 16;
    return (
      raw.length >= few &&
      raw.every(({ at, length }) => at % (2 * this.header.clusterSize) === 0 && length <= this.header.clusterSize) &&
      segments.every(({ kind }) => kind !== "packed")
    );
  }

  /** Entries in use that the last L2 table has past the end of the disk: then `size` may be too small. 0 when the table is damaged. */
  async entriesPastEnd(): Promise<number> {
    const { l1, l2Entries, l2Bytes, clusterSize, size } = this.header;
    const last = l1.entries - 1;
    const table = last < 0 ? 0 : this.entry(this.l1, last);
    if (table === 0 || table + l2Bytes > this.file.size) return 0;
    const view = new DataView((await this.file.read(table, l2Bytes)).buffer);
    let used = 0;
    for (let i = Math.ceil(size / clusterSize) - last * l2Entries; i < l2Entries; i++) if (this.entry(view, i) !== 0) used++;
    return used;
  }

  /** Appends what lies in `at..end`; returns where it stopped. Throws for a bad segment at `at`. */
  private take(segments: readonly Segment[], from: number, end: number, out: Extent[]): number {
    let at = from;
    for (const segment of segments) {
      const stop = Math.min(end, segment.start + segment.length);
      if (stop <= at) continue;
      if (at >= end) break;
      if (segment.kind === "bad") throw this.broken(segment.start, segment.length, segment.reason, segment.at);
      const skipped = at - segment.start;
      const part = { ...segment, start: at, length: stop - at };
      if (part.kind === "raw") append(out, { ...part, at: part.at + skipped });
      else if (part.kind === "packed") out.push({ ...part, skip: skipped });
      else append(out, part);
      at = stop;
    }
    return at;
  }

  /** An entry of a table as a number; exact up to 2^53, and above it too large for any file. */
  private entry(table: DataView, index: number): number {
    return table.getUint32(index * q.ENTRY_BYTES) * 2 ** 32 + table.getUint32(index * q.ENTRY_BYTES + 4);
  }

  private nextTable(table: number): number {
    let next = table + 1;
    while (next < this.header.l1.entries && this.entry(this.l1, next) === 0) next++;
    return next < this.header.l1.entries ? next : Number.POSITIVE_INFINITY;
  }

  private table(index: number): Promise<readonly Segment[]> {
    return this.decoded.get(index, () => this.load(index));
  }

  private async load(index: number): Promise<readonly Segment[]> {
    const { file, header } = this;
    const at = this.tablePlace(index);
    const bytes = await file.read(at, header.l2Bytes);
    const table = new DataView(bytes.buffer);
    const first = index * header.l2Entries;
    const count = Math.min(header.l2Entries, Math.ceil(header.size / header.clusterSize) - first);
    this.countUses(index, table, count);
    const out: Segment[] = [];
    for (let i = 0; i < count; i++) {
      const start = (first + i) * header.clusterSize;
      const length = Math.min(header.clusterSize, header.size - start);
      const high = table.getUint32(i * q.ENTRY_BYTES);
      const packed = (high & q.COMPRESSED_HIGH) !== 0;
      const place = packed
        ? q.compressedPlace(table.getBigUint64(i * q.ENTRY_BYTES), header.clusterBits)
        : { at: this.entry(table, i), length };
      if (place.at === 0 && !packed) {
        append(out, { kind: "hole", start, length });
        continue;
      }
      const reason = this.fault(first + i, place, packed);
      if (reason !== null) out.push({ kind: "bad", start, length, at: at + i * q.ENTRY_BYTES, reason });
      else if (packed)
        out.push({
          kind: "packed",
          start,
          length,
          file: 0,
          at: place.at,
          packed: place.length,
          codec: "deflate",
          skip: 0,
          unpacked: header.clusterSize,
        });
      else append(out, { kind: "raw", start, length, file: 0, at: place.at });
    }
    return out;
  }

  private tablePlace(index: number): number {
    const { file, header } = this;
    const at = this.entry(this.l1, index);
    const refuse = (text: string) =>
      this.broken(
        index * this.tableSpan,
        this.tableSpan,
        `L1 entry ${index} is ${q.hex(at)}, ${text}`,
        header.l1.at + index * q.ENTRY_BYTES,
      );
    if (at % header.clusterSize !== 0) throw refuse("expected a multiple of the cluster size");
    if (at + header.l2Bytes > file.size) throw refuse(`and the L2 table runs past the end of the file (${file.size} bytes)`);
    const claim = overlap(header.claims, at, header.l2Bytes);
    if (claim !== undefined) throw refuse(`where the L2 table lies over ${claim.what}`);
    const place = firstAtLeast(this.tables, at);
    const before = this.tables[place - 1] ?? Number.NEGATIVE_INFINITY;
    const after = this.tables[place + 1] ?? Number.POSITIVE_INFINITY;
    if (before + header.l2Bytes > at || after < at + header.l2Bytes) throw refuse("where the L2 table lies over another one");
    return at;
  }

  /** The first time that a table is read: finds host clusters that other entries use as well. */
  private countUses(index: number, table: DataView, count: number): void {
    const { header } = this;
    if (this.counted.has(index)) return;
    this.counted.add(index);
    for (let i = 0; i < count; i++) {
      const at = this.entry(table, i);
      const packed = (table.getUint32(i * q.ENTRY_BYTES) & q.COMPRESSED_HIGH) !== 0;
      if (at === 0 || (!packed && at % header.clusterSize !== 0)) continue;
      const place = packed ? q.compressedPlace(table.getBigUint64(i * q.ENTRY_BYTES), header.clusterBits) : null;
      const free = place === null ? this.uses.claimRaw(at) : this.uses.claimPacked(place.at, place.length);
      if (!free) this.shared.add(index * header.l2Entries + i);
    }
  }

  /** Why the data of a guest cluster cannot be where its entry says; null: they can. */
  private fault(cluster: number, { at, length }: { readonly at: number; readonly length: number }, packed: boolean): string | null {
    const { file, header } = this;
    const what = packed ? "the compressed data" : "the data";
    if (packed && length === 0) return "the compressed data have no bytes";
    if (!packed && at % header.clusterSize !== 0) return `the cluster offset ${q.hex(at)} is not a multiple of the cluster size`;
    if (at + length > file.size)
      return `${what} at ${q.hex(at)} lie past the end of the file (${file.size} bytes): it is truncated or damaged`;
    const taken = packed ? length : header.clusterSize;
    const claim = overlap(header.claims, at, taken);
    if (claim !== undefined) return `${what} at ${q.hex(at)} lie over ${claim.what}`;
    const table = this.tables[firstAtLeast(this.tables, at - header.l2Bytes + 1)];
    if (table !== undefined && table < at + taken) return `${what} at ${q.hex(at)} lie over the L2 table at ${q.hex(table)}`;
    return this.shared.has(cluster) ? `${what} at ${q.hex(at)} belong to another part of the disk too` : null;
  }

  /** `start` and `length`: the part of the disk that cannot be known. */
  private broken(start: number, length: number, reason: string, at: number): DiskError {
    const guest = { start, length: Math.min(length, this.header.size - start) };
    const text = `bytes ${start} to ${start + guest.length} of the disk: ${reason}`;
    return q.problem("corrupt", text, { file: this.file.name, at, guest });
  }
}

const overlap = (claims: readonly Claim[], at: number, length: number): Claim | undefined =>
  claims.find((claim) => claim.at < at + length && at < claim.at + claim.length);

/** Adds an extent, joined with the last one where it continues it. */
function append(out: Segment[], extent: Extent): void {
  const last = out[out.length - 1];
  const joins =
    last !== undefined &&
    last.kind === extent.kind &&
    (last.kind === "hole" || (last.kind === "raw" && extent.kind === "raw" && last.at + last.length === extent.at));
  if (joins) out[out.length - 1] = { ...last, length: last.length + extent.length };
  else out.push(extent);
}
