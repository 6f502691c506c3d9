import { CheckTally } from "../../core/check-tally.ts";
import { type ByteSource, type CheckReport, type OpenContext, RUN_DATA } from "../../core/model.ts";
import { BlockTable, type TablePiece } from "./block-table.ts";
import { readHeader, type VdiHeader } from "./reader.ts";
import { ENTRY_BYTES, Header } from "./spec.ts";

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
  return tally.finish(table);
}

const pieceLength = ({ runs }: TablePiece): number => (runs.first[runs.length - 1] as number) + (runs.count[runs.length - 1] as number);

class Tally extends CheckTally {
  private readonly file: ByteSource;
  private readonly header: VdiHeader;
  private expectedAt = 0;

  constructor(file: ByteSource, header: VdiHeader) {
    super();
    this.file = file;
    this.header = header;
    this.totalClusters = header.blocks;
    this.imageEndOffset = header.mapAt + header.blocks * ENTRY_BYTES;
  }

  addPiece(piece: TablePiece): void {
    const { stride } = this.header;
    const { runs, first } = piece;
    for (let run = 0; run < runs.length; run++) {
      if (runs.kind[run] !== RUN_DATA) continue;
      const from = runs.at[run] as number;
      const count = runs.count[run] as number;
      if (this.allocatedClusters > 0 && from !== this.expectedAt) this.fragmentedClusters++;
      this.allocatedClusters += count;
      this.expectedAt = from + count * stride;
      for (let i = 0; i < count; i++) this.addBlock(piece, first + (runs.first[run] as number) + i, from + i * stride);
    }
  }

  private addBlock({ shared, first }: TablePiece, block: number, at: number): void {
    const { unit, size } = this.header;
    const length = Math.min(unit, size - block * unit);
    if (at + length > this.file.size) this.wrong(block, `block map entry ${block} puts data at byte ${at}, past the end of the file`);
    else {
      this.imageEndOffset = Math.max(this.imageEndOffset, Math.min(at + unit, this.file.size));
      if (shared?.has(block - first)) this.wrong(block, `block map entry ${block} points to a block that another entry uses as well`);
    }
  }

  private wrong(block: number, text: string): void {
    const { unit, size, mapAt } = this.header;
    const guest = { start: block * unit, length: Math.min(unit, size - block * unit) };
    this.corruption(text, mapAt + block * ENTRY_BYTES, guest);
  }

  finish(table: BlockTable): CheckReport {
    const { base, stride, fields } = this.header;
    if (fields.blocksAllocated !== this.allocatedClusters)
      this.warning(
        `the header counts ${fields.blocksAllocated} allocated blocks, the block map ${this.allocatedClusters}`,
        Header.offsetOf("blocksAllocated"),
      );
    this.unused(table.used.gaps(table.tracked ? table.blocksInFile : 0), base, stride, "block");
    return this.report();
  }
}
