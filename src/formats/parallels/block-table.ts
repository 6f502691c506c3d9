import { BitSet } from "../../core/bit-set.ts";
import { type ByteSource, RUN_DATA, type ScanTable, type TableLayout, type TableRuns } from "../../core/model.ts";
import { RecentPieces } from "../../core/recent-pieces.ts";
import type { ImageHeader } from "./header.ts";
import { ENTRY_BYTES, Header } from "./spec.ts";

/** Entries read at once: 64 KiB of table. */
const PIECE_ENTRIES = 1 << 14;
const PIECES_KEPT = 16;
/** Clusters of the file up to which sharing is looked for: 32 MiB of bits, 256 TiB of file at the usual cluster size. */
const MOST_TRACKED = 2 ** 28;

export interface TablePiece {
  /** Number of the first entry, and how many there are. */
  readonly first: number;
  readonly count: number;
  readonly runs: TableRuns;
  /** Entries, counted from `first`, whose cluster was in use before; null: none. */
  readonly shared: BitSet | null;
}

/**
 * The BAT, read a piece at a time. A cluster that two entries claim is damage, found as the pieces come in: the entry that
 * was read later counts as the wrong one. [IMAGE] BAT
 */
export class BlockTable {
  /** Clusters of the data area that lie, at least in part, inside the file. */
  readonly clustersInFile: number;
  readonly tracked: boolean;
  /** Clusters in use, counted from the data area's first. */
  readonly used = new BitSet();
  private readonly file: ByteSource;
  private readonly header: ImageHeader;
  private readonly scanTable: ScanTable;
  private readonly layout: TableLayout;
  private readonly pieces = new RecentPieces<TablePiece>(PIECES_KEPT);
  private readonly seen = new Map<number, BitSet | null>();

  constructor(file: ByteSource, header: ImageHeader, scanTable: ScanTable) {
    const { dataAt, unit, scale } = header;
    this.file = file;
    this.header = header;
    this.scanTable = scanTable;
    this.clustersInFile = Math.max(0, Math.ceil((file.size - dataAt) / unit));
    this.tracked = this.clustersInFile <= MOST_TRACKED;
    this.layout = {
      entryBytes: ENTRY_BYTES,
      endian: "le",
      mask: 0xffffffffn,
      scale,
      base: 0,
      unit,
      hole: null,
      zero: null,
      zeroBits: 0n,
      packedBits: 0n,
    };
  }

  /** The piece that holds `entry`. */
  piece(entry: number): Promise<TablePiece> {
    const number = Math.floor(entry / PIECE_ENTRIES);
    return this.pieces.get(number, () => this.load(number));
  }

  /** Why the cluster that `entry` puts at byte `at` cannot be the one meant; null: it is sound. */
  problem({ first, shared }: TablePiece, entry: number, at: number): string | null {
    const { dataAt, unit, size } = this.header;
    if (at < dataAt) return `puts the cluster at byte ${at}, before the data area, which begins at ${dataAt}`;
    if ((at - dataAt) % unit !== 0) return `puts the cluster at byte ${at}, which is not a whole number of clusters into the data area`;
    if (at + Math.max(0, Math.min(unit, size - entry * unit)) > this.file.size)
      return `puts the cluster at byte ${at}, but the file ends at ${this.file.size}`;
    return shared?.has(entry - first) === true ? "points to a cluster that is in use elsewhere as well" : null;
  }

  /** Marks the cluster at byte `at` as used by something other than the BAT; false when it is no free cluster of the file. */
  claim(at: number): boolean {
    const cluster = (at - this.header.dataAt) / this.header.unit;
    if (!Number.isSafeInteger(cluster) || cluster < 0 || cluster >= this.clustersInFile) return false;
    return !this.tracked || this.used.add(cluster);
  }

  private async load(number: number): Promise<TablePiece> {
    const first = number * PIECE_ENTRIES;
    const count = Math.min(PIECE_ENTRIES, this.header.entries - first);
    const table = await this.file.read(Header.bytes + first * ENTRY_BYTES, count * ENTRY_BYTES);
    const runs = this.scanTable(table, this.layout);
    let shared = this.seen.get(number);
    if (shared === undefined) {
      shared = this.tracked ? this.claimRuns(runs) : null;
      this.seen.set(number, shared);
    }
    return { first, count, runs, shared };
  }

  private claimRuns(runs: TableRuns): BitSet | null {
    const { dataAt, unit } = this.header;
    let shared: BitSet | null = null;
    for (let run = 0; run < runs.length; run++) {
      if (runs.kind[run] !== RUN_DATA) continue;
      const cluster = ((runs.at[run] as number) - dataAt) / unit;
      if (!Number.isSafeInteger(cluster)) continue;
      for (let i = Math.max(0, -cluster); i < (runs.count[run] as number) && cluster + i < this.clustersInFile; i++) {
        if (this.used.add(cluster + i)) continue;
        shared ??= new BitSet();
        shared.add((runs.first[run] as number) + i);
      }
    }
    return shared;
  }
}
