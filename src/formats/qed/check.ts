import { CheckTally } from "../../core/check-tally.ts";
import { type ByteSource, type CheckReport, type OpenContext, type Range, RUN_DATA } from "../../core/model.ts";
import { type QedHeader, readHeader } from "./header.ts";
import { notesOn } from "./reader.ts";
import { ENTRY_BYTES } from "./spec.ts";
import { type TablePiece, Tables } from "./tables.ts";

/** Walks the L1 table and every L2 table: entries out of place, clusters used twice, clusters used by none. [QED] Consistency checking */
export async function checkQed(file: ByteSource, { compute }: OpenContext, signal?: AbortSignal): Promise<CheckReport> {
  const header = await readHeader(file);
  const tables = new Tables(file, header, compute.scanTable);
  const tally = new Tally(header, tables);
  for (let l1 = 0; l1 < header.entries; ) {
    const piece = await tables.l1Piece(l1);
    for (const { entry, at } of tally.sound(piece, "L1", 0, header.span, header.tableBytes)) {
      tally.beginTable(at + header.tableBytes);
      for (let l2 = 0; l2 < header.entries; ) {
        signal?.throwIfAborted();
        const part = await tables.l2Piece(at, l2);
        for (const cluster of tally.sound(part, "L2", entry * header.span, header.unit, header.unit)) tally.addCluster(cluster.at);
        l2 = part.first + part.count;
      }
    }
    l1 = piece.first + piece.count;
  }
  return tally.report();
}

class Tally extends CheckTally {
  private readonly header: QedHeader;
  private readonly tables: Tables;
  /** Where the next cluster of this L2 table would lie if it followed the last one; null: there is no last one. */
  private expectedAt: number | null = null;

  constructor(header: QedHeader, tables: Tables) {
    super();
    this.header = header;
    this.tables = tables;
    this.totalClusters = Math.ceil(header.size / header.unit);
    this.imageEndOffset = header.l1At + header.tableBytes;
    for (const { text } of notesOn(header, tables)) this.warning(text);
  }

  /** The entries of a piece that mean something, and where; `from`: virtual start of its table, `covers`: bytes of disk per entry. */
  *sound(piece: TablePiece, name: string, from: number, covers: number, length: number): Generator<{ entry: number; at: number }> {
    const { runs, first } = piece;
    for (let run = 0; run < runs.length; run++) {
      if (runs.kind[run] !== RUN_DATA) continue;
      for (let i = 0; i < (runs.count[run] as number); i++) {
        const entry = first + (runs.first[run] as number) + i;
        const at = (runs.at[run] as number) + i * length;
        const guest = this.guestOf(from + entry * covers, covers);
        const place = piece.at + (entry - first) * ENTRY_BYTES;
        // Of the last cluster, a disk that ends inside it needs only a part.
        const needed = name === "L2" ? (guest?.length ?? 0) : length;
        const problem = this.tables.problem(piece, entry, at, needed);
        if (problem !== null) {
          this.corruption(`${name} entry ${entry} ${problem}`, place, guest);
          continue;
        }
        if (guest === null) this.warning(`${name} entry ${entry} lies past the end of the disk`, place);
        yield { entry, at };
      }
    }
  }

  beginTable(end: number): void {
    this.imageEndOffset = Math.max(this.imageEndOffset, end);
    this.expectedAt = null;
  }

  addCluster(at: number): void {
    this.allocatedClusters++;
    if (this.expectedAt !== null && at !== this.expectedAt) this.fragmentedClusters++;
    this.expectedAt = at + this.header.unit;
    this.imageEndOffset = Math.max(this.imageEndOffset, this.expectedAt);
  }

  override report(): CheckReport {
    const { header, tables } = this;
    this.unused(tables.used.gaps(tables.tracked ? tables.clustersInFile : 0), 0, header.unit, "cluster");
    return super.report();
  }

  private guestOf(start: number, length: number): Range | null {
    const { size } = this.header;
    return start < size ? { start, length: Math.min(length, size - start) } : null;
  }
}
