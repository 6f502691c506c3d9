import { BitSet } from "../../core/bit-set.ts";
import type { ByteSource } from "../../core/model.ts";
import { RecentPieces } from "../../core/recent-pieces.ts";
import type { Place } from "./regions.ts";
import {
  BAT_ENTRY_BYTES,
  BITMAP_BYTES,
  BITMAP_PRESENT,
  BLOCK_FULLY_PRESENT,
  BLOCK_NOT_PRESENT,
  BLOCK_PARTIALLY_PRESENT,
  BLOCK_UNDEFINED,
  BLOCK_UNMAPPED,
  BLOCK_UNMAPPED_095,
  BLOCK_ZERO,
  MIB,
  problem,
} from "./spec.ts";

/** Entries read at once, about: whole chunks, 64 KiB of table; at most 256 KiB, when one chunk is that large. */
const PIECE_ENTRIES = 1 << 13;
const PIECES_KEPT = 16;
/** Mebibytes of file up to which overlaps are looked for: 32 MiB of bits, 256 TiB of file. */
const MOST_TRACKED = 2 ** 28;
/** Blocks that lie over others after which the image is given up. */
const MOST_OVERLAPS = 1 << 20;

/** What an entry says; from `PAST_END` on why it cannot be used. */
export const HOLE = 0;
export const ZERO = 1;
export const DATA = 2;
export const PARTIAL = 3;
export const PAST_END = 4;
export const OVERLAP = 5;
export const BAD_STATE = 6;
export const BAD_RESERVED = 7;
export const NO_PARENT = 8;
export const NO_BITMAP = 9;
const REASONS: Readonly<Record<number, string>> = {
  [PAST_END]: "puts the block past the end of the file",
  [OVERLAP]: "puts the block over another block or over the file's own tables",
  [BAD_STATE]: "has a reserved state",
  [BAD_RESERVED]: "has reserved bits set",
  [NO_PARENT]: "says that part of the block is in the parent, but the image has none",
  [NO_BITMAP]: "says that part of the block is in the parent, but no sector bitmap block that can be used says which",
};

export interface TableShape {
  readonly at: number;
  /** Virtual size. */
  readonly size: number;
  readonly blockBytes: number;
  readonly blocks: number;
  /** Payload entries before each sector bitmap entry. */
  readonly ratio: number;
  /** Payload and sector bitmap entries together. */
  readonly entries: number;
  readonly hasParent: boolean;
}

/** Runs of blocks that say the same, as parallel arrays; data blocks join where their places do, damaged and partial ones never. */
export interface TablePiece {
  readonly firstBlock: number;
  readonly blocks: number;
  readonly runs: number;
  readonly kind: Uint8Array;
  /** Counted from `firstBlock`. */
  readonly first: Uint32Array;
  /** Position of the first block; for HOLE and ZERO without meaning. */
  readonly at: Float64Array;
  /** Position of the sector bitmap of each chunk of the piece, -1 where there is none. */
  readonly bitmapAt: Float64Array;
}

/** [MS-VHDX] 2.5: an image without a parent leaves the last sector bitmap entry out when no payload entry follows. */
export function tableEntries(blocks: number, ratio: number, hasParent: boolean): number {
  return hasParent ? Math.ceil(blocks / ratio) * (ratio + 1) : blocks + Math.floor((blocks - 1) / ratio);
}

export const entryOfBlock = (block: number, ratio: number): number => block + Math.floor(block / ratio);

/**
 * The block allocation table, read a piece at a time: a 64 TiB disk has up to 512 MiB of it. Blocks that lie over each other are
 * damage, and found as the pieces come in: the entry that was read later counts as the wrong one.
 */
export class BlockTable {
  /** Mebibytes of the file that something lies in. */
  readonly used = new BitSet();
  /** Mebibytes that blocks without content keep for themselves ([MS-VHDX] 2.5.1.1: FileOffsetMB of such entries). */
  readonly kept = new BitSet();
  /** Of such blocks, in the pieces read so far: how many, and the first. */
  keptBlocks: { count: number; readonly first: number } | null = null;
  readonly tracked: boolean;
  private readonly file: ByteSource;
  private readonly shape: TableShape;
  private readonly chunksPerPiece: number;
  private readonly pieces = new RecentPieces<TablePiece>(PIECES_KEPT);
  private readonly seen = new BitSet();
  private readonly overlapping = new Set<number>();
  private readonly overlappingBitmaps = new Set<number>();

  /** `file` is the file after replay of its log; `places` are its tables. */
  constructor(file: ByteSource, shape: TableShape, places: readonly Place[]) {
    this.file = file;
    this.shape = shape;
    this.chunksPerPiece = Math.max(1, Math.floor(PIECE_ENTRIES / (shape.ratio + 1)));
    this.tracked = file.size <= MOST_TRACKED * MIB;
    for (const { at, length } of this.tracked ? places : []) this.claim(at, length);
  }

  /** The piece that holds `block`. */
  piece(block: number): Promise<TablePiece> {
    const number = Math.floor(block / (this.shape.ratio * this.chunksPerPiece));
    return this.pieces.get(number, () => this.load(number));
  }

  /** Position of a block's entry in the file. */
  entryAt(block: number): number {
    return this.shape.at + entryOfBlock(block, this.shape.ratio) * BAT_ENTRY_BYTES;
  }

  /** Why a block with this kind cannot be read. */
  reason(block: number, kind: number, at: number): string {
    const place = kind === PAST_END || kind === OVERLAP ? ` (byte ${at})` : "";
    return `BAT entry ${entryOfBlock(block, this.shape.ratio)} ${REASONS[kind] ?? "cannot be used"}${place}`;
  }

  private async load(number: number): Promise<TablePiece> {
    const { ratio, blocks, entries, at } = this.shape;
    const firstEntry = number * this.chunksPerPiece * (ratio + 1);
    const count = Math.min(this.chunksPerPiece * (ratio + 1), entries - firstEntry);
    const bytes = await this.file.read(at + firstEntry * BAT_ENTRY_BYTES, count * BAT_ENTRY_BYTES);
    const firstBlock = number * this.chunksPerPiece * ratio;
    const table = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const isNew = this.seen.add(number);
    const pieceBlocks = Math.min(blocks - firstBlock, this.chunksPerPiece * ratio);
    return this.decode(table, firstBlock, pieceBlocks, isNew);
  }

  private decode(table: DataView, firstBlock: number, blocks: number, isNew: boolean): TablePiece {
    const { ratio, blockBytes } = this.shape;
    const bitmapAt = this.bitmaps(table, Math.floor(firstBlock / ratio), isNew);
    const kind = new Uint8Array(blocks);
    const first = new Uint32Array(blocks);
    const at = new Float64Array(blocks);
    let runs = 0;
    for (let i = 0; i < blocks; i++) {
      const chunk = Math.floor(i / ratio);
      const entry = (i + chunk) * BAT_ENTRY_BYTES;
      const low = table.getUint32(entry, true);
      const place = placeOf(table, entry);
      const is = this.kindOf(firstBlock + i, low, place, (bitmapAt[chunk] ?? -1) >= 0, isNew);
      const last = runs - 1;
      const joins =
        runs > 0 &&
        kind[last] === is &&
        (is < DATA || (is === DATA && place === (at[last] as number) + (i - (first[last] as number)) * blockBytes));
      if (joins) continue;
      kind[runs] = is;
      first[runs] = i;
      at[runs] = place;
      runs++;
    }
    return { firstBlock, blocks, runs, kind: kind.slice(0, runs), first: first.slice(0, runs), at: at.slice(0, runs), bitmapAt };
  }

  /** Positions of the sector bitmap blocks; images without a parent have none, whatever their entries say (old QEMU leaves garbage there). */
  private bitmaps(table: DataView, firstChunk: number, isNew: boolean): Float64Array {
    const { ratio, hasParent } = this.shape;
    if (!hasParent) return new Float64Array(0);
    const chunks = Math.floor(table.byteLength / BAT_ENTRY_BYTES / (ratio + 1));
    return Float64Array.from({ length: chunks }, (_, chunk) => {
      const entry = (chunk * (ratio + 1) + ratio) * BAT_ENTRY_BYTES;
      const at = placeOf(table, entry);
      if ((table.getUint32(entry, true) & 0xfffff) !== BITMAP_PRESENT || at + BITMAP_BYTES > this.file.size) return -1;
      if (isNew && this.tracked && !this.claim(at, BITMAP_BYTES)) this.overlappingBitmaps.add(firstChunk + chunk);
      return this.overlappingBitmaps.has(firstChunk + chunk) ? -1 : at;
    });
  }

  private kindOf(block: number, low: number, at: number, hasBitmap: boolean, isNew: boolean): number {
    const { blockBytes, size, hasParent } = this.shape;
    const state = low & 7;
    if ((low & 0xffff8) !== 0) return BAD_RESERVED;
    if (state === BLOCK_NOT_PRESENT) return HOLE;
    if (state === BLOCK_ZERO || state === BLOCK_UNDEFINED || state === BLOCK_UNMAPPED || state === BLOCK_UNMAPPED_095) {
      if (isNew && this.tracked && at > 0 && at + blockBytes <= this.file.size) this.keep(block, at);
      return ZERO;
    }
    if (state !== BLOCK_FULLY_PRESENT && state !== BLOCK_PARTIALLY_PRESENT) return BAD_STATE;
    const needed = Math.min(blockBytes, size - block * blockBytes);
    if (at + needed > this.file.size) return PAST_END;
    if (isNew && this.tracked && !this.claim(at, blockBytes)) this.addOverlap(block);
    if (this.overlapping.has(block)) return OVERLAP;
    if (state === BLOCK_FULLY_PRESENT) return DATA;
    if (!hasParent) return NO_PARENT;
    return hasBitmap ? PARTIAL : NO_BITMAP;
  }

  private keep(block: number, at: number): void {
    this.mark(this.kept, at, this.shape.blockBytes);
    this.keptBlocks ??= { count: 0, first: block };
    this.keptBlocks.count++;
  }

  private addOverlap(block: number): void {
    this.overlapping.add(block);
    if (this.overlapping.size > MOST_OVERLAPS)
      throw problem("corrupt", this.file.name, this.shape.at, "the BAT puts more than a million blocks over others");
  }

  /** False when something lies there already. */
  private claim(at: number, length: number): boolean {
    return this.mark(this.used, at, length);
  }

  private mark(set: BitSet, at: number, length: number): boolean {
    const end = Math.min(Math.ceil((at + length) / MIB), Math.ceil(this.file.size / MIB));
    let isFree = true;
    for (let place = Math.floor(at / MIB); place < end; place++) isFree = set.add(place) && isFree;
    return isFree;
  }
}

/** FileOffsetMB, in bytes; past 2^53 it comes out inexact but large. */
function placeOf(table: DataView, entry: number): number {
  return (table.getUint32(entry + 4, true) * 4096 + (table.getUint32(entry, true) >>> 20)) * MIB;
}

/** How many blocks a run has. */
export function runBlocks({ first, runs, blocks }: TablePiece, run: number): number {
  return (run + 1 < runs ? (first[run + 1] as number) : blocks) - (first[run] as number);
}
