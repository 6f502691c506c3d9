import { DiskError } from "../../core/errors.ts";
import { hexNumber, hexText } from "../../core/hex.ts";
import type { ByteSource, Extent, FormatContext, Note, Volume } from "../../core/model.ts";
import { readPlaced } from "../../core/placed-struct.ts";
import type { Compute } from "../../core/ports.ts";
import { STANDALONE } from "../../core/standalone.ts";
import { ChunkTables } from "./chunk-tables.ts";
import { type Evidence, fault, readSegments, type Section } from "./segments.ts";
import { CHECKSUM_BYTES, VOLUME_E01_BYTES, VOLUME_S01_BYTES, VolumeE01, VolumeS01 } from "./spec.ts";

const MOST_CHUNK = 2 << 20;
const SECTOR = 512;
/** One answer of the map lists no more extents than this. */
const MOST_EXTENTS = 1024;

interface Geometry {
  readonly chunkCount: number;
  readonly chunkBytes: number;
  readonly bytesPerSector: number;
  /** Bytes of the medium. */
  readonly size: number;
}

/** Opens an acquired disk: segment files, each a list of sections; chunks of the medium with a checksum each. */
export async function openEwf(file: ByteSource, context: FormatContext): Promise<Volume> {
  const evidence = await readSegments(file, context);
  const geometry = await readGeometry(evidence, context.compute);
  const { chunkBytes, size } = geometry;
  const tables = await ChunkTables.open(evidence, chunkBytes, context.compute);
  // One table too many shifts all chunks behind it.
  if (tables.count !== geometry.chunkCount)
    throw fault(
      file,
      `the tables hold ${tables.count} chunks, but chunkCount is ${geometry.chunkCount}: a part is missing or is there twice`,
      0,
    );
  const notes: Note[] = [];
  if (evidence.sections.some(({ type }) => type === "error2"))
    notes.push({
      text: "Some sectors could not be read when the image was made; they hold what the program put there.",
      severity: "warning",
    });
  return {
    ...STANDALONE,
    format: "ewf",
    variant: evidence.files.length > 1 ? `${evidence.files.length} segments` : "",
    size: Math.ceil(size / SECTOR) * SECTOR,
    unit: chunkBytes,
    files: evidence.files,
    notes,
    details: { "bytes-per-sector": geometry.bytesPerSector, "chunk-size": chunkBytes, segments: evidence.files.length },
    extents: (start, length) => listExtents(tables, geometry, start, length),
  };
}

async function readGeometry({ files, sections }: Evidence, compute: Compute): Promise<Geometry> {
  const section = sections.find(({ type }) => ["volume", "disk"].includes(type));
  const first = files[0] as ByteSource;
  if (section === undefined) throw fault(first, "there is no volume section", 0);
  const file = files[section.file] as ByteSource;
  const volume = await readVolume(file, section, compute);
  const { chunkCount, sectorsPerChunk, bytesPerSector, sectorCount } = volume;
  const chunkBytes = sectorsPerChunk * bytesPerSector;
  if (bytesPerSector === 0 || bytesPerSector > 65_536 || bytesPerSector % SECTOR !== 0)
    throw fault(file, `bytesPerSector is ${bytesPerSector}`, section.at + 12);
  if (chunkBytes === 0 || chunkBytes > MOST_CHUNK)
    throw new DiskError(
      "limit",
      `${file.name}: ewf: sectorsPerChunk is ${sectorsPerChunk}: chunks of ${chunkBytes} bytes, at most ${MOST_CHUNK} are read`,
      {
        file: file.name,
        at: section.at + 8,
      },
    );
  const size = sectorCount * bytesPerSector;
  // Physical disks have a whole number of chunks but for the last one.
  if (!Number.isSafeInteger(size) || chunkCount !== Math.ceil(size / chunkBytes))
    throw fault(file, `sectorCount is ${sectorCount}, which chunkCount ${chunkCount} does not agree with`, section.at + 16);
  for (const other of sections)
    if (other.type === "data" && other.file !== section.file && other.length >= VOLUME_E01_BYTES)
      requireSameSet(file, volume, files[other.file] as ByteSource, await readVolume(files[other.file] as ByteSource, other, compute));
  return { chunkCount, chunkBytes, bytesPerSector, size };
}

/** A segment of another acquisition may have the right name and number: what each repeats of the volume must agree. */
function requireSameSet(first: ByteSource, mine: VolumeFields, file: ByteSource, other: VolumeFields): void {
  const [a, b] = [factsOf(mine), factsOf(other)];
  for (const [field, value] of Object.entries(a)) {
    const found = b[field] ?? "";
    // Zero: not known when it was written.
    if (found !== value && !/^0*$/.test(value) && !/^0*$/.test(found))
      throw fault(file, `${field} is ${found}, but that of ${first.name} is ${value}: it is a segment of another image`, 0);
  }
}

const factsOf = (fields: VolumeFields): Readonly<Record<string, string>> => ({
  sectorsPerChunk: `${fields.sectorsPerChunk}`,
  bytesPerSector: `${fields.bytesPerSector}`,
  sectorCount: `${fields.sectorCount}`,
  ...("setIdentifier" in fields && { setIdentifier: hexText(fields.setIdentifier) }),
});

type VolumeFields = Awaited<ReturnType<typeof readVolume>>;

async function readVolume(file: ByteSource, section: Section, compute: Compute) {
  const isLong = section.length >= VOLUME_E01_BYTES;
  const length = isLong ? VOLUME_E01_BYTES : VOLUME_S01_BYTES;
  if (section.length < length) throw fault(file, `a volume section of ${section.length} bytes, expected ${length}`, section.at);
  const bytes = await file.read(section.at, length);
  const stated = new DataView(bytes.buffer).getUint32(length - CHECKSUM_BYTES, true);
  const sum = compute.adler32(bytes.subarray(0, length - CHECKSUM_BYTES));
  if (stated !== sum)
    throw fault(
      file,
      `checksum of the ${section.type} section is ${hexNumber(stated)}, but its fields give ${hexNumber(sum)}`,
      section.at + length - CHECKSUM_BYTES,
    );
  return isLong ? readPlaced(VolumeE01, bytes, file, section.at, "ewf") : readPlaced(VolumeS01, bytes, file, section.at, "ewf");
}

async function listExtents(tables: ChunkTables, geometry: Geometry, start: number, length: number): Promise<readonly Extent[]> {
  const { chunkBytes, size } = geometry;
  if (start >= size) return [{ kind: "zero", start, length }];
  const end = Math.min(start + length, size);
  const first = Math.floor(start / chunkBytes);
  const wanted = Math.min(MOST_EXTENTS, Math.ceil(end / chunkBytes) - first);
  const list: Extent[] = (await tables.places(first, wanted)).map((place, i) => {
    const chunkStart = (first + i) * chunkBytes;
    const unpacked = Math.min(chunkBytes, size - chunkStart);
    const from = Math.max(start, chunkStart);
    return {
      kind: "packed",
      start: from,
      length: Math.min(end, chunkStart + unpacked) - from,
      file: place.file,
      at: place.at,
      packed: place.compressed ? place.length : Math.min(place.length, unpacked + CHECKSUM_BYTES),
      codec: place.compressed ? "zlib" : "summed",
      skip: from - chunkStart,
      unpacked,
    };
  });
  const last = list[list.length - 1] as Extent;
  const reached = last.start + last.length;
  // The last sector of a medium that is no multiple of 512 bytes.
  if (reached === size && start + length > size) list.push({ kind: "zero", start: size, length: start + length - size });
  return list;
}
