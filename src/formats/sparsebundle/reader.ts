import { DiskError } from "../../core/errors.ts";
import type { ByteSource, Extent, FileReference, Note, OpenContext, Volume } from "../../core/model.ts";
import { STANDALONE } from "../../core/standalone.ts";
import { type BundleInfo, readInfo } from "./info.ts";

const SECTOR = 512;
/** Extents of one answer. */
const MOST_EXTENTS = 4096;
/** Bands that are asked for: each may be an open file. 512 GiB in bands of the usual 8 MiB. */
const MOST_BANDS = 1 << 16;
/** Missing bands that a note names. */
const MOST_NAMED = 8;
const ENCRYPTED = "encrcdsa";

interface Bands {
  readonly files: readonly ByteSource[];
  /** By band: its number in `files`, or -1. */
  readonly fileOf: Int32Array;
}

/**
 * Opens a sparse bundle by its Info.plist. The disk lies in files `bands/0`, `bands/1`, … (hexadecimal); a band that was never written to
 * has no file, and a file ends with the last byte written. By the format both are zeros, so a band that was lost or not given cannot
 * be told from an empty one: a note says which have no file, and a bundle without any band is refused.
 */
export async function openSparseBundle(file: ByteSource, context: OpenContext): Promise<Volume> {
  const info = await readInfo(file, context.signal);
  const count = Math.ceil(info.size / info.bandSize);
  if (count > MOST_BANDS)
    throw new DiskError("limit", `sparsebundle: the disk has ${count} bands; at most ${MOST_BANDS} are read`, { file: file.name, at: 0 });
  const notes: Note[] = [];
  await refuseEncrypted(file, context, notes);
  const bands = await findBands(file, context, count);
  notes.push(...notesOn(info, bands));
  return {
    ...STANDALONE,
    format: "sparsebundle",
    variant: "",
    size: info.size,
    unit: info.bandSize,
    files: bands.files,
    notes,
    details: { "band-size": info.bandSize, bands: count, "bands-present": bands.files.length },
    extents: extentsOf(info, bands),
  };
}

const reference = (name: string): FileReference => ({ role: "extent", name, id: null, format: null });

/** An encrypted bundle keeps its keys in `token`; of one that is not, that file is empty. */
async function refuseEncrypted(file: ByteSource, { resolve, signal }: OpenContext, notes: Note[]): Promise<void> {
  const token = await resolve(reference("token"));
  if (token === null) {
    notes.push({ text: "The bundle's file “token” was not given: if the bundle is encrypted, its data reads as noise.", severity: "info" });
    return;
  }
  const head = await token.read(0, Math.min(token.size, ENCRYPTED.length), signal);
  if (String.fromCharCode(...head) === ENCRYPTED)
    throw new DiskError("unsupported", `sparsebundle: the bundle of ${file.name} is encrypted`, { file: token.name, at: 0 });
}

async function findBands(file: ByteSource, { resolve, signal }: OpenContext, count: number): Promise<Bands> {
  const files: ByteSource[] = [];
  const fileOf = new Int32Array(count).fill(-1);
  for (let band = 0; band < count; band++) {
    signal?.throwIfAborted();
    const source = await resolve(reference(nameOf(band)));
    if (source === null) continue;
    fileOf[band] = files.length;
    files.push(source);
  }
  if (files.length === 0)
    throw new DiskError("missing-file", `sparsebundle: ${file.name} needs the files of its folder “bands”, of which none was given`, {
      file: file.name,
      at: 0,
      needs: nameOf(0),
    });
  return { files, fileOf };
}

const nameOf = (band: number): string => `bands/${band.toString(16)}`;

function notesOn({ size, bandSize }: BundleInfo, { files, fileOf }: Bands): Note[] {
  const notes: Note[] = [];
  const missing: string[] = [];
  let long = 0;
  fileOf.forEach((number, band) => {
    if (number < 0) missing.push(band.toString(16));
    else if ((files[number] as ByteSource).size > Math.min(bandSize, size - band * bandSize)) long++;
  });
  if (missing.length > 0) {
    const names = missing.slice(0, MOST_NAMED).join(", ") + (missing.length > MOST_NAMED ? ", …" : "");
    const text = `${missing.length} of ${fileOf.length} bands have no file and read as zeros, as empty bands do (${names}): make sure that none was lost.`;
    notes.push({ text, severity: "warning" });
  }
  if (long > 0) notes.push({ text: `${long} band files are longer than a band; what is too much is not read.`, severity: "warning" });
  return notes;
}

function extentsOf({ size, bandSize }: BundleInfo, { files, fileOf }: Bands): Volume["extents"] {
  return async (start, length, signal) => {
    signal?.throwIfAborted();
    const out: Extent[] = [];
    const end = start + length;
    for (let at = start; at < end && out.length < MOST_EXTENTS; ) {
      const band = Math.floor(at / bandSize);
      const bandStart = band * bandSize;
      const bandEnd = Math.min(bandStart + bandSize, size);
      const stop = Math.min(end, bandEnd);
      const number = fileOf[band] as number;
      const held = number < 0 ? 0 : Math.min(bandEnd - bandStart, (files[number] as ByteSource).size);
      const dataEnd = bandStart + Math.floor(held / SECTOR) * SECTOR;
      if (at < dataEnd) out.push({ kind: "raw", start: at, length: Math.min(stop, dataEnd) - at, file: number, at: at - bandStart });
      const from = Math.max(at, dataEnd);
      // Sectors are written whole: this file was cut, and how much of the band is missing cannot be known.
      if (held % SECTOR !== 0 && from < stop) {
        if (out.length > 0) return out;
        throw new DiskError("corrupt", `sparsebundle: ${nameOf(band)} has ${held} bytes, expected whole sectors of ${SECTOR}`, {
          file: (files[number] as ByteSource).name,
          at: held,
          guest: { start: dataEnd, length: bandEnd - dataEnd },
        });
      }
      if (from < stop) {
        const last = out[out.length - 1];
        if (last?.kind === "hole") out[out.length - 1] = { ...last, length: stop - last.start };
        else out.push({ kind: "hole", start: from, length: stop - from });
      }
      at = stop;
    }
    return out;
  };
}
