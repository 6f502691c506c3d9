import { DiskError } from "../../core/errors.ts";
import type { ByteSource, CheckReport, Extent, Finding, Range } from "../../core/model.ts";
import { DiskMap } from "./disk-map.ts";
import { type Header, readHeader } from "./header.ts";
import * as q from "./spec.ts";

const SECTOR = 512;
const MOST_FINDINGS = 1000;
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
      tally.corruption(error, error.guest);
      at = error.guest.start + error.guest.length;
    }
  }
  return tally.report();
}

/** What the tables lead to, a bit per host cluster. */
class Tally {
  private readonly file: ByteSource;
  private readonly header: Header;
  private readonly used: Uint8Array;
  private readonly clusters: number;
  private readonly findings: Finding[] = [];
  private corruptions = 0;
  private leaks = 0;
  private allocated = 0;
  private packed = 0;
  private fragmented = 0;
  private end = 0;
  private next = 0;

  constructor(file: ByteSource, header: Header) {
    this.file = file;
    this.header = header;
    this.clusters = Math.ceil(file.size / header.clusterSize);
    if (this.clusters > MOST_CLUSTERS)
      throw q.problem("limit", `${file.name} has ${this.clusters} clusters; at most ${MOST_CLUSTERS} can be checked`, { file: file.name });
    this.used = new Uint8Array(Math.ceil(this.clusters / 8));
  }

  use(at: number, length: number): void {
    const last = Math.min(Math.floor((at + length - 1) / this.header.clusterSize), this.clusters - 1);
    for (let cluster = Math.floor(at / this.header.clusterSize); cluster <= last; cluster++)
      this.used[cluster >>> 3] = (this.used[cluster >>> 3] as number) | (1 << (cluster & 7));
    this.end = Math.max(this.end, Math.min(at + length, this.file.size));
  }

  count(extent: Extent): void {
    if (extent.kind !== "raw" && extent.kind !== "packed") return;
    const clusters = Math.ceil(extent.length / this.header.clusterSize);
    this.use(extent.at, extent.kind === "raw" ? extent.length : extent.packed);
    this.allocated += clusters;
    if (extent.kind === "packed") this.packed++;
    if (extent.kind === "packed" || (this.next !== 0 && extent.at !== this.next)) this.fragmented++;
    this.next = extent.kind === "raw" ? extent.at + clusters * this.header.clusterSize : 0;
  }

  corruption({ message, at }: DiskError, guest: Range): void {
    this.corruptions++;
    this.note({ severity: "corruption", text: message, at: at ?? null, guest });
  }

  private note(finding: Finding): void {
    if (this.findings.length < MOST_FINDINGS) this.findings.push(finding);
  }

  /** Runs of clusters that nothing uses. Where tables are damaged, what they led to counts as well. */
  private findLeaks(): void {
    const { clusterSize } = this.header;
    for (let cluster = 0; cluster < this.clusters; cluster++) {
      const first = cluster;
      while (cluster < this.clusters && ((this.used[cluster >>> 3] as number) & (1 << (cluster & 7))) === 0) cluster++;
      if (cluster === first) continue;
      this.leaks += cluster - first;
      const text = `${cluster - first} clusters from ${q.hex(first * clusterSize)} on are not in use`;
      this.note({ severity: "leak", text, at: first * clusterSize, guest: null });
    }
  }

  report(): CheckReport {
    this.findLeaks();
    return {
      corruptions: this.corruptions,
      leaks: this.leaks,
      allocatedClusters: this.allocated,
      totalClusters: Math.ceil(this.header.size / this.header.clusterSize),
      compressedClusters: this.packed,
      fragmentedClusters: this.fragmented,
      imageEndOffset: this.end,
      findings: this.findings,
    };
  }
}
