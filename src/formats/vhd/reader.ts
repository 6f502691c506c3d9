import {
  type ByteSource,
  type Extent,
  type FileReference,
  type Json,
  type Note,
  type OpenContext,
  RUN_DATA,
  type Volume,
} from "../../core/model.ts";
import { runOf } from "../../core/table-runs.ts";
import { uuidText } from "../../core/uuid.ts";
import { bitRuns } from "./bitmap.ts";
import { type BlockPlace, BlockTable, type TablePiece } from "./block-table.ts";
import { type Layout, readLayout, type SparseLayout } from "./layout.ts";
import { chsSize } from "./size.ts";
import { OLD_FOOTER_BYTES, SECTOR, TYPE_DIFFERENCING, TYPE_FIXED, tagText } from "./spec.ts";

/** Extents of one answer. */
const MOST_EXTENTS = 4096;
/** Blocks whose bitmaps are read at once, and for one answer. */
const MOST_BLOCKS = 32;

/** Opens fixed, dynamic and differencing images; the layout is held against the file first. */
export async function openVhd(file: ByteSource, { compute }: OpenContext): Promise<Volume> {
  const layout = await readLayout(file);
  const { footer, size, sparse, remarks, choice } = layout;
  const table = sparse === null ? null : new BlockTable(file, sparse, layout, compute.scanTable);
  const notes: Note[] = remarks.map(({ text }) => ({ text, severity: "warning" }));
  if (file.size - choice.endAt === OLD_FOOTER_BYTES)
    notes.push({ text: `The footer has ${OLD_FOOTER_BYTES} bytes, as Virtual PC wrote it before 2004.`, severity: "info" });
  if (table !== null && !table.places.tracked)
    notes.push({ text: "The file has too many blocks to look for blocks that are used twice.", severity: "warning" });
  return {
    format: "vpc",
    variant: footer.diskType === TYPE_FIXED ? "fixed" : footer.diskType === TYPE_DIFFERENCING ? "differencing" : "dynamic",
    size,
    unit: sparse?.unit ?? 0,
    files: [file],
    parent: parentOf(layout),
    identity: uuidText(footer.uniqueId),
    snapshots: [],
    unsupported: [],
    notes,
    encrypted: false,
    details: detailsOf(layout),
    extents:
      sparse === null || table === null
        ? async (start, length) => [{ kind: "raw", start, length, file: 0, at: start }]
        : sparseExtents(file, sparse, table),
  };
}

/** Seconds of the format's clock. [MS-VHD] Time Stamp */
const EPOCH_SECONDS = 946_684_800;

function parentOf({ sparse }: Layout): FileReference | null {
  if (sparse === null || sparse.parent === null) return null;
  const { parentTimeStamp } = sparse.header;
  return { ...sparse.parent.reference, ...(parentTimeStamp === 0 ? {} : { changed: parentTimeStamp + EPOCH_SECONDS }) };
}

function detailsOf({ footer, sparse }: Layout): { readonly [key: string]: Json } {
  const { cylinders, heads, sectorsPerTrack } = footer;
  const parent = sparse?.parent ?? null;
  return {
    "disk-type": footer.diskType,
    creator: tagText(footer.creatorApplication),
    "creator-version": `${footer.creatorVersion >>> 16}.${footer.creatorVersion & 0xffff}`,
    "creator-host-os": tagText(footer.creatorHostOs),
    "original-size": String(footer.originalSize),
    "current-size": Number(footer.currentSize),
    "chs-size": chsSize(footer),
    geometry: { cylinders, heads, sectors: sectorsPerTrack },
    "time-stamp": footer.timeStamp + EPOCH_SECONDS,
    uuid: uuidText(footer.uniqueId),
    "saved-state": footer.savedState !== 0,
    ...(sparse === null ? {} : { "block-size": sparse.unit, "table-entries": sparse.header.maxTableEntries }),
    ...(sparse === null || parent === null
      ? {}
      : {
          "parent-uuid": parent.reference.id,
          "parent-time-stamp": sparse.header.parentTimeStamp + EPOCH_SECONDS,
          "parent-name": parent.unicodeName,
          "parent-locators": parent.locators.map(({ platform, path }) => ({ platform, path })),
        }),
  };
}

/**
 * Sectors whose bit is clear are holes: the parent's in a differencing image; in a dynamic one, where they were never written, zero,
 * whatever stands in their place in the file. [MS-VHD] Data Block
 */
function sparseExtents(file: ByteSource, { unit, bitmapBytes }: SparseLayout, table: BlockTable): Volume["extents"] {
  /** The bitmap of an allocated block; null when all bits of its sectors are set. */
  const bitmapOf = async (piece: TablePiece, block: number, place: BlockPlace, signal?: AbortSignal): Promise<Uint8Array | null> => {
    if (piece.isFull[block - piece.first] === 1) return null;
    const bitmap = await file.read(place.bitmapAt, bitmapBytes, signal);
    const [run] = bitRuns(bitmap, 0, place.length / SECTOR);
    if (run === undefined || !run.isSet || run.count < place.length / SECTOR) return bitmap;
    piece.isFull[block - piece.first] = 1;
    return null;
  };

  /** Places of the blocks of a run of entries, from `block` on, up to the first that cannot be right. */
  const soundPlaces = (block: number, at: number, count: number): BlockPlace[] => {
    const places: BlockPlace[] = [];
    for (let i = 0; i < Math.min(count, MOST_BLOCKS); i++) {
      const position = at + i * (bitmapBytes + unit);
      if (i > 0 && table.fault(block + i, position) !== null) break;
      places.push(table.place(block + i, position));
    }
    return places;
  };

  return async (start, length, signal) => {
    signal?.throwIfAborted();
    const piece = await table.piece(Math.floor(start / unit));
    const { runs, first } = piece;
    const out: Extent[] = [];
    const end = start + length;
    let at = start;
    let blocks = 0;
    for (let run = runOf(runs, Math.floor(start / unit) - first); run < runs.length && at < end; ) {
      const runBlock = first + (runs.first[run] as number);
      const runEnd = Math.min(end, (runBlock + (runs.count[run] as number)) * unit);
      if (at >= runEnd) {
        run++;
        continue;
      }
      if (runs.kind[run] !== RUN_DATA) {
        out.push({ kind: "hole", start: at, length: runEnd - at });
        at = runEnd;
        continue;
      }
      if (out.length >= MOST_EXTENTS || blocks >= MOST_BLOCKS) return out;
      const block = Math.floor(at / unit);
      const position = (runs.at[run] as number) + (block - runBlock) * (bitmapBytes + unit);
      if (out.length > 0 && table.fault(block, position) !== null) return out;
      const places = soundPlaces(block, position, Math.ceil(runEnd / unit) - block);
      const bitmaps = await Promise.all(places.map((place, i) => bitmapOf(piece, block + i, place, signal)));
      for (const [i, place] of places.entries()) {
        const blockStart = (block + i) * unit;
        const to = Math.min(runEnd, blockStart + place.length);
        for (const extent of blockExtents(place, blockStart, at, to, bitmaps[i] as Uint8Array | null)) {
          if (out.length >= MOST_EXTENTS) return out;
          out.push(extent);
          at = extent.start + extent.length;
        }
      }
      blocks += places.length;
    }
    return out;
  };
}

/** What one block says of the disk from `from` to `to`; null for a bitmap with all bits set. */
function* blockExtents(place: BlockPlace, blockStart: number, from: number, to: number, bitmap: Uint8Array | null): Generator<Extent> {
  const raw = (start: number, end: number): Extent => ({
    kind: "raw",
    start,
    length: end - start,
    file: 0,
    at: place.dataAt + start - blockStart,
  });
  if (bitmap === null) {
    yield raw(from, to);
    return;
  }
  const sector = (position: number) => (position - blockStart) / SECTOR;
  for (const { first, count, isSet } of bitRuns(bitmap, Math.floor(sector(from)), Math.ceil(sector(to)))) {
    const start = Math.max(from, blockStart + first * SECTOR);
    const end = Math.min(to, blockStart + (first + count) * SECTOR);
    yield isSet ? raw(start, end) : { kind: "hole", start, length: end - start };
  }
}
