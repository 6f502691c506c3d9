import { CheckTally } from "../../core/check-tally.ts";
import { type ByteSource, type CheckReport, type FormatContext, type OpenContext, RUN_DATA } from "../../core/model.ts";
import { BlockTable, type TablePiece } from "./block-table.ts";
import { readBundle } from "./bundle.ts";
import { isDescriptor } from "./content.ts";
import { readExtension } from "./extension.ts";
import { type ImageHeader, readHeader } from "./header.ts";
import { ENTRY_BYTES, Header } from "./spec.ts";

/** One image, or every image that a bundle's disk is read from; the numbers are then those of all of them together. */
export async function checkParallels(file: ByteSource, context: FormatContext, signal?: AbortSignal): Promise<CheckReport> {
  if (!(await isDescriptor(file))) return checkImage(file, context, signal);
  const { parts, notes, descriptor } = await readBundle(file, context);
  const tally = new CheckTally();
  for (const { text, severity } of [...descriptor.notes, ...notes]) if (severity === "warning") tally.warning(text);
  for (const { start, chain } of parts)
    for (const volume of chain) {
      if (volume.format === "raw") continue;
      const image = volume.files[0] as ByteSource;
      tally.include(await checkImage(image, context, signal), image.name, start);
    }
  tally.imageEndOffset = file.size;
  return tally.report();
}

/** Walks the whole BAT: entries outside the data area or the file, clusters used twice, clusters used by none. */
async function checkImage(file: ByteSource, { compute }: Pick<OpenContext, "compute">, signal?: AbortSignal): Promise<CheckReport> {
  const header = await readHeader(file);
  const table = new BlockTable(file, header, compute.scanTable);
  const tally = new Tally(header, table);
  for (const { text, severity } of header.notes) if (severity === "warning") tally.warning(text);
  const problem = (await readExtension(file, header, table))?.problem ?? null;
  if (problem !== null) tally.warning(`the format extension: ${problem}`, Header.offsetOf("ext_off"));
  for (let entry = 0; entry < header.entries; ) {
    signal?.throwIfAborted();
    const piece = await table.piece(entry);
    tally.addPiece(piece);
    entry = piece.first + piece.count;
  }
  return tally.report();
}

class Tally extends CheckTally {
  private readonly header: ImageHeader;
  private readonly table: BlockTable;
  /** Where the cluster of the next entry would lie if it followed; null after a hole. */
  private expectedAt: number | null = null;

  constructor(header: ImageHeader, table: BlockTable) {
    super();
    this.header = header;
    this.table = table;
    this.totalClusters = header.entries;
    this.imageEndOffset = header.dataAt;
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
      if (this.expectedAt !== null && from !== this.expectedAt) this.fragmentedClusters++;
      this.allocatedClusters += count;
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
      this.corruption(`block table entry ${entry} ${problem}`, place, guest);
      return;
    }
    this.imageEndOffset = Math.max(this.imageEndOffset, at + unit);
    if (guest === null) this.warning(`block table entry ${entry} lies past the end of the disk`, place);
  }

  override report(): CheckReport {
    const { table } = this;
    const { dataAt, unit } = this.header;
    this.unused(table.used.gaps(table.tracked ? table.clustersInFile : 0), dataAt, unit, "cluster");
    return super.report();
  }
}
