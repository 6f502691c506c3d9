import { type ByteSource, type CheckReport, type Finding, type OpenContext, RUN_DATA } from "../../core/model.ts";
import { BlockTable, type TablePiece } from "./block-table.ts";
import { readHeader, type VdiHeader } from "./reader.ts";
import { ENTRY_BYTES, Header } from "./spec.ts";

const MOST_FINDINGS = 1000;

/** Walks the whole map: entries past the end, blocks used twice, blocks used by none, a wrong count in the header. */
export async function checkVdi(file: ByteSource, { compute }: OpenContext, signal?: AbortSignal): Promise<CheckReport> {
  const header = await readHeader(file);
  const table = new BlockTable(file, header, compute.scanTable);
  const tally = new Tally(file, header);
  for (let block = 0; block < header.blocks; ) {
    signal?.throwIfAborted();
    const piece = await table.piece(block);
    tally.addPiece(piece);
    block = piece.first + pieceLength(piece);
  }
  return tally.report(table);
}

const pieceLength = ({ runs }: TablePiece): number => (runs.first[runs.length - 1] as number) + (runs.count[runs.length - 1] as number);

class Tally {
  private readonly file: ByteSource;
  private readonly header: VdiHeader;
  private readonly findings: Finding[] = [];
  private corruptions = 0;
  private allocated = 0;
  private fragmented = 0;
  private imageEnd: number;
  private expectedAt = 0;

  constructor(file: ByteSource, header: VdiHeader) {
    this.file = file;
    this.header = header;
    this.imageEnd = header.mapAt + header.blocks * ENTRY_BYTES;
  }

  addPiece(piece: TablePiece): void {
    const { stride } = this.header;
    const { runs, first } = piece;
    for (let run = 0; run < runs.length; run++) {
      if (runs.kind[run] !== RUN_DATA) continue;
      const from = runs.at[run] as number;
      const count = runs.count[run] as number;
      if (this.allocated > 0 && from !== this.expectedAt) this.fragmented++;
      this.allocated += count;
      this.expectedAt = from + count * stride;
      for (let i = 0; i < count; i++) this.addBlock(piece, first + (runs.first[run] as number) + i, from + i * stride);
    }
  }

  private addBlock({ shared, first }: TablePiece, block: number, at: number): void {
    const { unit, size } = this.header;
    const length = Math.min(unit, size - block * unit);
    if (at + length > this.file.size) this.wrong(block, `block map entry ${block} puts data at byte ${at}, past the end of the file`);
    else {
      this.imageEnd = Math.max(this.imageEnd, Math.min(at + unit, this.file.size));
      if (shared?.has(block - first)) this.wrong(block, `block map entry ${block} points to a block that another entry uses as well`);
    }
  }

  private wrong(block: number, text: string): void {
    this.corruptions++;
    const { unit, size, mapAt } = this.header;
    const guest = { start: block * unit, length: Math.min(unit, size - block * unit) };
    this.note({ severity: "corruption", text, at: mapAt + block * ENTRY_BYTES, guest });
  }

  private note(finding: Finding): void {
    if (this.findings.length < MOST_FINDINGS) this.findings.push(finding);
  }

  report(table: BlockTable): CheckReport {
    const { blocks, base, stride, fields } = this.header;
    if (fields.blocksAllocated !== this.allocated) {
      const text = `the header counts ${fields.blocksAllocated} allocated blocks, the block map ${this.allocated}`;
      this.note({ severity: "warning", text, at: Header.offsetOf("blocksAllocated"), guest: null });
    }
    let leaks = 0;
    for (const { start, length } of table.used.gaps(table.tracked ? table.blocksInFile : 0)) {
      leaks += length;
      const at = base + start * stride;
      const text = length === 1 ? `the block at byte ${at} is not used` : `${length} blocks from byte ${at} on are not used`;
      this.note({ severity: "leak", text, at, guest: null });
    }
    return {
      corruptions: this.corruptions,
      leaks,
      allocatedClusters: this.allocated,
      totalClusters: blocks,
      compressedClusters: 0,
      fragmentedClusters: this.fragmented,
      imageEndOffset: this.imageEnd,
      findings: this.findings,
    };
  }
}
