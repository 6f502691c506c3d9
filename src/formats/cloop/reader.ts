import { DiskError, type DiskErrorCode } from "../../core/errors.ts";
import type { ByteSource, Extent, Note, OpenContext, Volume } from "../../core/model.ts";
import { RecentPieces } from "../../core/recent-pieces.ts";
import { STANDALONE } from "../../core/standalone.ts";
import { ENTRY_BYTES, Header, LARGEST_BLOCK, mostPacked, PREAMBLE, SECTOR } from "./spec.ts";

/** Blocks whose offsets are read at once, and extents of one answer. */
const PIECE_BLOCKS = 4096;
const PIECES_KEPT = 16;

interface CloopHeader {
  readonly unit: number;
  readonly blocks: number;
  /** Where the offsets begin: one more than there are blocks. */
  readonly tableAt: number;
  readonly tableEnd: number;
}

/** The header, with every field that is relied on held against the others and the file. */
async function readHeader(file: ByteSource): Promise<CloopHeader> {
  if (file.size === 0) throw new DiskError("corrupt", `cloop: ${file.name} is empty`, { file: file.name, at: 0 });
  const { preamble, block_size: unit, n_blocks: blocks } = Header.read(await file.read(0, Header.bytes));
  const refuse = (code: DiskErrorCode, field: "preamble" | "block_size" | "n_blocks", text: string): never => {
    throw new DiskError(code, `cloop: ${field} of ${file.name} ${text}`, { file: file.name, at: Header.offsetOf(field) });
  };
  const version = PREAMBLE.exec(String.fromCharCode(...preamble));
  if (version === null) refuse("corrupt", "preamble", "is not that of a compressed loopback image");
  if (version?.[1] !== "2") refuse("unsupported", "preamble", `states version ${version?.[1]}.${version?.[2]}, expected 2.0`);
  if (unit === 0 || unit % SECTOR !== 0) refuse("corrupt", "block_size", `is ${unit}, expected a multiple of ${SECTOR}`);
  if (unit > LARGEST_BLOCK) refuse("limit", "block_size", `is ${unit}, at most ${LARGEST_BLOCK} are read`);
  const tableEnd = Header.bytes + (blocks + 1) * ENTRY_BYTES;
  if (blocks === 0) refuse("corrupt", "n_blocks", "is 0");
  if (tableEnd > file.size)
    refuse("corrupt", "n_blocks", `is ${blocks}: their offsets end at byte ${tableEnd}, but the file at ${file.size}; it is truncated`);
  return { unit, blocks, tableAt: Header.bytes, tableEnd };
}

/** Opens an image; every block is a zlib stream of its own. */
export async function openCloop(file: ByteSource, _context: OpenContext): Promise<Volume> {
  const header = await readHeader(file);
  const { unit, blocks, tableAt, tableEnd } = header;
  const table = new OffsetTable(file, header);
  const offsetAt = async (index: number) =>
    new DataView((await file.read(tableAt + index * ENTRY_BYTES, ENTRY_BYTES)).buffer).getBigUint64(0);
  const [first, last] = [await offsetAt(0), await offsetAt(blocks)];
  const notes: Note[] = [];
  const warn = (text: string) => notes.push({ text, severity: "warning" });
  if (first !== BigInt(tableEnd)) warn(`The first block lies at byte ${first}, but the offsets end at ${tableEnd}.`);
  if (last > BigInt(file.size)) warn(`The blocks end at byte ${last}, but ${file.name} at ${file.size}: it is cut off.`);
  return {
    ...STANDALONE,
    format: "cloop",
    variant: "version 2.0",
    size: blocks * unit,
    unit,
    files: [file],
    notes,
    details: { "block-size": unit, blocks, "compressed-size": file.size - tableEnd },
    async extents(start, length, signal) {
      signal?.throwIfAborted();
      const firstBlock = Math.floor(start / unit);
      const piece = await table.piece(firstBlock);
      const end = Math.min(start + length, (piece.first + piece.count) * unit);
      const out: Extent[] = [];
      for (let at = start; at < end; ) {
        const block = Math.floor(at / unit);
        const skip = at - block * unit;
        const place = table.place(piece, block);
        if (typeof place === "string") {
          if (out.length > 0) break;
          throw new DiskError("corrupt", `cloop: block ${block} of ${file.name} ${place}`, {
            file: file.name,
            at: tableAt + block * ENTRY_BYTES,
            guest: { start: block * unit, length: unit },
          });
        }
        const count = Math.min(end - at, unit - skip);
        out.push({ kind: "packed", start: at, length: count, file: 0, ...place, codec: "zlib", unpacked: unit, skip });
        at += count;
      }
      return out;
    },
  };
}

interface Piece {
  readonly first: number;
  readonly count: number;
  /** The offsets of `count` blocks and of the one behind them. */
  readonly offsets: DataView;
}

/** The offsets, read a piece at a time. */
class OffsetTable {
  private readonly file: ByteSource;
  private readonly header: CloopHeader;
  private readonly pieces = new RecentPieces<Piece>(PIECES_KEPT);

  constructor(file: ByteSource, header: CloopHeader) {
    this.file = file;
    this.header = header;
  }

  /** The piece that holds the offset of `block`. */
  piece(block: number): Promise<Piece> {
    const first = block - (block % PIECE_BLOCKS);
    return this.pieces.get(first, () => this.load(first));
  }

  private async load(first: number): Promise<Piece> {
    const count = Math.min(PIECE_BLOCKS, this.header.blocks - first);
    const bytes = await this.file.read(this.header.tableAt + first * ENTRY_BYTES, (count + 1) * ENTRY_BYTES);
    return { first, count, offsets: new DataView(bytes.buffer) };
  }

  /** Where a block's stream lies, or why it cannot be known. Offsets ascend, so no two blocks share a byte. */
  place({ first, offsets }: Piece, block: number): { readonly at: number; readonly packed: number } | string {
    const [at, next] = [0, 1].map((i) => offsets.getBigUint64((block - first + i) * ENTRY_BYTES)) as [bigint, bigint];
    const { unit, tableEnd } = this.header;
    if (at < BigInt(tableEnd)) return `lies at byte ${at}, inside the table of offsets, which ends at ${tableEnd}`;
    if (next > BigInt(this.file.size)) return `ends at byte ${next}, but the file at ${this.file.size}`;
    if (next <= at) return `lies at byte ${at} and ends at ${next}`;
    const packed = Number(next - at);
    return packed > mostPacked(unit) ? `has ${packed} bytes, more than ${unit} bytes of disk can take` : { at: Number(at), packed };
  }
}
