import { BitSet } from "../../core/bit-set.ts";
import { type ByteSource, RUN_DATA, type ScanTable, type TableLayout, type TableRuns } from "../../core/model.ts";
import { RecentPieces } from "../../core/recent-pieces.ts";
import { BLOCK_FREE, BLOCK_ZERO, ENTRY_BYTES } from "./spec.ts";

/** Entries read at once: 64 KiB of table, 16 GiB of disk. */
export const PIECE_ENTRIES = 1 << 14;
const PIECES_KEPT = 16;
/** Blocks up to which sharing is looked for: 32 MiB of bits, 256 TiB of file at the usual block size. */
const MOST_TRACKED = 2 ** 28;

export interface TableShape {
  readonly mapAt: number;
  /** First byte of block 0's data. */
  readonly base: number;
  /** Bytes of file and of disk per block. */
  readonly stride: number;
  readonly unit: number;
  readonly blocks: number;
}

export interface TablePiece {
  /** Number of the first entry. */
  readonly first: number;
  readonly runs: TableRuns;
  /** Entries, counted from `first`, whose block another entry had before; null: none. */
  readonly shared: BitSet | null;
}

/**
 * The block map, read a piece at a time: a 64 TiB disk has 256 MiB of it. Two entries with the same block are damage,
 * and found as the pieces come in: the entry that was read later counts as the wrong one.
 */
export class BlockTable {
  /** Blocks that lie (at least in part) inside the file. */
  readonly blocksInFile: number;
  readonly tracked: boolean;
  readonly used = new BitSet();
  private readonly file: ByteSource;
  private readonly shape: TableShape;
  private readonly scanTable: ScanTable;
  private readonly layout: TableLayout;
  private readonly pieces = new RecentPieces<TablePiece>(PIECES_KEPT);
  private readonly seen = new Map<number, BitSet | null>();

  constructor(file: ByteSource, shape: TableShape, scanTable: ScanTable) {
    this.file = file;
    this.shape = shape;
    this.scanTable = scanTable;
    const { base, stride, unit } = shape;
    this.blocksInFile = Math.max(0, Math.ceil((file.size - base) / stride));
    this.tracked = this.blocksInFile <= MOST_TRACKED;
    this.layout = {
      entryBytes: ENTRY_BYTES,
      endian: "le",
      mask: 0xffffffffn,
      scale: stride,
      base,
      unit,
      hole: BigInt(BLOCK_FREE),
      zero: BigInt(BLOCK_ZERO),
      zeroBits: 0n,
      packedBits: 0n,
    };
  }

  /** The piece that holds entry `block`. */
  piece(block: number): Promise<TablePiece> {
    const number = Math.floor(block / PIECE_ENTRIES);
    return this.pieces.get(number, () => this.load(number));
  }

  private async load(number: number): Promise<TablePiece> {
    const first = number * PIECE_ENTRIES;
    const entries = Math.min(PIECE_ENTRIES, this.shape.blocks - first);
    const table = await this.file.read(this.shape.mapAt + first * ENTRY_BYTES, entries * ENTRY_BYTES);
    const runs = this.scanTable(table, this.layout);
    let shared = this.seen.get(number);
    if (shared === undefined) {
      shared = this.tracked ? this.claim(runs) : null;
      this.seen.set(number, shared);
    }
    return { first, runs, shared };
  }

  /** Marks the runs' blocks as used; the entries whose block was in use before. */
  private claim(runs: TableRuns): BitSet | null {
    let shared: BitSet | null = null;
    for (let run = 0; run < runs.length; run++) {
      if (runs.kind[run] !== RUN_DATA) continue;
      const block = ((runs.at[run] as number) - this.shape.base) / this.shape.stride;
      const count = Math.min(runs.count[run] as number, this.blocksInFile - block);
      for (let i = 0; i < count; i++) {
        if (this.used.add(block + i)) continue;
        shared ??= new BitSet();
        shared.add((runs.first[run] as number) + i);
      }
    }
    return shared;
  }
}
