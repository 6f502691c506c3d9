import { DiskError, type DiskErrorCode } from "../../core/errors.ts";
import type { ByteSource, Extent, Note, OpenContext, Volume } from "../../core/model.ts";
import { firstAtLeast } from "../../core/sorted.ts";
import { STANDALONE } from "../../core/standalone.ts";
import { type BandIndex, readBandIndex } from "./band-index.ts";
import { Header, NODE_BYTES, SECTOR, SIGNATURE, VERSION } from "./spec.ts";

/** Extents of one answer. */
const MOST_EXTENTS = 4096;
/** hdiutil's bands have 1 MiB. */
const LARGEST_BAND = 1 << 30;

interface Shape {
  /** Virtual size. */
  readonly size: number;
  readonly bandBytes: number;
}

/** Opens a sparse image: bands of a fixed size, in the order in which they were first written to. */
export async function openSparseImage(file: ByteSource, { signal }: OpenContext): Promise<Volume> {
  const header = await file.read(0, NODE_BYTES, signal);
  const fields = Header.read(header);
  const refuse = (code: DiskErrorCode, field: keyof typeof fields, expected: string) =>
    new DiskError(code, `sparseimage: ${field} is ${fields[field]}, expected ${expected}`, { file: file.name, at: Header.offsetOf(field) });
  if (fields.signature !== SIGNATURE) throw refuse("corrupt", "signature", `${SIGNATURE} ("sprs")`);
  if (fields.version !== VERSION) throw refuse("unsupported", "version", `${VERSION}`);
  const bandBytes = fields.sectorsPerBand * SECTOR;
  if (bandBytes === 0 || bandBytes > LARGEST_BAND) throw refuse("corrupt", "sectorsPerBand", `1 to ${LARGEST_BAND / SECTOR}`);
  const notes: Note[] = [];
  const warn = (text: string) => notes.push({ text, severity: "warning" });
  const isWide = fields.sectors !== 0n && Number(fields.sectors & 0xffffffffn) === fields.sectorsLow;
  if (fields.sectors !== 0n && !isWide)
    warn(`The header states ${fields.sectors} sectors in one place and ${fields.sectorsLow} in another; the second is used.`);
  if (isWide && fields.sectors > BigInt(Math.floor(Number.MAX_SAFE_INTEGER / SECTOR)))
    throw refuse("limit", "sectors", "a disk of less than 2^53 bytes");
  const size = (isWide ? Number(fields.sectors) : fields.sectorsLow) * SECTOR;
  if (size === 0) throw refuse("corrupt", "sectorsLow", "a disk with sectors");
  const index = await readBandIndex(file, header, bandBytes, Math.ceil(size / bandBytes), signal);
  if (index.beyond > 0) warn(`${index.beyond} bands lie past the end of the disk; they are not read.`);
  if (index.shared.size > 0) warn(`${index.shared.size} bands are in the file more than once; they cannot be read.`);
  const end = index.places.reduce((most, place) => Math.max(most, place), 0);
  if (end >= file.size && index.places.length > 0) warn(`The file ends at byte ${file.size}, before its last band: it is cut off.`);
  return {
    ...STANDALONE,
    format: "sparseimage",
    variant: "",
    size,
    unit: bandBytes,
    files: [file],
    notes,
    details: { "band-size": bandBytes, bands: Math.ceil(size / bandBytes), "bands-allocated": index.bands.length, version: fields.version },
    extents: extentsOf(file, { size, bandBytes }, index),
  };
}

function extentsOf(file: ByteSource, { size, bandBytes }: Shape, { bands, places, entries, shared }: BandIndex): Volume["extents"] {
  return async (start, length, signal) => {
    signal?.throwIfAborted();
    const out: Extent[] = [];
    const end = start + length;
    let at = start;
    let i = firstAtLeast(bands, Math.floor(start / bandBytes));
    while (at < end && out.length < MOST_EXTENTS) {
      const bandStart = i < bands.length ? (bands[i] as number) * bandBytes : size;
      if (bandStart > at) {
        const stop = Math.min(end, bandStart);
        out.push({ kind: "hole", start: at, length: stop - at });
        at = stop;
        continue;
      }
      const band = bands[i] as number;
      const stop = Math.min(end, bandStart + bandBytes);
      const place = (places[i] as number) + (at - bandStart);
      const sound = shared.has(band) ? 0 : Math.min(stop - at, Math.floor((file.size - place) / SECTOR) * SECTOR);
      if (sound > 0) out.push({ kind: "raw", start: at, length: sound, file: 0, at: place });
      if (sound < stop - at) {
        if (out.length > 0) return out;
        const why = shared.has(band)
          ? "more than one entry names it"
          : `its data is at byte ${places[i]}, but the file ends at ${file.size}`;
        throw new DiskError("corrupt", `sparseimage: band ${band + 1} cannot be read: ${why}`, {
          file: file.name,
          at: entries[i] as number,
          guest: { start: at, length: Math.min(bandStart + bandBytes, size) - at },
        });
      }
      at = stop;
      i++;
    }
    return out;
  };
}
