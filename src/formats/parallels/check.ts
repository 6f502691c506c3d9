import {
  type ByteSource,
  type CheckReport,
  type Finding,
  type FormatContext,
  type OpenContext,
  RUN_DATA,
  type Volume,
} from "../../core/model.ts";
import { BlockTable, type TablePiece } from "./block-table.ts";
import { readBundle } from "./bundle.ts";
import { isDescriptor } from "./content.ts";
import { readExtension } from "./extension.ts";
import { type ImageHeader, readHeader } from "./header.ts";
import { ENTRY_BYTES, Header } from "./spec.ts";

const MOST_FINDINGS = 1000;

/** One image, or every image that a bundle's disk is read from; the numbers are then those of all of them together. */
export async function checkParallels(file: ByteSource, context: FormatContext, signal?: AbortSignal): Promise<CheckReport> {
  if (!(await isDescriptor(file))) return checkImage(file, context, signal);
  const { parts, notes, descriptor } = await readBundle(file, context);
  const reports: CheckReport[] = [];
  const findings: Finding[] = [...descriptor.notes, ...notes]
    .filter(({ severity }) => severity === "warning")
    .map(({ text }) => ({ severity: "warning", text, at: null, guest: null }));
  for (const { start, chain } of parts)
    for (const volume of chain) {
      const report = await checkPart(volume, context, signal);
      reports.push(report);
      for (const finding of report.findings) {
        const guest = finding.guest && { start: finding.guest.start + start, length: finding.guest.length };
        if (findings.length < MOST_FINDINGS) findings.push({ ...finding, guest });
      }
    }
  const sum = (count: (report: CheckReport) => number) => reports.reduce((total, report) => total + count(report), 0);
  return {
    corruptions: sum(({ corruptions }) => corruptions),
    leaks: sum(({ leaks }) => leaks),
    allocatedClusters: sum(({ allocatedClusters }) => allocatedClusters),
    totalClusters: sum(({ totalClusters }) => totalClusters),
    compressedClusters: 0,
    fragmentedClusters: sum(({ fragmentedClusters }) => fragmentedClusters),
    imageEndOffset: file.size,
    findings,
  };
}

const NOTHING = { corruptions: 0, leaks: 0, allocatedClusters: 0, totalClusters: 0, compressedClusters: 0, fragmentedClusters: 0 };

async function checkPart(volume: Volume, context: OpenContext, signal: AbortSignal | undefined): Promise<CheckReport> {
  const file = volume.files[0] as ByteSource;
  if (volume.format === "raw") return { ...NOTHING, imageEndOffset: file.size, findings: [] };
  const report = await checkImage(file, context, signal);
  return { ...report, findings: report.findings.map((finding) => ({ ...finding, text: `${file.name}: ${finding.text}` })) };
}

/** Walks the whole BAT: entries outside the data area or the file, clusters used twice, clusters used by none. */
async function checkImage(file: ByteSource, { compute }: Pick<OpenContext, "compute">, signal?: AbortSignal): Promise<CheckReport> {
  const header = await readHeader(file);
  const table = new BlockTable(file, header, compute.scanTable);
  const tally = new Tally(header, table);
  for (const { text, severity } of header.notes) if (severity === "warning") tally.note({ severity, text, at: null, guest: null });
  const problem = (await readExtension(file, header, table))?.problem ?? null;
  if (problem !== null)
    tally.note({ severity: "warning", text: `the format extension: ${problem}`, at: Header.offsetOf("ext_off"), guest: null });
  for (let entry = 0; entry < header.entries; ) {
    signal?.throwIfAborted();
    const piece = await table.piece(entry);
    tally.addPiece(piece);
    entry = piece.first + piece.count;
  }
  return tally.report();
}

class Tally {
  private readonly header: ImageHeader;
  private readonly table: BlockTable;
  private readonly findings: Finding[] = [];
  private corruptions = 0;
  private allocated = 0;
  private fragmented = 0;
  private imageEnd: number;
  /** Where the cluster of the next entry would lie if it followed; null after a hole. */
  private expectedAt: number | null = null;

  constructor(header: ImageHeader, table: BlockTable) {
    this.header = header;
    this.table = table;
    this.imageEnd = header.dataAt;
  }

  note(finding: Finding): void {
    if (this.findings.length < MOST_FINDINGS) this.findings.push(finding);
  }

  addPiece(piece: TablePiece): void {
    const { unit } = this.header;
    const { runs, first } = piece;
    for (let run = 0; run < runs.length; run++) {
      if (runs.kind[run] !== RUN_DATA) {
        this.expectedAt = null;
        continue;
      }
      const from = runs.at[run] as number;
      const count = runs.count[run] as number;
      if (this.expectedAt !== null && from !== this.expectedAt) this.fragmented++;
      this.allocated += count;
      this.expectedAt = from + count * unit;
      for (let i = 0; i < count; i++) this.addCluster(piece, first + (runs.first[run] as number) + i, from + i * unit);
    }
  }

  private addCluster(piece: TablePiece, entry: number, at: number): void {
    const { unit, size } = this.header;
    const problem = this.table.problem(piece, entry, at);
    const start = entry * unit;
    const guest = start < size ? { start, length: Math.min(unit, size - start) } : null;
    const place = Header.bytes + entry * ENTRY_BYTES;
    if (problem !== null) {
      this.corruptions++;
      this.note({ severity: "corruption", text: `block table entry ${entry} ${problem}`, at: place, guest });
      return;
    }
    this.imageEnd = Math.max(this.imageEnd, at + unit);
    if (guest === null)
      this.note({ severity: "warning", text: `block table entry ${entry} lies past the end of the disk`, at: place, guest });
  }

  report(): CheckReport {
    const { table } = this;
    const { dataAt, unit, entries } = this.header;
    let leaks = 0;
    for (const { start, length } of table.used.gaps(table.tracked ? table.clustersInFile : 0)) {
      leaks += length;
      const at = dataAt + start * unit;
      const text = length === 1 ? `the cluster at byte ${at} is not used` : `${length} clusters from byte ${at} on are not used`;
      this.note({ severity: "leak", text, at, guest: null });
    }
    return {
      corruptions: this.corruptions,
      leaks,
      allocatedClusters: this.allocated,
      totalClusters: entries,
      compressedClusters: 0,
      fragmentedClusters: this.fragmented,
      imageEndOffset: this.imageEnd,
      findings: this.findings,
    };
  }
}
