import { SECTOR } from "./spec.ts";

const PAGE = 1 << 10;
/** 128 MiB of memory, if all are in use. At the usual block size that is 32 TiB of file. */
const MOST_BUCKETS = 2 ** 24;

/**
 * Which entry owns which part of the file. Blocks begin at any sector, so two overlap when their places are less than a block (with
 * its bitmap, `stride`) apart: a bucket of that many bytes never holds the beginnings of two.
 */
export class BlockPlaces {
  /** False: the file has too many places for blocks to remember them all. */
  readonly tracked: boolean;
  private readonly stride: number;
  /** Per bucket: the owner's entry number + 1, and the sector at which its block begins. */
  private readonly pages = new Map<number, { readonly owner: Uint32Array; readonly sector: Uint32Array }>();

  constructor(stride: number, fileSize: number) {
    this.stride = stride;
    this.tracked = fileSize / stride <= MOST_BUCKETS;
  }

  /** The entry whose block a block of `entry` at byte `at` would lie on; null: none. */
  overlap(entry: number, at: number): number | null {
    const bucket = Math.floor(at / this.stride);
    for (let near = bucket - 1; near <= bucket + 1; near++) {
      const other = this.block(near);
      if (other !== null && other.entry !== entry && Math.abs(other.at - at) < this.stride) return other.entry;
    }
    return null;
  }

  /** The block of `entry` at byte `at` is the entry's own from now on; it must overlap no other's. */
  claim(entry: number, at: number): void {
    if (!this.tracked) return;
    const bucket = Math.floor(at / this.stride);
    const number = Math.floor(bucket / PAGE);
    let page = this.pages.get(number);
    if (page === undefined) {
      page = { owner: new Uint32Array(PAGE), sector: new Uint32Array(PAGE) };
      this.pages.set(number, page);
    }
    page.owner[bucket % PAGE] = entry + 1;
    page.sector[bucket % PAGE] = at / SECTOR;
  }

  /** Places of all claimed blocks, ascending. */
  *ascending(): Generator<number> {
    for (const number of [...this.pages.keys()].sort((a, b) => a - b))
      for (let i = 0; i < PAGE; i++) {
        const block = this.block(number * PAGE + i);
        if (block !== null) yield block.at;
      }
  }

  private block(bucket: number): { readonly entry: number; readonly at: number } | null {
    const page = this.pages.get(Math.floor(bucket / PAGE));
    const owner = page?.owner[bucket % PAGE] ?? 0;
    return owner === 0 ? null : { entry: owner - 1, at: (page?.sector[bucket % PAGE] as number) * SECTOR };
  }
}
