import { DiskError, type DiskErrorCode } from "../../core/errors.ts";
import type { ByteSource, CodecId, Extent, Note, OpenContext, Volume } from "../../core/model.ts";
import type { Compute } from "../../core/ports.ts";
import { STANDALONE } from "../../core/standalone.ts";
import { type BlockTable, isTerminated, readTable } from "./block-tables.ts";
import { ChunkMap, LEFT_OUT, OUTSIDE, OVERLAP, type Segment, SOUND, SWOLLEN } from "./chunk-map.ts";
import { type PropertyValue, readPropertyList } from "./property-list.ts";
import { readResources } from "./resource-fork.ts";
import {
  asciiAt,
  ENCRYPTED_HEAD,
  ENCRYPTED_TAIL,
  KIND_ADC,
  KIND_BZIP2,
  KIND_IGNORE,
  KIND_LZFSE,
  KIND_LZMA,
  KIND_RAW,
  KIND_ZERO,
  KIND_ZLIB,
  SECTOR,
  TRAILER_BYTES,
  TRAILER_SIGNATURE,
  TRAILER_VERSION,
  Trailer,
  type TrailerFields,
} from "./spec.ts";

/** Of the property list or the resource fork, which are held in memory. qemu takes 16 MiB. */
const MOST_TABLE_BYTES = 64 << 20;
/** Extents of one answer. */
const MOST_EXTENTS = 4096;
/** A chunk that is larger cannot be unpacked here; Apple's have 256 KiB or 1 MiB. */
const LARGEST_CHUNK = 64 << 20;
const LARGEST_ZLIB_CHUNK = 2 << 20;

export const CODECS: ReadonlyMap<number, CodecId> = new Map([
  [KIND_ADC, "adc"],
  [KIND_ZLIB, "zlib"],
  [KIND_BZIP2, "bzip2"],
  [KIND_LZFSE, "lzfse"],
  [KIND_LZMA, "xz"],
]);

export interface DmgImage {
  readonly trailer: TrailerFields;
  /** Byte of the trailer in the file; data ends there at the latest. */
  readonly trailerAt: number;
  readonly tables: readonly BlockTable[];
  readonly map: ChunkMap;
  /** Virtual size. */
  readonly size: number;
  readonly notes: readonly Note[];
}

/** Trailer and tables, with every field that is relied on checked against the others and the file. */
export async function readDmg(file: ByteSource, compute: Compute): Promise<DmgImage> {
  const trailerAt = file.size - TRAILER_BYTES;
  const trailer = await readTrailer(file, trailerAt);
  const refuse = (code: DiskErrorCode, field: keyof TrailerFields, expected: string) =>
    new DiskError(code, `dmg: ${field} is ${trailer[field]}, expected ${expected}`, {
      file: file.name,
      at: trailerAt + Trailer.offsetOf(field),
    });
  if (trailer.version !== TRAILER_VERSION) throw refuse("unsupported", "version", `${TRAILER_VERSION}`);
  if (trailer.headerSize !== TRAILER_BYTES) throw refuse("corrupt", "headerSize", `${TRAILER_BYTES}`);
  if (trailer.segmentCount > 1)
    throw refuse("unsupported", "segmentCount", "1: images in several parts (.dmgpart) are not read; join them with hdiutil first");
  if (trailer.sectorCount > BigInt(Math.floor(Number.MAX_SAFE_INTEGER / SECTOR)))
    throw refuse("corrupt", "sectorCount", "a disk of less than 2^53 bytes");
  if (trailer.dataForkOffset > BigInt(trailerAt))
    throw refuse("corrupt", "dataForkOffset", `at most ${trailerAt}, where the trailer begins`);
  const tables = await readTables(file, trailer, trailerAt);
  const map = new ChunkMap(tables, trailerAt, file.name);
  const stated = Number(trailer.sectorCount) * SECTOR;
  const isRounded = stated < map.end && (await endsWithZeros(file, map, stated, compute));
  const size = isRounded ? stated : Math.max(stated, map.end);
  if (size === 0) throw refuse("corrupt", "sectorCount", "a disk with sectors; the block tables tell of none either");
  return { trailer, trailerAt, tables, map, size, notes: notesOn(tables, map, stated, size) };
}

/**
 * Whether all that the tables have past `stated` are zeros at the end of the last chunk. Chunks of a fixed size go past the end of a disk
 * whose size is not a multiple of theirs; anything else there means that the trailer is wrong.
 */
async function endsWithZeros(file: ByteSource, map: ChunkMap, stated: number, compute: Compute): Promise<boolean> {
  if (stated === 0 || map.length === 0) return false;
  const last = map.segment(map.length - 1);
  const { kind, at, packed, start, length } = last.chunk;
  const codec = CODECS.get(kind);
  if (last.start >= stated || last.fault !== SOUND || codec === undefined || length > largestChunk(codec)) return false;
  try {
    const plain = await compute.decode({ codec, unpacked: length }, await file.read(at, packed));
    return plain.subarray(stated - start).every((byte) => byte === 0);
  } catch (error) {
    if (error instanceof DiskError && error.code !== "io") return false;
    throw error;
  }
}

async function readTrailer(file: ByteSource, at: number): Promise<TrailerFields> {
  const start = await file.read(0, Math.min(8, file.size));
  const end = await file.read(Math.max(0, file.size - 8), Math.min(8, file.size));
  if (asciiAt(start, 0, 8) === ENCRYPTED_HEAD || asciiAt(end, 0, 8) === ENCRYPTED_TAIL)
    throw new DiskError(
      "unsupported",
      `dmg: ${file.name} is encrypted (${asciiAt(start, 0, 8) === ENCRYPTED_HEAD ? "AES, version 2" : "version 1"})`,
      {
        file: file.name,
        at: 0,
      },
    );
  if (at < 0)
    throw new DiskError("corrupt", `dmg: ${file.name} has ${file.size} bytes, its trailer alone needs ${TRAILER_BYTES}`, {
      file: file.name,
      at: 0,
    });
  const trailer = Trailer.read(await file.read(at, TRAILER_BYTES));
  if (trailer.signature !== TRAILER_SIGNATURE)
    throw new DiskError(
      "corrupt",
      `dmg: signature is 0x${trailer.signature.toString(16)}, expected "koly": the trailer is missing, so the file is cut off or no DMG`,
      {
        file: file.name,
        at,
      },
    );
  return trailer;
}

/** The block tables: from the property list, or from the resource fork of images that have none. */
async function readTables(file: ByteSource, trailer: TrailerFields, trailerAt: number): Promise<BlockTable[]> {
  const useList = trailer.xmlLength > 0n;
  const [atField, lengthField] = useList ? (["xmlOffset", "xmlLength"] as const) : (["rsrcForkOffset", "rsrcForkLength"] as const);
  const [at, length] = [trailer[atField], trailer[lengthField]];
  const place = { file: file.name, at: trailerAt + Trailer.offsetOf(lengthField) };
  const what = useList ? "property list" : "resource fork";
  if (length === 0n) throw new DiskError("corrupt", "dmg: there is neither a property list nor a resource fork, so no block tables", place);
  if (at + length > BigInt(trailerAt))
    throw new DiskError(
      "corrupt",
      `dmg: the ${what} (${atField} ${at}, ${lengthField} ${length}) ends past byte ${trailerAt}, where the trailer begins`,
      place,
    );
  if (length > BigInt(MOST_TABLE_BYTES))
    throw new DiskError("limit", `dmg: ${lengthField} is ${length}; no ${what} of more than ${MOST_TABLE_BYTES} bytes is read`, place);
  const bytes = await file.read(Number(at), Number(length));
  const base = Number(trailer.dataForkOffset);
  const tables = useList
    ? listedTables(readPropertyList(bytes, file.name, Number(at)), file.name).map(([name, { bytes: table, at: start }]) =>
        readTable(table, name, file.name, start, base),
      )
    : readResources(bytes, "blkx", file.name, Number(at)).map(({ id, at: start, bytes: table }) =>
        readTable(table, `blkx ${id}`, file.name, Number(at) + start, base),
      );
  if (tables.length === 0)
    throw new DiskError("corrupt", `dmg: the ${what} holds no block tables (blkx)`, { file: file.name, at: Number(at) });
  return tables;
}

type DataValue = Extract<PropertyValue, { kind: "data" }>;

/** `resource-fork` → `blkx` → each `Data`, with its name. */
function listedTables(root: PropertyValue, file: string): (readonly [name: string, data: DataValue])[] {
  const member = (value: PropertyValue, key: string): PropertyValue | undefined =>
    value.kind === "dict" ? value.entries.get(key) : undefined;
  const fork = member(root, "resource-fork");
  const list = fork === undefined ? undefined : member(fork, "blkx");
  if (list?.kind !== "array")
    throw new DiskError("corrupt", "dmg: plist holds no list of block tables (resource-fork, blkx)", { file, at: root.at });
  return list.items.map((item, number) => {
    const data = member(item, "Data");
    if (data?.kind !== "data") throw new DiskError("corrupt", `dmg: plist: entry ${number} of blkx holds no Data`, { file, at: item.at });
    const name = member(item, "CFName") ?? member(item, "Name");
    return [name?.kind === "text" && name.text !== "" ? name.text : `blkx ${number}`, data];
  });
}

function notesOn(tables: readonly BlockTable[], map: ChunkMap, stated: number, size: number): Note[] {
  const notes: Note[] = [];
  const warn = (text: string) => notes.push({ text, severity: "warning" });
  const { end, overrun } = map;
  if (size < end) notes.push({ text: `The last chunk has ${end - size} zeros past the end of the disk.`, severity: "info" });
  else if (stated < end) warn(`The trailer states a disk of ${stated} bytes, but the block tables tell of ${end}: those are read.`);
  const { uncovered, damaged } = map.coverage(size);
  if (uncovered > 0) warn(`No block table tells of ${uncovered} bytes of the disk (of ${size}): they read as zeros.`);
  if (damaged > 0) warn(`The block tables are damaged: ${damaged} ranges of the disk cannot be read.`);
  for (const { name } of overrun) warn(`The block table "${name}" has chunks past the sectors that it says it covers.`);
  for (const table of tables) if (!isTerminated(table)) warn(`The block table "${table.name}" does not end with a terminator.`);
  return notes;
}

/** Opens UDIF images: a trailer, block tables, and chunks that are each packed on their own. */
export async function openDmg(file: ByteSource, { compute }: OpenContext): Promise<Volume> {
  const image = await readDmg(file, compute);
  const { trailer, tables, map, size, notes } = image;
  const methods = [...map.kinds].map(methodName).sort();
  return {
    ...STANDALONE,
    format: "dmg",
    variant: methods.join(", "),
    size,
    unit: map.largestChunk,
    files: [file],
    notes,
    details: {
      methods,
      "image-variant": trailer.imageVariant,
      "sector-count": trailer.sectorCount.toString(),
      "block-tables": tables.map(({ name, head }) => ({
        name,
        "first-sector": Number(head.firstSector),
        sectors: head.sectorCount.toString(),
      })),
    },
    extents: extentsOf(file, image),
  };
}

const methodName = (kind: number): string => (kind === KIND_RAW ? "raw" : (CODECS.get(kind) ?? `0x${kind.toString(16)}`));

function extentsOf(file: ByteSource, { map, size }: DmgImage): Volume["extents"] {
  return async (start, length, signal) => {
    signal?.throwIfAborted();
    const out: Extent[] = [];
    const end = start + length;
    let at = start;
    for (let i = map.firstEndingAfter(start); at < end && out.length < MOST_EXTENTS; ) {
      const segment = i < map.length ? map.segment(i) : undefined;
      if (segment === undefined || segment.start > at) {
        const stop = Math.min(end, segment?.start ?? end);
        out.push({ kind: "hole", start: at, length: stop - at });
        at = stop;
        continue;
      }
      const stop = Math.min(end, segment.end);
      const extent = extentOf(segment, at, stop - at);
      if (extent === null) {
        if (out.length > 0) return out;
        throw errorOf(segment, file.name, size);
      }
      out.push(extent);
      at = stop;
      i++;
    }
    return out;
  };
}

/** Null: it cannot be read. */
function extentOf({ fault, chunk }: Segment, start: number, length: number): Extent | null {
  const { kind, start: from, length: unpacked, at, packed } = chunk;
  if (fault !== SOUND) return null;
  if (kind === KIND_ZERO) return { kind: "zero", start, length };
  if (kind === KIND_IGNORE) return { kind: "hole", start, length };
  const skip = start - from;
  if (kind === KIND_RAW) return { kind: "raw", start, length, file: 0, at: at + skip };
  const codec = CODECS.get(kind);
  if (codec === undefined || packed === 0 || unpacked > largestChunk(codec)) return null;
  return { kind: "packed", start, length, file: 0, at, packed, skip, codec, unpacked };
}

/** The most bytes of disk in one chunk that is unpacked here. */
export const largestChunk = (codec: CodecId): number => (codec === "zlib" ? LARGEST_ZLIB_CHUNK : LARGEST_CHUNK);

/** Why a segment cannot be read. */
export function errorOf(segment: Segment, file: string, size: number): DiskError {
  const { start, fault, table } = segment;
  const { kind, at, packed, length: unpacked, index } = segment.chunk;
  const guest = { start, length: Math.min(segment.end, size) - start };
  const place = { file, at: table.place, guest };
  const chunk = `dmg: block table "${table.name}", chunk ${index}`;
  if (fault === LEFT_OUT)
    return new DiskError("corrupt", `dmg: block table "${table.name}" says nothing of ${guest.length} bytes that it covers`, place);
  if (fault === OVERLAP) return new DiskError("corrupt", `${chunk}: sectors that another chunk tells about as well`, place);
  if (fault === OUTSIDE)
    return new DiskError("corrupt", `${chunk} has its data at bytes ${at} to ${at + packed}, past the end of the data`, place);
  const codec = CODECS.get(kind);
  if (kind !== KIND_RAW && codec === undefined)
    return new DiskError("unsupported", `${chunk} is of the unknown kind 0x${kind.toString(16)}`, place);
  if (codec !== undefined && packed > 0 && fault !== SWOLLEN)
    return new DiskError("limit", `${chunk} has ${unpacked} bytes; ${codec} is unpacked up to ${largestChunk(codec)}`, place);
  return new DiskError("corrupt", `${chunk} has ${packed} bytes in the file for ${unpacked} of the disk`, place);
}
