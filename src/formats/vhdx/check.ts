import { CheckTally } from "../../core/check-tally.ts";
import type { ByteSource, CheckReport, OpenContext, Range } from "../../core/model.ts";
import { BlockTable, DATA, entryOfBlock, HOLE, PARTIAL, runBlocks, type TablePiece, ZERO } from "./block-table.ts";
import { readImage, type VhdxImage } from "./reader.ts";
import { HEADER_PLACES, MIB } from "./spec.ts";

/** Walks the whole BAT: damaged entries, blocks over others or past the end, space that nothing uses; and the headers' damage. */
export async function checkVhdx(file: ByteSource, { compute }: OpenContext, signal?: AbortSignal): Promise<CheckReport> {
  const image = await readImage(file, compute);
  const table = new BlockTable(image.patched.source, image.shape, image.regions.places);
  const tally = new Tally(image, table);
  for (let block = 0; block < image.shape.blocks; ) {
    signal?.throwIfAborted();
    const piece = await table.piece(block);
    tally.addPiece(piece);
    block = piece.firstBlock + piece.blocks;
  }
  return tally.report();
}

class Tally extends CheckTally {
  private readonly image: VhdxImage;
  private readonly table: BlockTable;
  private expectedAt: number | null = null;

  constructor(image: VhdxImage, table: BlockTable) {
    super();
    this.image = image;
    this.table = table;
    const { section, regions, replay } = image;
    this.totalClusters = image.shape.blocks;
    this.imageEndOffset = regions.places.reduce((end, { at, length }) => Math.max(end, at + length), 0);
    for (const { text, at } of [...section.faults, ...regions.faults]) this.warning(text, at);
    if (replay !== null) this.warning(`the log has ${replay.entries} entries to be replayed: the file was not closed`, HEADER_PLACES[0]);
    if (!table.tracked) this.warning("the file is too large to look for overlaps and unused space");
  }

  addPiece(piece: TablePiece): void {
    const { blockBytes } = this.image.shape;
    const fileSize = this.image.patched.source.size;
    for (let run = 0; run < piece.runs; run++) {
      const kind = piece.kind[run] as number;
      if (kind === HOLE || kind === ZERO) continue;
      const block = piece.firstBlock + (piece.first[run] as number);
      const at = piece.at[run] as number;
      const count = runBlocks(piece, run);
      this.allocatedClusters += count;
      if (kind !== DATA && kind !== PARTIAL) {
        this.corruption(this.table.reason(block, kind, at), this.table.entryAt(block), this.blockRange(block));
        continue;
      }
      if (this.expectedAt !== null && at !== this.expectedAt) this.fragmentedClusters++;
      const end = at + count * blockBytes;
      this.expectedAt = end;
      this.imageEndOffset = Math.max(this.imageEndOffset, Math.min(end, fileSize));
      if (end > fileSize)
        this.warning(`the last block lacks ${end - fileSize} bytes past the end of the disk`, this.table.entryAt(block + count - 1));
    }
    for (const at of piece.bitmapAt) this.imageEndOffset = Math.max(this.imageEndOffset, at + MIB);
  }

  override report(): CheckReport {
    const kept = this.table.keptBlocks;
    if (kept !== null) {
      const text = `${kept.count} blocks have a place in the file but count as empty, the first by BAT entry ${entryOfBlock(kept.first, this.image.shape.ratio)}`;
      this.warning(text, this.table.entryAt(kept.first), this.blockRange(kept.first));
    }
    this.findUnused();
    return super.report();
  }

  /** Blocks' worth of file, at least one for each stretch of it, that no table and no block uses. */
  private findUnused(): void {
    const { table, image } = this;
    if (!table.tracked) return;
    const mebibytes = Math.ceil(image.file.size / MIB);
    const isUsed = (place: number) => table.used.has(place) || table.kept.has(place);
    for (let place = 0; place < mebibytes; place++) {
      if (isUsed(place)) continue;
      const first = place;
      while (place < mebibytes && !isUsed(place)) place++;
      const length = Math.min(place * MIB, image.file.size) - first * MIB;
      this.leak(`the ${length} bytes at ${first * MIB} are not used`, first * MIB, Math.ceil(length / image.shape.blockBytes));
    }
  }

  private blockRange(block: number): Range {
    const { blockBytes, size } = this.image.shape;
    return { start: block * blockBytes, length: Math.min(blockBytes, size - block * blockBytes) };
  }
}
