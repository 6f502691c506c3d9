import { DiskError } from "../../core/errors.ts";
import type { ByteSource, Extent, Note, OpenContext, Range, Volume } from "../../core/model.ts";
import { STANDALONE } from "../../core/standalone.ts";
import { type Catalog, readCatalog } from "./catalog.ts";
import { type BochsHeader, readHeader } from "./header.ts";
import { ENTRY_BYTES, SECTOR } from "./spec.ts";

/** Extents of one answer, and bitmaps read for it. */
const MOST_EXTENTS = 4096;
const MOST_BITMAPS = 64;

/** Opens a growing image. What was never written is a hole. */
export async function openBochs(file: ByteSource, _context: OpenContext): Promise<Volume> {
  const header = await readHeader(file);
  const catalog = await readCatalog(file, header);
  return {
    ...STANDALONE,
    format: "bochs",
    variant: "growing",
    size: header.size,
    unit: header.unit,
    files: [file],
    notes: notesOn(file, header, catalog),
    details: {
      version: header.fields.version,
      "catalog-entries": header.entries,
      "bitmap-size": header.fields.bitmap,
      "extent-size": header.unit,
      "extents-used": catalog.used,
    },
    extents: (start, length, signal) => readExtents(file, header, catalog, start, length, signal),
  };
}

/** Bochs appends whole extents and gives none back: another length means that the catalog or the file was altered. */
function notesOn(file: ByteSource, { dataAt, stride, fields, unit }: BochsHeader, { used }: Catalog): Note[] {
  const notes: Note[] = [];
  const warn = (text: string) => notes.push({ text, severity: "warning" });
  const expected = dataAt + used * stride;
  if (file.size !== expected) warn(`${file.name} has ${file.size} bytes, but the ${used} extents of its catalog make ${expected}.`);
  if (fields.bitmap * 8 * SECTOR !== unit) warn(`A bitmap has ${fields.bitmap} bytes, more than extents of ${unit} bytes need.`);
  return notes;
}

async function readExtents(
  file: ByteSource,
  header: BochsHeader,
  catalog: Catalog,
  start: number,
  length: number,
  signal: AbortSignal | undefined,
): Promise<readonly Extent[]> {
  signal?.throwIfAborted();
  const { unit, size, catalogAt } = header;
  const end = start + length;
  const out: Extent[] = [];
  const push = (extent: Extent) => {
    const last = out[out.length - 1];
    if (extent.kind === "hole" && last?.kind === "hole") out[out.length - 1] = { ...last, length: last.length + extent.length };
    else out.push(extent);
  };
  let bitmaps = 0;
  for (let at = start; at < end && out.length < MOST_EXTENTS && bitmaps < MOST_BITMAPS; ) {
    const entry = Math.floor(at / unit);
    const stop = Math.min(end, (entry + 1) * unit);
    const bitmapAt = catalog.at(entry);
    const problem = catalog.problem(entry);
    if (problem !== null) {
      if (out.length > 0) break;
      const guest = { start: entry * unit, length: Math.min(unit, size - entry * unit) };
      throw damage(file, `catalog entry ${entry} of ${file.name} ${problem}`, catalogAt + entry * ENTRY_BYTES, guest);
    }
    if (bitmapAt === null) push({ kind: "hole", start: at, length: stop - at });
    else {
      bitmaps++;
      if (!(await addWritten(file, header, bitmapAt, at, stop, push, () => out.length))) break;
    }
    at = stop;
  }
  return out;
}

/** One extent, by its bitmap: bit 0 of byte 0 is the first sector. False: it stopped before what is not in the file. */
async function addWritten(
  file: ByteSource,
  { unit, bitmapBytes }: BochsHeader,
  bitmapAt: number,
  start: number,
  stop: number,
  push: (extent: Extent) => void,
  given: () => number,
): Promise<boolean> {
  const bitmap = await file.read(bitmapAt, Math.ceil(unit / SECTOR / 8));
  const extentStart = start - (start % unit);
  const isWritten = (at: number) => {
    const sector = Math.floor((at - extentStart) / SECTOR);
    return ((bitmap[sector >> 3] as number) & (1 << (sector & 7))) !== 0;
  };
  for (let at = start; at < stop; ) {
    const written = isWritten(at);
    let next = Math.min(stop, at - (at % SECTOR) + SECTOR);
    while (next < stop && isWritten(next) === written) next = Math.min(stop, next + SECTOR);
    if (!written) push({ kind: "hole", start: at, length: next - at });
    else {
      const place = bitmapAt + bitmapBytes + (at - extentStart);
      const sound = Math.min(next - at, Math.max(0, Math.floor((file.size - place) / SECTOR) * SECTOR));
      if (sound > 0) push({ kind: "raw", start: at, length: sound, file: 0, at: place });
      if (sound < next - at) {
        if (given() > 0) return false;
        const guest = { start: at, length: next - at };
        throw damage(file, `bytes ${place} to ${place + guest.length} are needed, but ${file.name} ends at ${file.size}`, place, guest);
      }
    }
    at = next;
  }
  return true;
}

const damage = (file: ByteSource, text: string, at: number, guest: Range): DiskError =>
  new DiskError("corrupt", `bochs: ${text}`, { file: file.name, at, guest });
