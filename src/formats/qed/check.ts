import { type ByteSource, type CheckReport, type Finding, type OpenContext, type Range, RUN_DATA } from "../../core/model.ts";
import { type QedHeader, readHeader } from "./header.ts";
import { notesOn } from "./reader.ts";
import { ENTRY_BYTES } from "./spec.ts";
import { type TablePiece, Tables } from "./tables.ts";

const MOST_FINDINGS = 1000;

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

class Tally {
  private readonly header: QedHeader;
  private readonly tables: Tables;
  private readonly findings: Finding[] = [];
  private corruptions = 0;
  private allocated = 0;
  private fragmented = 0;
  private imageEnd: number;
  /** Where the next cluster of this L2 table would lie if it followed the last one; null: there is no last one. */
  private expectedAt: number | null = null;

  constructor(header: QedHeader, tables: Tables) {
    this.header = header;
    this.tables = tables;
    this.imageEnd = header.l1At + header.tableBytes;
    for (const { text } of notesOn(header, tables)) this.note({ severity: "warning", text, at: null, guest: null });
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
          this.corruptions++;
          this.note({ severity: "corruption", text: `${name} entry ${entry} ${problem}`, at: place, guest });
          continue;
        }
        if (guest === null)
          this.note({ severity: "warning", text: `${name} entry ${entry} lies past the end of the disk`, at: place, guest });
        yield { entry, at };
      }
    }
  }

  beginTable(end: number): void {
    this.imageEnd = Math.max(this.imageEnd, end);
    this.expectedAt = null;
  }

  addCluster(at: number): void {
    this.allocated++;
    if (this.expectedAt !== null && at !== this.expectedAt) this.fragmented++;
    this.expectedAt = at + this.header.unit;
    this.imageEnd = Math.max(this.imageEnd, this.expectedAt);
  }

  report(): CheckReport {
    const { header, tables } = this;
    let leaks = 0;
    for (const { start, length } of tables.used.gaps(tables.tracked ? tables.clustersInFile : 0)) {
      leaks += length;
      const at = start * header.unit;
      const text = length === 1 ? `the cluster at byte ${at} is not used` : `${length} clusters from byte ${at} on are not used`;
      this.note({ severity: "leak", text, at, guest: null });
    }
    return {
      corruptions: this.corruptions,
      leaks,
      allocatedClusters: this.allocated,
      totalClusters: Math.ceil(header.size / header.unit),
      compressedClusters: 0,
      fragmentedClusters: this.fragmented,
      imageEndOffset: this.imageEnd,
      findings: this.findings,
    };
  }

  private guestOf(start: number, length: number): Range | null {
    const { size } = this.header;
    return start < size ? { start, length: Math.min(length, size - start) } : null;
  }

  private note(finding: Finding): void {
    if (this.findings.length < MOST_FINDINGS) this.findings.push(finding);
  }
}
