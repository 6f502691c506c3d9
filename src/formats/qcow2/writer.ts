import { DiskError } from "../../core/errors.ts";
import type { Block, ImageWriter, TargetSpec, Write } from "../../core/target.ts";
import { headerCluster, type RefcountPlace } from "./header-writer.ts";
import { type Layout, layoutOf, lossesOf } from "./options.ts";
import { refcountBlockEntries, setRefcountAt } from "./refcounts.ts";
import * as q from "./spec.ts";

/** Host clusters per page of counts above 1. */
const PAGE = 1 << 16;
/** The external data file among the image's files. */
const DATA_FILE = 1;

/**
 * One ascending pass: the header's cluster is left free, clusters follow in the order they are put, each L2 table after the last
 * cluster that it maps, then the L1 table, the refcount blocks and the refcount table; the header is written last, so that a file
 * left half done is no image. Memory: 8 bytes per L1 entry (at most 32 MiB), one L2 table and, with compression only, 2 bytes per
 * host cluster. Throws `limit` when `losses` has a blocker.
 */
export function createQcow2(spec: TargetSpec): ImageWriter {
  const blocker = lossesOf(spec).find(({ severity }) => severity === "blocker");
  if (blocker !== undefined) throw new DiskError("limit", `qcow2: ${blocker.what}: ${blocker.why}`);
  return new Qcow2Writer(spec.name, layoutOf(spec));
}

class Qcow2Writer implements ImageWriter {
  readonly unit: number;
  readonly files: readonly string[];
  readonly encoding: ImageWriter["encoding"];
  readonly sequential = false;
  private readonly layout: Layout;
  private readonly allocator: Allocator;
  /** Positions of the L2 tables; 0: none. */
  private readonly l1: Float64Array;
  private table: { readonly index: number; readonly bytes: Uint8Array } | null = null;

  constructor(name: string, layout: Layout) {
    this.layout = layout;
    this.unit = layout.clusterSize;
    this.files = layout.dataFile === null ? [name] : [name, layout.dataFile];
    // QEMU inflates with a window of 2^12 bytes, whatever the cluster size.
    this.encoding = layout.compression === "off" ? null : { codec: layout.compression, window: 4096, small: layout.small, keep: "smaller" };
    this.allocator = new Allocator(layout.clusterSize, layout.refcountBits);
    this.l1 = new Float64Array(layout.l1Entries);
  }

  put(index: number, block: Block): readonly Write[] {
    const { clusterSize, clusterBits } = this.layout;
    const { writes, view, entry } = this.entryOf(index);
    if (this.layout.dataFile !== null) {
      // [1] External data file: a cluster lies where the guest sees it. QEMU counts on that, also when the file need not be raw.
      const at = index * clusterSize;
      this.setEntry(view, entry, at);
      writes.push({ file: DATA_FILE, at, bytes: block.bytes.subarray(0, Math.min(clusterSize, this.layout.size - at)) });
      return writes;
    }
    const packed = block.kind === "packed" && block.bytes.length < clusterSize;
    if (block.kind === "packed" && !packed) throw new DiskError("usage", `qcow2: packed block ${index} is not smaller than a cluster`);
    const at = packed ? this.allocator.packed(block.bytes.length) : this.allocator.clusters(1);
    if (packed) setPair(view, entry, q.compressedEntry(at, block.bytes.length, clusterBits));
    else this.setEntry(view, entry, at);
    writes.push({ file: 0, at, bytes: block.bytes });
    return writes;
  }

  /** [1] Standard Cluster Descriptor: bit 0 says that the cluster reads as zeros. Version 2 has no such bit, so there zeros are stored. */
  putZero(index: number): readonly Write[] {
    if (this.layout.version === 2) return this.put(index, { kind: "data", bytes: new Uint8Array(this.layout.clusterSize) });
    const { writes, view, entry } = this.entryOf(index);
    // [1] Extended L2 Entries: the upper half of the bitmap are the subclusters that read as zeros; the flag means nothing there.
    if (this.layout.extendedL2) view.setUint32(entry + 8, 0xffffffff);
    else view.setUint32(entry + 4, q.ZERO_LOW);
    return writes;
  }

  /** The L2 entry of a cluster, in the table at hand; the one before it is written. */
  private entryOf(index: number): { readonly writes: Write[]; readonly view: DataView; readonly entry: number } {
    const { clusterSize, tableSpan, l2EntryBytes } = this.layout;
    const writes: Write[] = [];
    const tableIndex = Math.floor((index * clusterSize) / tableSpan);
    if (this.table !== null && this.table.index !== tableIndex) writes.push(this.closeTable(this.table));
    this.table ??= { index: tableIndex, bytes: new Uint8Array(clusterSize) };
    return { writes, view: new DataView(this.table.bytes.buffer), entry: (index % (tableSpan / clusterSize)) * l2EntryBytes };
  }

  /** A stored cluster: it has one user, and with extended L2 entries all of its 32 subclusters are allocated. */
  private setEntry(view: DataView, entry: number, at: number): void {
    setPair(view, entry, [(q.COPIED_HIGH | Math.floor(at / 2 ** 32)) >>> 0, at % 2 ** 32]);
    if (this.layout.extendedL2) view.setUint32(entry + 12, 0xffffffff);
  }

  private closeTable(table: { readonly index: number; readonly bytes: Uint8Array }): Write {
    const at = this.allocator.clusters(1);
    this.l1[table.index] = at;
    this.table = null;
    return { file: 0, at, bytes: table.bytes };
  }

  end(): { readonly writes: Iterable<Write>; readonly sizes: readonly number[] } {
    const { clusterSize, refcountBits, l1Entries } = this.layout;
    const last = this.table === null ? [] : [this.closeTable(this.table)];
    const l1At = this.allocator.clusters(Math.ceil((l1Entries * 8) / clusterSize));
    const perBlock = refcountBlockEntries(clusterSize, refcountBits);
    const { blocks, tableClusters } = refcountSizes(this.allocator.used, perBlock, clusterSize);
    const blocksAt = this.allocator.clusters(blocks);
    const tableAt = this.allocator.clusters(tableClusters);
    const image = this.allocator.used * clusterSize;
    return {
      writes: this.tail(last, l1At, { blocksAt, blocks, tableAt, tableClusters }),
      sizes: this.layout.dataFile === null ? [image] : [image, this.layout.size],
    };
  }

  private *tail(last: readonly Write[], l1At: number, refcounts: RefcountPlace): Generator<Write> {
    const { clusterSize, refcountBits } = this.layout;
    yield* last;
    yield* tableWrites(l1At, this.l1, clusterSize, q.COPIED_HIGH);
    const perBlock = refcountBlockEntries(clusterSize, refcountBits);
    for (let i = 0; i < refcounts.blocks; i++)
      yield { file: 0, at: refcounts.blocksAt + i * clusterSize, bytes: this.allocator.refcountBlock(i * perBlock, perBlock) };
    const blocks = Float64Array.from({ length: refcounts.blocks }, (_, i) => refcounts.blocksAt + i * clusterSize);
    yield* tableWrites(refcounts.tableAt, blocks, clusterSize, 0);
    yield { file: 0, at: 0, bytes: headerCluster(this.layout, l1At, refcounts) };
  }
}

function setPair(view: DataView, at: number, [high, low]: readonly [high: number, low: number]): void {
  view.setUint32(at, high);
  view.setUint32(at + 4, low);
}

/** The fewest refcount blocks, and table clusters for them, that count `used` clusters and themselves. */
function refcountSizes(used: number, perBlock: number, clusterSize: number): { blocks: number; tableClusters: number } {
  let blocks = 0;
  let tableClusters = 0;
  for (;;) {
    const nextBlocks = Math.ceil((used + blocks + tableClusters) / perBlock);
    const nextTable = Math.ceil((nextBlocks * 8) / clusterSize);
    if (nextBlocks === blocks && nextTable === tableClusters) return { blocks, tableClusters };
    blocks = nextBlocks;
    tableClusters = nextTable;
  }
}

/** A table of 64-bit entries in whole clusters, at most 1 MiB (or one cluster) per write; `flag` goes with every position. */
function* tableWrites(at: number, positions: Float64Array, clusterSize: number, flag: number): Generator<Write> {
  const total = Math.ceil((positions.length * 8) / clusterSize) * clusterSize;
  const step = Math.max(clusterSize, 1 << 20);
  for (let from = 0; from < total; from += step) {
    const bytes = new Uint8Array(Math.min(step, total - from));
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < bytes.length; i += 8) {
      const position = positions[(from + i) / 8] ?? 0;
      if (position === 0) continue;
      view.setUint32(i, (flag | Math.floor(position / 2 ** 32)) >>> 0);
      view.setUint32(i + 4, position % 2 ** 32);
    }
    yield { file: 0, at: at + from, bytes };
  }
}

/** Hands out host clusters in ascending order and counts their users: no cluster is ever free, so a count is 1 unless noted. */
class Allocator {
  private readonly clusterSize: number;
  private readonly refcountBits: number;
  /** Highest count that an entry holds; a page entry holds 16 bits. */
  private readonly most: number;
  /** Counts less 1 of clusters with compressed data, by page. */
  private readonly pages = new Map<number, Uint16Array>();
  /** Clusters handed out, the header's included. */
  used = 1;
  /** Where the next compressed bytes may go, and the end of the cluster they begin in. */
  private fill = 0;
  private fillEnd = 0;

  constructor(clusterSize: number, refcountBits: number) {
    this.clusterSize = clusterSize;
    this.refcountBits = refcountBits;
    this.most = Math.min(2 ** refcountBits - 1, 0xffff);
  }

  /** `count` new adjacent clusters. */
  clusters(count: number): number {
    const at = this.used * this.clusterSize;
    this.used += count;
    return at;
  }

  /**
   * A place for `length` compressed bytes (less than a cluster): behind the last ones, also across a border when the next cluster is
   * still free, otherwise in a new cluster; also when the count of the cluster it would share is at its highest.
   */
  packed(length: number): number {
    const { clusterSize } = this;
    const cluster = this.fillEnd / clusterSize - 1;
    const open = this.fill < this.fillEnd && this.count(cluster) < this.most;
    const crosses = this.fill + length > this.fillEnd;
    if (open && !crosses) {
      this.raise(cluster);
    } else if (open && this.fillEnd === this.used * clusterSize) {
      this.raise(cluster);
      this.used += 1;
      this.fillEnd += clusterSize;
    } else {
      this.fill = this.clusters(1);
      this.fillEnd = this.fill + clusterSize;
    }
    const at = this.fill;
    this.fill += length;
    return at;
  }

  private count(cluster: number): number {
    return 1 + (this.pages.get(Math.floor(cluster / PAGE))?.[cluster % PAGE] ?? 0);
  }

  private raise(cluster: number): void {
    const number = Math.floor(cluster / PAGE);
    const page = this.pages.get(number) ?? new Uint16Array(PAGE);
    this.pages.set(number, page);
    page[cluster % PAGE] = (page[cluster % PAGE] as number) + 1;
  }

  /** The refcount block for clusters from `first`. */
  refcountBlock(first: number, entries: number): Uint8Array {
    const bytes = new Uint8Array(this.clusterSize);
    const view = new DataView(bytes.buffer);
    const end = Math.min(entries, this.used - first);
    for (let i = 0; i < end; i++) setRefcountAt(view, i, this.refcountBits, this.count(first + i));
    return bytes;
  }
}
