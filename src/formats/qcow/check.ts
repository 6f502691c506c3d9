import { BitSet } from "../../core/bit-set.ts";
import { CheckTally } from "../../core/check-tally.ts";
import { DiskError } from "../../core/errors.ts";
import type { ByteSource, CheckReport, Extent } from "../../core/model.ts";
import { DiskMap } from "./disk-map.ts";
import { type Header, readHeader } from "./header.ts";
import * as q from "./spec.ts";

const SECTOR = 512;
/** 64 MiB of bits: 2 TiB in clusters of 4 KiB. */
const MOST_CLUSTERS = 2 ** 29;

/**
 * Follows every table entry: what the map refuses is a corruption; host clusters that nothing leads to are leaks. An encrypted image
 * needs no passphrase, and its data are not looked at.
 */
export async function checkQcow(file: ByteSource, _: unknown, signal?: AbortSignal): Promise<CheckReport> {
  const header = await readHeader(file);
  const map = await DiskMap.open(file, header);
  const tally = new Tally(file, header);
  for (const { at, length } of header.claims) tally.use(at, length);
  // [QEMU] qcow_co_create() writes the L1 table in whole sectors, which may reach into a cluster more.
  tally.use(header.l1.at, Math.ceil((header.l1.entries * q.ENTRY_BYTES) / SECTOR) * SECTOR);
  for (const at of map.tables) tally.use(at, header.l2Bytes);
  for (let at = 0; at < header.size; ) {
    signal?.throwIfAborted();
    try {
      for (const extent of await map.extents(at, header.size - at, signal)) {
        tally.count(extent);
        at = extent.start + extent.length;
      }
    } catch (error) {
      if (!(error instanceof DiskError) || error.guest === undefined) throw error;
      tally.corruption(error.message, error.at ?? null, error.guest);
      at = error.guest.start + error.guest.length;
    }
  }
  return tally.report();
}

/** What the tables lead to, a bit per host cluster. */
class Tally extends CheckTally {
  private readonly file: ByteSource;
  private readonly header: Header;
  private readonly used = new BitSet();
  private readonly clusters: number;
  private next = 0;

  constructor(file: ByteSource, header: Header) {
    super();
    this.file = file;
    this.header = header;
    this.totalClusters = Math.ceil(header.size / header.clusterSize);
    this.clusters = Math.ceil(file.size / header.clusterSize);
    if (this.clusters > MOST_CLUSTERS)
      throw q.problem("limit", `${file.name} has ${this.clusters} clusters; at most ${MOST_CLUSTERS} can be checked`, { file: file.name });
  }

  use(at: number, length: number): void {
    const last = Math.min(Math.floor((at + length - 1) / this.header.clusterSize), this.clusters - 1);
    for (let cluster = Math.floor(at / this.header.clusterSize); cluster <= last; cluster++) this.used.add(cluster);
    this.imageEndOffset = Math.max(this.imageEndOffset, Math.min(at + length, this.file.size));
  }

  count(extent: Extent): void {
    if (extent.kind !== "raw" && extent.kind !== "packed") return;
    const clusters = Math.ceil(extent.length / this.header.clusterSize);
    this.use(extent.at, extent.kind === "raw" ? extent.length : extent.packed);
    this.allocatedClusters += clusters;
    if (extent.kind === "packed") this.compressedClusters++;
    if (extent.kind === "packed" || (this.next !== 0 && extent.at !== this.next)) this.fragmentedClusters++;
    this.next = extent.kind === "raw" ? extent.at + clusters * this.header.clusterSize : 0;
  }

  /** Where tables are damaged, what they led to counts as a leak as well. */
  override report(): CheckReport {
    this.unused(this.used.gaps(this.clusters), 0, this.header.clusterSize, "cluster");
    return super.report();
  }
}
