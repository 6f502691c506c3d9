import { CheckTally } from "../../core/check-tally.ts";
import { DiskError } from "../../core/errors.ts";
import type { ByteSource, Range } from "../../core/model.ts";
import type { Header } from "./header.ts";
import * as q from "./spec.ts";

/** Clusters per page of counts, and how many are counted at most (256 MiB of counts: 8 TiB of 64 KiB clusters). */
const PAGE = 1 << 16;
const MOST_CLUSTERS = 2 ** 27;

/** What a check counts and finds, and how often each host cluster is used. Memory: 2 bytes per host cluster, by pages in use. */
export class ClusterTally extends CheckTally {
  readonly clusters: number;
  private readonly header: Header;
  private readonly file: ByteSource;
  private readonly pages = new Map<number, Uint16Array>();

  constructor(file: ByteSource, header: Header) {
    super();
    this.file = file;
    this.header = header;
    this.totalClusters = Math.ceil(header.size / header.clusterSize);
    this.clusters = Math.ceil(file.size / header.clusterSize);
    if (this.clusters > MOST_CLUSTERS)
      throw new DiskError("limit", `qcow2: ${file.name} has ${this.clusters} clusters; at most ${MOST_CLUSTERS} can be checked`, {
        file: file.name,
      });
  }

  /** Counts every cluster that `at..at+length` touches. False: it lies past the end by a cluster or more, which is told. */
  use(at: number, length: number, what: string, times: number, guest: Range | null = null): boolean {
    const { clusterSize } = this.header;
    if (at + length - this.file.size >= clusterSize) {
      this.corruption(`${what} at ${q.hex(at)} lies past the end of the file`, at, guest);
      return false;
    }
    const last = Math.floor((at + length - 1) / clusterSize);
    for (let cluster = Math.floor(at / clusterSize); cluster <= last; cluster++) this.add(cluster, times);
    return true;
  }

  private add(cluster: number, times: number): void {
    const number = Math.floor(cluster / PAGE);
    let page = this.pages.get(number);
    if (page === undefined) {
      page = new Uint16Array(PAGE);
      this.pages.set(number, page);
    }
    page[cluster % PAGE] = Math.min(0xffff, (page[cluster % PAGE] as number) + times);
  }

  /** How often a cluster was counted, at most 65,535. */
  uses(cluster: number): number {
    return this.pages.get(Math.floor(cluster / PAGE))?.[cluster % PAGE] ?? 0;
  }
}
