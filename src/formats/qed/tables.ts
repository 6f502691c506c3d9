import { BitSet } from "../../core/bit-set.ts";
import { type ByteSource, RUN_DATA, type ScanTable, type TableLayout, type TableRuns } from "../../core/model.ts";
import { RecentPieces } from "../../core/recent-pieces.ts";
import type { QedHeader } from "./header.ts";
import { ENTRY_BYTES, ENTRY_ZERO } from "./spec.ts";

/** Entries read at once: 64 KiB of table. */
const PIECE_ENTRIES = 1 << 13;
const PIECES_KEPT = 64;
/** Clusters of the file up to which sharing is looked for: 32 MiB of bits, 16 TiB of file at the usual cluster size. */
const MOST_TRACKED = 2 ** 28;

export interface TablePiece {
  /** Number of the first entry, and how many there are. */
  readonly first: number;
  readonly count: number;
  /** Byte of the first entry. */
  readonly at: number;
  readonly runs: TableRuns;
  /** Entries, counted from `first`, whose clusters were in use before; null: none. */
  readonly shared: BitSet | null;
}

/** Bytes of file that an entry stands for, and the entry that means zero. */
interface Level {
  readonly covers: number;
  readonly zero: bigint | null;
}

/**
 * The L1 table and the L2 tables, read a piece at a time. "Each cluster is referenced once and only once": what two entries
 * claim is damage, found as the pieces come in; the entry that was read later counts as the wrong one. [QED] Consistency checking
 */
export class Tables {
  /** Clusters that lie, at least in part, inside the file. */
  readonly clustersInFile: number;
  readonly tracked: boolean;
  readonly used = new BitSet();
  private readonly file: ByteSource;
  private readonly header: QedHeader;
  private readonly scanTable: ScanTable;
  private readonly pieces = new RecentPieces<TablePiece>(PIECES_KEPT);
  private readonly seen = new Map<number, BitSet | null>();

  constructor(file: ByteSource, header: QedHeader, scanTable: ScanTable) {
    const { unit, headerEnd, l1At, tableBytes } = header;
    this.file = file;
    this.header = header;
    this.scanTable = scanTable;
    this.clustersInFile = Math.ceil(file.size / unit);
    this.tracked = this.clustersInFile <= MOST_TRACKED;
    this.claim(0, headerEnd);
    this.claim(l1At, tableBytes);
  }

  /** The piece of the L1 table that holds `entry`; its data are L2 tables. */
  l1Piece(entry: number): Promise<TablePiece> {
    return this.piece(this.header.l1At, entry, { covers: this.header.tableBytes, zero: null });
  }

  /** The piece of the L2 table at byte `tableAt` that holds `entry`; its data are clusters. */
  l2Piece(tableAt: number, entry: number): Promise<TablePiece> {
    return this.piece(tableAt, entry, { covers: this.header.unit, zero: ENTRY_ZERO });
  }

  /** Why an entry cannot mean the table or cluster of `length` bytes at byte `at`; null: it can. */
  problem({ first, shared }: TablePiece, entry: number, at: number, length: number): string | null {
    const { unit, headerEnd } = this.header;
    if (at % unit !== 0) return `is ${at}, which is no multiple of the cluster size`;
    if (at < headerEnd) return `is ${at}, inside the header`;
    if (at + length > this.file.size)
      return `is ${at}: ${length} bytes from there are not inside the file, which ends at ${this.file.size}`;
    return shared?.has(entry - first) === true ? `is ${at}, where a cluster is in use already` : null;
  }

  private piece(tableAt: number, entry: number, level: Level): Promise<TablePiece> {
    const first = Math.floor(entry / PIECE_ENTRIES) * PIECE_ENTRIES;
    const at = tableAt + first * ENTRY_BYTES;
    return this.pieces.get(at, () => this.load(at, first, level));
  }

  private async load(at: number, first: number, { covers, zero }: Level): Promise<TablePiece> {
    const count = Math.min(PIECE_ENTRIES, this.header.entries - first);
    const layout: TableLayout = {
      entryBytes: ENTRY_BYTES,
      endian: "le",
      mask: 0xffffffffffffffffn,
      scale: 1,
      base: 0,
      unit: covers,
      hole: 0n,
      zero,
      zeroBits: 0n,
      packedBits: 0n,
    };
    const runs = this.scanTable(await this.file.read(at, count * ENTRY_BYTES), layout);
    let shared = this.seen.get(at);
    if (shared === undefined) {
      shared = this.tracked ? this.claimRuns(runs, covers) : null;
      this.seen.set(at, shared);
    }
    return { first, count, at, runs, shared };
  }

  private claimRuns(runs: TableRuns, covers: number): BitSet | null {
    let shared: BitSet | null = null;
    for (let run = 0; run < runs.length; run++) {
      if (runs.kind[run] !== RUN_DATA) continue;
      const from = runs.at[run] as number;
      if (from % this.header.unit !== 0) continue;
      for (let i = 0; i < (runs.count[run] as number); i++) {
        const at = from + i * covers;
        if (at >= this.file.size) break;
        if (this.claim(at, covers)) continue;
        shared ??= new BitSet();
        shared.add((runs.first[run] as number) + i);
      }
    }
    return shared;
  }

  /** Marks whole clusters as used, as far as the file goes; false when one of them was. */
  private claim(at: number, length: number): boolean {
    const { unit } = this.header;
    const end = Math.min((at + length) / unit, this.clustersInFile);
    let isFree = true;
    if (this.tracked) for (let cluster = at / unit; cluster < end; cluster++) if (!this.used.add(cluster)) isFree = false;
    return isFree;
  }
}
