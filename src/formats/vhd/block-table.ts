import { DiskError } from "../../core/errors.ts";
import { type ByteSource, type Range, RUN_DATA, type ScanTable, type TableLayout, type TableRuns } from "../../core/model.ts";
import { RecentPieces } from "../../core/recent-pieces.ts";
import { BlockPlaces } from "./block-places.ts";
import type { SparseLayout } from "./layout.ts";
import { BLOCK_UNUSED, ENTRY_BYTES, SECTOR } from "./spec.ts";

/** Entries read at once: 64 KiB of table, 32 GiB of disk at the usual block size. */
export const PIECE_ENTRIES = 1 << 14;
const PIECES_KEPT = 64;

/** A stretch of the block allocation table. */
export interface TablePiece {
  /** Number of the first entry. */
  readonly first: number;
  readonly runs: TableRuns;
  /** Per entry, 1: the block's sector bitmap was read and all its bits are set. */
  readonly isFull: Uint8Array;
}

/** Of one block: `bitmapAt` and `dataAt` are places in the file, `length` the bytes of disk that it holds. */
export interface BlockPlace {
  readonly bitmapAt: number;
  readonly dataAt: number;
  readonly length: number;
}

/** The block allocation table, read a piece at a time; every entry is held against the file and the other entries before it is used. */
export class BlockTable {
  readonly places: BlockPlaces;
  private readonly file: ByteSource;
  private readonly sparse: SparseLayout;
  private readonly size: number;
  private readonly dataEnd: number;
  private readonly scanTable: ScanTable;
  private readonly layout: TableLayout;
  private readonly pieces = new RecentPieces<TablePiece>(PIECES_KEPT);

  /** `size`: of the virtual disk; `dataEnd`: where the last block must end. */
  constructor(file: ByteSource, sparse: SparseLayout, { size, dataEnd }: { size: number; dataEnd: number }, scanTable: ScanTable) {
    this.file = file;
    this.sparse = sparse;
    this.size = size;
    this.dataEnd = dataEnd;
    this.scanTable = scanTable;
    const stride = sparse.bitmapBytes + sparse.unit;
    this.places = new BlockPlaces(stride, dataEnd);
    this.layout = {
      entryBytes: ENTRY_BYTES,
      endian: "be",
      mask: 0xffffffffn,
      scale: SECTOR,
      base: 0,
      unit: stride,
      hole: BigInt(BLOCK_UNUSED),
      zero: null,
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
    const { tableAt, header } = this.sparse;
    const first = number * PIECE_ENTRIES;
    const entries = Math.min(PIECE_ENTRIES, header.maxTableEntries - first);
    const table = await this.file.read(tableAt + first * ENTRY_BYTES, entries * ENTRY_BYTES);
    const runs = this.scanTable(table, this.layout);
    const piece = { first, runs, isFull: new Uint8Array(entries) };
    for (const [block, at] of this.allocated(piece))
      if (block < this.sparse.blocks && this.fault(block, at) === null) this.places.claim(block, at);
    return piece;
  }

  /** The allocated entries of a piece, ascending: number of the entry, and where its block should be in the file. */
  *allocated({ first, runs }: TablePiece): Generator<readonly [block: number, at: number]> {
    for (let run = 0; run < runs.length; run++) {
      if (runs.kind[run] !== RUN_DATA) continue;
      for (let i = 0; i < (runs.count[run] as number); i++)
        yield [first + (runs.first[run] as number) + i, (runs.at[run] as number) + i * this.layout.unit];
    }
  }

  /** The bytes of disk in a block; 0 for an entry past the end of the disk. */
  lengthOf(block: number): number {
    return Math.max(0, Math.min(this.sparse.unit, this.size - block * this.sparse.unit));
  }

  /** Why entry `block` cannot point to `at`, or null. The entry of two that was read later counts as the wrong one. */
  fault(block: number, at: number): string | null {
    const { bitmapBytes, unit, metadata } = this.sparse;
    // Only what the disk needs must be there: a file may end with its last, cut-off block.
    const end = at + bitmapBytes + (this.lengthOf(block) || unit);
    if (end > this.dataEnd)
      return `puts its block at bytes ${at} to ${end}, but ${this.file.name} has room for blocks up to byte ${this.dataEnd} only`;
    if (metadata.some((area) => at < area.end && end > area.at))
      return `puts its block at byte ${at}, onto the image's own header or table`;
    const other = this.places.overlap(block, at);
    return other === null ? null : `puts its block at byte ${at}, onto that of entry ${other}`;
  }

  /** The place of an allocated block; a DiskError that names entry and guest range when the entry cannot be right. */
  place(block: number, at: number): BlockPlace {
    const fault = this.fault(block, at);
    if (fault !== null)
      throw new DiskError("corrupt", `vhd: block allocation table entry ${block} ${fault}`, {
        file: this.file.name,
        at: this.entryAt(block),
        guest: this.guestOf(block),
      });
    return { bitmapAt: at, dataAt: at + this.sparse.bitmapBytes, length: this.lengthOf(block) };
  }

  /** Where entry `block` stands in the file. */
  entryAt = (block: number): number => this.sparse.tableAt + block * ENTRY_BYTES;
  /** The part of the disk that entry `block` maps. */
  guestOf = (block: number): Range => ({ start: block * this.sparse.unit, length: this.lengthOf(block) });
}
