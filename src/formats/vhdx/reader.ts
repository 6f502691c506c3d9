import { DiskError } from "../../core/errors.ts";
import type { ByteSource, Extent, Json, Note, OpenContext, Volume } from "../../core/model.ts";
import type { Compute } from "../../core/ports.ts";
import { runOf } from "../../core/table-runs.ts";
import { guidText } from "../../core/uuid.ts";
import { BlockTable, DATA, HOLE, PARTIAL, runBlocks, type TablePiece, type TableShape, tableEntries, ZERO } from "./block-table.ts";
import { type HeaderSection, readHeaderSection } from "./header.ts";
import { type Replay, readLog } from "./log.ts";
import { type Metadata, readMetadata } from "./metadata.ts";
import { type PatchedFile, patchFile } from "./overlay.ts";
import { type Regions, readRegions } from "./regions.ts";
import { BAT_ENTRY_BYTES, chunkRatio, problem } from "./spec.ts";

/** Extents of one answer, about. */
const MOST_EXTENTS = 4096;
/** Sector bitmap read at once: 65,536 sectors. */
const BITMAP_READ = 8 << 10;

/** Everything that is known before the BAT is read. */
export interface VhdxImage {
  readonly file: ByteSource;
  readonly section: HeaderSection;
  /** Null: the log is empty. */
  readonly replay: Replay | null;
  /** The file with the log's writes in it; tables are read here. */
  readonly patched: PatchedFile;
  readonly regions: Regions;
  readonly metadata: Metadata;
  readonly shape: TableShape;
}

/** Headers, log, region table and metadata, checked against each other and the file. */
export async function readImage(file: ByteSource, compute: Compute): Promise<VhdxImage> {
  const section = await readHeaderSection(file, compute);
  const replay = await readLog(file, section, compute);
  const patched = patchFile(file, replay?.patches ?? [], replay?.fileSize ?? file.size);
  const regions = await readRegions(patched.source, section, compute);
  const metadata = await readMetadata(patched.source, regions.metadata);
  const { size, blockBytes, sectorBytes, parent } = metadata;
  const ratio = chunkRatio(sectorBytes, blockBytes);
  const blocks = Math.ceil(size / blockBytes);
  const entries = tableEntries(blocks, ratio, parent !== null);
  const { at, length } = regions.bat;
  if (entries * BAT_ENTRY_BYTES > length)
    throw problem(
      "corrupt",
      file.name,
      at,
      `the BAT has room for ${length / BAT_ENTRY_BYTES} entries, but ${size} bytes of disk need ${entries}`,
    );
  const shape = { at, size, blockBytes, blocks, ratio, entries, hasParent: parent !== null };
  return { file, section, replay, patched, regions, metadata, shape };
}

/** Opens fixed, dynamic and differencing images. */
export async function openVhdx(file: ByteSource, { compute }: OpenContext): Promise<Volume> {
  const image = await readImage(file, compute);
  const { section, replay, patched, metadata, shape, regions } = image;
  const table = new BlockTable(patched.source, shape, regions.places);
  return {
    format: "vhdx",
    variant: metadata.parent !== null ? "differencing" : metadata.isFixed ? "fixed" : "dynamic",
    size: metadata.size,
    unit: metadata.blockBytes,
    files: replay === null ? [file] : [file, patched.source],
    parent: metadata.parent?.reference ?? null,
    identity: guidText(section.header.dataWriteGuid),
    snapshots: [],
    unsupported: [],
    notes: notesOn(image, table),
    encrypted: false,
    details: detailsOf(image),
    extents: (start, length, signal) => new Extents(image, table, start, start + length).list(signal),
  };
}

function detailsOf({ section, replay, metadata }: VhdxImage): Readonly<Record<string, Json>> {
  const { header } = section;
  return {
    creator: section.creator,
    "block-size": metadata.blockBytes,
    "logical-sector-size": metadata.sectorBytes,
    "physical-sector-size": metadata.physicalSectorBytes,
    "leave-blocks-allocated": metadata.isFixed,
    "virtual-disk-id": metadata.diskId,
    "file-write-guid": guidText(header.fileWriteGuid),
    "data-write-guid": guidText(header.dataWriteGuid),
    "sequence-number": String(header.sequenceNumber),
    "log-size": header.logLength,
    "log-entries-replayed": replay?.entries ?? 0,
    ...(metadata.parent === null ? {} : { "parent-locator": metadata.parent.keys }),
  };
}

function notesOn({ file, section, replay, regions }: VhdxImage, table: BlockTable): Note[] {
  const notes: Note[] = [...section.faults, ...regions.faults].map(({ text }) => ({ text: `${file.name}: ${text}`, severity: "warning" }));
  if (replay !== null)
    notes.push({
      text: `${file.name} was not closed: its log (${replay.entries} ${replay.entries === 1 ? "entry" : "entries"}) was replayed in memory, the file is left as it is.`,
      severity: "info",
    });
  if (!table.tracked) notes.push({ text: "The file is too large to look for blocks that lie over each other.", severity: "warning" });
  return notes;
}

/** One answer of `Volume.extents`: what is sound before the first damage, or the damage when it comes first. */
class Extents {
  private readonly image: VhdxImage;
  private readonly table: BlockTable;
  private readonly end: number;
  private readonly out: Extent[] = [];
  private at: number;

  constructor(image: VhdxImage, table: BlockTable, start: number, end: number) {
    this.image = image;
    this.table = table;
    this.at = start;
    this.end = end;
  }

  async list(signal?: AbortSignal): Promise<readonly Extent[]> {
    signal?.throwIfAborted();
    const { blockBytes } = this.image.shape;
    const firstBlock = Math.floor(this.at / blockBytes);
    const piece = await this.table.piece(firstBlock);
    for (let run = runOf(piece, firstBlock - piece.firstBlock); run < piece.runs && !this.isFull(); run++) {
      const runStart = (piece.firstBlock + (piece.first[run] as number)) * blockBytes;
      const stop = Math.min(this.end, runStart + runBlocks(piece, run) * blockBytes);
      const kind = piece.kind[run] as number;
      const place = (piece.at[run] as number) + (this.at - runStart);
      if (kind === HOLE || kind === ZERO) this.add({ kind: kind === HOLE ? "hole" : "zero", start: this.at, length: stop - this.at });
      else if (kind === DATA) this.addData(place, stop);
      else if (kind === PARTIAL) await this.addPartial(piece, runStart, place, stop, signal);
      else if (this.out.length > 0) return this.out;
      else throw this.badBlock(runStart, kind, place - (this.at - runStart));
    }
    return this.out;
  }

  private isFull(): boolean {
    return this.at >= this.end || this.out.length >= MOST_EXTENTS;
  }

  /** Bytes of the disk up to `stop`, which lie at `place` of the patched file. */
  private addData(place: number, stop: number): void {
    const shift = this.at - place;
    for (const { from, at, length } of this.image.patched.parts(place, stop - this.at)) {
      if (this.out.length >= MOST_EXTENTS) return;
      const start = at + shift;
      if (from === "zero") this.add({ kind: "zero", start, length });
      else this.add({ kind: "raw", start, length, file: from === "file" ? 0 : 1, at });
    }
  }

  /** [MS-VHDX] 2.4: a set bit of the sector bitmap says that the sector is here, a clear one that it is in the parent. */
  private async addPartial(piece: TablePiece, blockStart: number, place: number, stop: number, signal?: AbortSignal): Promise<void> {
    const { shape, metadata, patched } = this.image;
    const block = blockStart / shape.blockBytes;
    const chunk = Math.floor((block - piece.firstBlock) / shape.ratio);
    const chunkStart = (block - (block % shape.ratio)) * shape.blockBytes;
    const shift = place - this.at;
    while (this.at < stop && this.out.length < MOST_EXTENTS) {
      signal?.throwIfAborted();
      const first = Math.floor((this.at - chunkStart) / metadata.sectorBytes);
      const firstByte = Math.floor(first / 8);
      const lastByte = Math.ceil((stop - chunkStart) / metadata.sectorBytes / 8);
      const bits = await patched.source.read(
        (piece.bitmapAt[chunk] as number) + firstByte,
        Math.min(BITMAP_READ, lastByte - firstByte),
        signal,
      );
      const isSet = (sector: number) => (((bits[(sector >> 3) - firstByte] as number) >> (sector & 7)) & 1) === 1;
      const endOfBits = Math.min(stop, chunkStart + (firstByte + bits.length) * 8 * metadata.sectorBytes);
      while (this.at < endOfBits && this.out.length < MOST_EXTENTS) {
        const sector = Math.floor((this.at - chunkStart) / metadata.sectorBytes);
        let next = sector + 1;
        const startOf = (number: number) => chunkStart + number * metadata.sectorBytes;
        while (startOf(next) < endOfBits && isSet(next) === isSet(sector)) next++;
        const until = Math.min(endOfBits, startOf(next));
        if (isSet(sector)) this.addData(this.at + shift, until);
        else this.add({ kind: "hole", start: this.at, length: until - this.at });
      }
    }
  }

  /** Adds an extent, joined with the last one where it continues it. */
  private add(extent: Extent): void {
    const last = this.out[this.out.length - 1];
    const joins =
      last !== undefined &&
      ((last.kind === extent.kind && (last.kind === "hole" || last.kind === "zero")) ||
        (last.kind === "raw" && extent.kind === "raw" && last.file === extent.file && last.at + last.length === extent.at));
    if (joins) this.out[this.out.length - 1] = { ...last, length: last.length + extent.length };
    else this.out.push(extent);
    this.at = extent.start + extent.length;
  }

  private badBlock(start: number, kind: number, place: number): DiskError {
    const { file, shape } = this.image;
    const block = start / shape.blockBytes;
    const guest = { start, length: Math.min(shape.blockBytes, shape.size - start) };
    const text = `vhdx: ${this.table.reason(block, kind, place)}`;
    return new DiskError("corrupt", text, { file: file.name, at: this.table.entryAt(block), guest });
  }
}
