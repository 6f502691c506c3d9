import type { ByteSource, CheckReport, OpenContext } from "../../core/model.ts";
import { checkBitmaps } from "./check-bitmaps.ts";
import { ClusterTally } from "./check-tally.ts";
import { type Header, readHeader } from "./header.ts";
import { openRefcounts, type Refcounts, refcountAt } from "./refcounts.ts";
import { readSnapshots, snapshotL1Problem } from "./snapshots.ts";
import * as q from "./spec.ts";

/**
 * Compares the refcounts with all users of every cluster: header, tables, snapshots, bitmaps, data. Each L2 table is read once,
 * however many L1 entries name it, so the time is linear in the file's size; memory: see ClusterTally, and 8 MiB of refcount blocks.
 * Throws when the header itself cannot be read. Counts as qemu-img does; where data are cut off it is stricter.
 */
export async function checkQcow2(file: ByteSource, _context: OpenContext, signal?: AbortSignal): Promise<CheckReport> {
  const header = await readHeader(file);
  const unknown = header.unsupported.filter((reason) => !reason.endsWith("encryption"));
  if (unknown.length > 0) throw q.problem("unsupported", `the image cannot be checked: ${unknown.join(", ")}`, { file: file.name });
  const tally = new ClusterTally(file, header);
  const refcounts = await openRefcounts(file, header);
  if (header.corrupt) tally.warning("the image is marked as corrupt");
  if (header.dirty) tally.warning("the image was not closed cleanly (dirty bit)");
  if (header.l1CutFrom !== null)
    tally.corruption(`l1_size is ${header.l1CutFrom}, more than the file holds`, q.HEADER_V2.offsetOf("l1_size"));
  tally.use(0, header.clusterSize, "the header", 1);
  const walk = new Walk(file, header, tally, refcounts, signal);
  await walk.tables();
  await countMetadata(file, header, tally);
  tally.imageEndOffset = await compare(header, tally, refcounts, signal);
  return tally.report();
}

interface L1 {
  readonly at: number;
  readonly entries: DataView;
  readonly active: boolean;
}

/** Follows all L1 and L2 tables. */
class Walk {
  private readonly file: ByteSource;
  private readonly header: Header;
  private readonly tally: ClusterTally;
  private readonly refcounts: Refcounts | null;
  private readonly signal: AbortSignal | undefined;
  private blockIndex = -1;
  private block: DataView | null = null;

  constructor(file: ByteSource, header: Header, tally: ClusterTally, refcounts: Refcounts | null, signal: AbortSignal | undefined) {
    this.file = file;
    this.header = header;
    this.tally = tally;
    this.refcounts = refcounts;
    this.signal = signal;
  }

  async tables(): Promise<void> {
    const { header, file, tally } = this;
    const active = await this.readL1(header.l1.at, header.l1.entries, true);
    const users = new Map<number, number>();
    this.countTables(active, users);
    const inactive: Array<{ at: number; entries: number }> = [];
    for await (const l1 of this.snapshotTables()) {
      this.countTables(l1, users);
      inactive.push({ at: l1.at, entries: l1.entries.byteLength / 8 });
    }
    for (const [at, times] of users) tally.use(at, header.clusterSize, "an L2 table", times);
    await this.walkL1(active, users);
    for (const { at, entries } of inactive) await this.walkL1(await this.readL1(at, entries, false), users);
    if (file.size % header.clusterSize !== 0) tally.warning("the file does not end on a cluster");
  }

  private async readL1(at: number, entries: number, active: boolean): Promise<L1> {
    const bytes = entries === 0 ? new Uint8Array(0) : await this.file.read(at, entries * 8);
    return { at, entries: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), active };
  }

  /** L1 tables of the snapshots; counts them and the snapshot table. */
  private async *snapshotTables(): AsyncGenerator<L1> {
    const { file, header, tally } = this;
    const table = await readSnapshots(file, header);
    if (table.problem !== null) tally.corruption(`snapshot table: ${table.problem}`, Number(header.snapshots.at));
    if (table.place !== null) tally.use(table.place.at, table.place.length, "the snapshot table", 1);
    let read = 0;
    for (const snapshot of table.list) {
      this.signal?.throwIfAborted();
      const bad = snapshotL1Problem(snapshot, header, file);
      const at = Number(snapshot.l1.at);
      read += snapshot.l1.entries * 8;
      if (bad !== null) tally.corruption(`snapshot “${snapshot.name}”: ${bad}`, at);
      else if (read > file.size) {
        // Tables that lie apart cannot add up to more than the file.
        tally.corruption(`snapshot “${snapshot.name}”: the L1 tables of the snapshots lie over each other`, at);
        return;
      } else if (snapshot.l1.entries > 0) yield this.readL1(at, snapshot.l1.entries, false);
    }
  }

  /** Counts an L1 table itself and collects how many L1 entries name each L2 table. */
  private countTables(l1: L1, users: Map<number, number>): void {
    const { header, tally, file } = this;
    const { clusterSize } = header;
    if (l1.entries.byteLength > 0) tally.use(l1.at, l1.entries.byteLength, "an L1 table", 1);
    const span = header.l2Entries * clusterSize;
    for (let i = 0; i * 8 < l1.entries.byteLength; i++) {
      const high = l1.entries.getUint32(i * 8);
      const low = l1.entries.getUint32(i * 8 + 4);
      const at = q.offsetOf(high, low);
      if ((high & q.L1_RESERVED_HIGH) !== 0 || (low & q.RESERVED_LOW) !== 0)
        tally.corruption(`L1 entry ${i} has reserved bits set`, l1.at + i * 8, { start: i * span, length: span });
      if (at === 0) continue;
      if (at % clusterSize !== 0 || at + clusterSize > file.size)
        tally.corruption(`L1 entry ${i} is ${q.hex(at)}, no aligned cluster inside the file`, l1.at + i * 8, {
          start: i * span,
          length: span,
        });
      else users.set(at, (users.get(at) ?? 0) + 1);
    }
  }

  /** Walks the L2 tables that were not walked yet; `users` loses them. */
  private async walkL1(l1: L1, users: Map<number, number>): Promise<void> {
    const { header, tally } = this;
    for (let i = 0; i * 8 < l1.entries.byteLength; i++) {
      const high = l1.entries.getUint32(i * 8);
      const at = q.offsetOf(high, l1.entries.getUint32(i * 8 + 4));
      const times = users.get(at);
      if (at === 0 || at % header.clusterSize !== 0) continue;
      if (l1.active && (await this.copiedIsWrong(at, high)))
        tally.corruption(`L1 entry ${i}: the “copied” flag contradicts the refcount`, l1.at + i * 8);
      if (times === undefined) continue;
      users.delete(at);
      this.signal?.throwIfAborted();
      await this.walkL2(at, i, times, l1.active);
    }
  }

  private async walkL2(tableAt: number, index: number, times: number, active: boolean): Promise<void> {
    const { file, header, tally } = this;
    const { clusterSize, l2EntryBytes, l2Entries } = header;
    const table = await file.read(tableAt, clusterSize);
    const view = new DataView(table.buffer);
    let contiguous = 0;
    for (let entry = 0; entry < l2Entries; entry++) {
      const place = entry * l2EntryBytes;
      const high = view.getUint32(place);
      const low = view.getUint32(place + 4);
      const guest = { start: (index * l2Entries + entry) * clusterSize, length: clusterSize };
      const bad = (text: string) => tally.corruption(`L2 entry for ${guest.start}: ${text}`, tableAt + place, guest);
      const bitmap = l2EntryBytes === 16 ? [view.getUint32(place + 8), view.getUint32(place + 12)] : [0, 0];
      const [zero, allocated] = bitmap as [number, number];
      if ((high | low) === 0) {
        if (allocated !== 0) bad("subclusters are allocated but there is no host cluster");
        if ((zero & allocated) !== 0) bad("a subcluster is both allocated and zero");
        continue;
      }
      if ((high & q.COMPRESSED_HIGH) !== 0) {
        this.countCompressed(high, low, times, active, (zero | allocated) !== 0, guest, bad);
        continue;
      }
      const zeroFlag = (low & q.ZERO_LOW) !== 0 && header.version === 3 && !header.extendedL2;
      if ((high & q.L2_RESERVED_HIGH) !== 0 || (low & q.RESERVED_LOW & ~(zeroFlag ? q.ZERO_LOW : 0)) !== 0) bad("reserved bits are set");
      if ((zero & allocated) !== 0) bad("a subcluster is both allocated and zero");
      const at = q.offsetOf(high, low);
      if (at === 0 && (zeroFlag || (high >>> 31 === 0 && allocated === 0))) continue;
      if (at % clusterSize !== 0) {
        bad(`the cluster offset ${q.hex(at)} is not a multiple of the cluster size`);
        continue;
      }
      if (active) {
        tally.allocatedClusters++;
        if (contiguous !== 0 && at !== contiguous) tally.fragmentedClusters++;
        contiguous = at + clusterSize;
      }
      if (header.dataFile) {
        if (at !== guest.start) bad("the offset in the external data file is not the offset on the disk");
        continue;
      }
      const reads = !zeroFlag && (l2EntryBytes === 8 || allocated !== 0);
      // Of a cluster with subclusters, only the allocated ones need exist.
      const stored = l2EntryBytes === 8 ? clusterSize : (clusterSize / q.SUBCLUSTERS) * (32 - Math.clz32(allocated));
      const needed = Math.min(stored, header.size - guest.start);
      const counted = tally.use(at, clusterSize, "a data cluster", times, guest);
      if (counted && reads && active && at + needed > file.size) bad(`the cluster at ${q.hex(at)} is cut off by the end of the file`);
      const block = Math.floor(at / clusterSize / (this.refcounts?.perBlock ?? 1));
      if (counted && active && (block === this.blockIndex ? this.copiedIsWrongHere(at, high) : await this.copiedIsWrong(at, high)))
        bad("the “copied” flag contradicts the refcount");
    }
  }

  private countCompressed(
    high: number,
    low: number,
    times: number,
    active: boolean,
    hasBits: boolean,
    guest: { start: number; length: number },
    bad: (text: string) => void,
  ): void {
    const { header, tally, file } = this;
    if (high >>> 31 === 1) bad("a compressed cluster has the “copied” flag");
    if (hasBits) bad("a compressed cluster has subcluster bits");
    const place = q.compressedPlace(high, low, header.clusterBits);
    if (header.dataFile) bad("it is compressed, which an image with an external data file cannot hold");
    else if (place === null) bad("reserved bits are set");
    else if (place.at >= file.size) bad(`the compressed data at ${q.hex(place.at)} lie past the end of the file`);
    else tally.use(place.at, place.length, "compressed data", times, guest);
    if (!active) return;
    tally.allocatedClusters++;
    tally.compressedClusters++;
    tally.fragmentedClusters++;
  }

  /** [1] L1 and L2 table entry, bit 63: set when, and only when, the refcount is exactly one. */
  private async copiedIsWrong(at: number, high: number): Promise<boolean> {
    if (this.refcounts === null) return false;
    const cluster = at / this.header.clusterSize;
    this.blockIndex = Math.floor(cluster / this.refcounts.perBlock);
    this.block = await this.refcounts.block(this.blockIndex);
    return this.copiedIsWrongHere(at, high);
  }

  /** The same, for a cluster that the block at hand counts. */
  private copiedIsWrongHere(at: number, high: number): boolean {
    if (this.refcounts === null) return false;
    const cluster = at / this.header.clusterSize;
    const count = this.block === null ? 0 : refcountAt(this.block, cluster % this.refcounts.perBlock, this.header.refcountBits);
    return (count === 1) !== (high >>> 31 === 1);
  }
}

/** What is neither mapped nor a refcount block. */
async function countMetadata(file: ByteSource, header: Header, tally: ClusterTally): Promise<void> {
  const { crypto } = header.extensions;
  if (crypto !== null) {
    const fits = crypto.offset + crypto.length <= BigInt(file.size) && crypto.offset % BigInt(header.clusterSize) === 0n;
    if (fits && crypto.length > 0n) tally.use(Number(crypto.offset), Number(crypto.length), "the encryption header", 1);
    else if (!fits) tally.corruption(`the encryption header is said to be at ${q.hex(crypto.offset)}, ${crypto.length} bytes`, null);
  }
  await checkBitmaps(file, header, tally);
  const { place, problem } = header.refcountTable;
  if (place === null) tally.corruption(`the refcounts cannot be read: ${problem}`, q.HEADER_V2.offsetOf("refcount_table_offset"));
  else tally.use(place.at, place.length, "the refcount table", 1);
}

/** Compares stated and counted refcounts; returns the end of the last cluster in use. */
async function compare(header: Header, tally: ClusterTally, refcounts: Refcounts | null, signal: AbortSignal | undefined): Promise<number> {
  const { clusterSize, refcountBits } = header;
  let end = 0;
  const used = (cluster: number) => {
    end = (cluster + 1) * clusterSize;
  };
  if (refcounts === null) {
    for (let cluster = 0; cluster < tally.clusters; cluster++) if (tally.uses(cluster) > 0) used(cluster);
    return end;
  }
  refcounts.blocks.forEach((at, index) => {
    const entryAt = (header.refcountTable.place?.at ?? 0) + index * 8;
    if (Number.isNaN(at)) tally.corruption(`entry ${index} of the refcount table is no aligned cluster inside the file`, entryAt);
    else if (at > 0) tally.use(at, clusterSize, "a refcount block", 1);
  });
  for (let first = 0; first < tally.clusters; first += refcounts.perBlock) {
    signal?.throwIfAborted();
    const block = await refcounts.block(first / refcounts.perBlock);
    const last = Math.min(tally.clusters, first + refcounts.perBlock);
    for (let cluster = first; cluster < last; cluster++) {
      const stated = block === null ? 0 : refcountAt(block, cluster - first, refcountBits);
      const counted = tally.uses(cluster);
      if (stated > 0 || counted > 0) used(cluster);
      if (stated === counted || (counted === 0xffff && stated > counted)) continue;
      const text = `cluster ${cluster}: refcount is ${stated}, counted ${counted}`;
      if (stated > counted) tally.leak(text, cluster * clusterSize);
      else tally.corruption(text, cluster * clusterSize);
    }
  }
  return end;
}
