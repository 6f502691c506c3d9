/**
 * [1] VMware, "Virtual Disk Format 5.0" (technical note, vmdk_50_technote.pdf).
 * [2] J. Metz, "VMware Virtual Disk (VMDK) format specification" (libyal/libvmdk documentation).
 * Numbers are little endian; places and lengths inside the file are counted in sectors.
 */
import { DiskError } from "../../core/errors.ts";
import { bytes, struct, u8, u16, u32, u64exact } from "../../core/struct.ts";

export const SECTOR = 512;

/** [1] "Hosted Sparse Extents": SparseExtentHeader; also the footer of a stream. */
export const Header = struct("le", {
  magicNumber: u32,
  version: u32,
  flags: u32,
  capacity: u64exact,
  grainSize: u64exact,
  descriptorOffset: u64exact,
  descriptorSize: u64exact,
  numGTEsPerGT: u32,
  rgdOffset: u64exact,
  gdOffset: u64exact,
  overHead: u64exact,
  uncleanShutdown: u8,
  /** singleEndLineChar, nonEndLineChar, doubleEndLineChar1, doubleEndLineChar2 */
  newlines: bytes(4),
  compressAlgorithm: u16,
  pad: bytes(433),
});
export type HeaderFields = ReturnType<typeof Header.read>;

/** [1] "Stream-Optimized Compressed Sparse Extents": Marker. */
export const Marker = struct("le", { val: u64exact, size: u32, type: u32, pad: bytes(496) });
export const MARKER_EOS = 0;
export const MARKER_GT = 1;
export const MARKER_GD = 2;
export const MARKER_FOOTER = 3;

/** [1] GrainMarker, up to its data: lba u64, size u32. */
export const GRAIN_HEADER_BYTES = 12;

/** "KDMV" read as a little-endian number. */
export const MAGIC = 0x564d444b;
/** [1] "ESXi Host Sparse Extents": COWDisk_Header begins with "COWD". */
export const COWD_MAGIC = 0x44574f43;
/** seSparse: constant header, u64. */
export const SESPARSE_MAGIC = 0xcafebaben;

/** [1] SparseExtentHeader.flags */
export const FLAG_NEWLINE_TEST = 1;
export const FLAG_REDUNDANT = 1 << 1;
export const FLAG_ZEROED_GRAINS = 1 << 2;
export const FLAG_COMPRESSED = 1 << 16;
export const FLAG_MARKERS = 1 << 17;
const KNOWN_FLAGS = FLAG_NEWLINE_TEST | FLAG_REDUNDANT | FLAG_ZEROED_GRAINS | FLAG_COMPRESSED | FLAG_MARKERS;

/** LF, space, CR, LF: any text-mode transfer changes them. */
export const NEWLINES = Uint8Array.of(0x0a, 0x20, 0x0d, 0x0a);
export const COMPRESSION_DEFLATE = 1;
/** gdOffset of a stream's header: the footer has the true one. */
export const GD_AT_END = 0xffff_ffff_ffff_ffffn;
/** [1]: "The value of this entry for virtual disks is 512." */
export const GTES_PER_GT = 512;
export const GT_SECTORS = (GTES_PER_GT * 4) / SECTOR;
/** Grain table entry of a zeroed grain, when FLAG_ZEROED_GRAINS is set. */
export const GTE_ZEROED = 1;

export const LEAST_GRAIN = 8 * SECTOR;
export const MOST_GRAIN = 2 << 20;
export const MOST_DESCRIPTOR_BYTES = 1 << 20;
export const MOST_DIRECTORY_BYTES = 64 << 20;
export const MOST_EXTENTS = 10_000;
export const MOST_SECTORS = Math.floor(Number.MAX_SAFE_INTEGER / SECTOR);

/** A validated header of any kind of sparse extent: places and lengths in bytes. */
export interface SparseHeader {
  /** How long the header is. */
  readonly length: number;
  readonly version: number;
  readonly flags: number;
  readonly capacity: number;
  readonly grain: number;
  /** Entries of a grain table. */
  readonly tableEntries: number;
  readonly descriptor: { readonly at: number; readonly length: number } | null;
  /** Null: the footer has it. */
  readonly directory: number | null;
  /** Null: there is none. */
  readonly redundant: number | null;
  readonly overHead: number;
  readonly dirty: boolean;
  readonly compressed: boolean;
  /** Grain records carry a marker. */
  readonly markers: boolean;
  readonly zeroedGrains: boolean;
  readonly unknownFlags: number;
  /** What errors call the fields, and where they lie in the file. */
  readonly fields: Readonly<Record<"capacity" | "directory" | "redundant", FieldPlace>>;
}
export interface FieldPlace {
  readonly name: string;
  readonly at: number;
}

/** Validates the header or footer in `sector`, which lies at byte `at` of `file`. */
export function parseHeader(sector: Uint8Array, at: number, file: string): SparseHeader {
  const raw = Header.read(sector);
  const fail = (field: keyof HeaderFields, expected: string, code: "corrupt" | "unsupported" | "limit" = "corrupt"): never => {
    const value = raw[field];
    throw new DiskError(code, `vmdk: ${field} is ${value instanceof Uint8Array ? [...value].join(" ") : value}, expected ${expected}`, {
      file,
      at: at + Header.offsetOf(field),
    });
  };
  if (raw.magicNumber !== MAGIC) fail("magicNumber", `${MAGIC} ("KDMV")`);
  if (raw.version < 1) fail("version", "1, 2 or 3");
  if (raw.version > 3) fail("version", "1, 2 or 3", "unsupported");
  if ((raw.flags & FLAG_NEWLINE_TEST) !== 0 && raw.newlines.some((byte, i) => byte !== NEWLINES[i]))
    fail("newlines", `${[...NEWLINES].join(" ")}: the file was transferred in text mode and is damaged throughout`);
  const place = (field: "descriptorOffset" | "rgdOffset" | "gdOffset" | "overHead"): number => {
    if (raw[field] > BigInt(MOST_SECTORS)) fail(field, `at most ${MOST_SECTORS} sectors`);
    return Number(raw[field]) * SECTOR;
  };
  if (raw.capacity === 0n) fail("capacity", "at least 1 sector");
  if (raw.capacity > BigInt(MOST_SECTORS)) fail("capacity", `at most ${MOST_SECTORS} sectors`, "limit");
  const grain = Number(raw.grainSize) * SECTOR;
  if (grain < LEAST_GRAIN || grain > MOST_GRAIN || (raw.grainSize & (raw.grainSize - 1n)) !== 0n)
    fail("grainSize", `a power of two from ${LEAST_GRAIN / SECTOR} to ${MOST_GRAIN / SECTOR}`);
  if (raw.numGTEsPerGT !== GTES_PER_GT) fail("numGTEsPerGT", `${GTES_PER_GT}`);
  const hasDescriptor = raw.descriptorOffset !== 0n && raw.descriptorSize !== 0n;
  if (hasDescriptor && raw.descriptorSize > BigInt(MOST_DESCRIPTOR_BYTES / SECTOR))
    fail("descriptorSize", `at most ${MOST_DESCRIPTOR_BYTES / SECTOR} sectors`, "limit");
  const compressed = (raw.flags & FLAG_COMPRESSED) !== 0;
  if (compressed && raw.compressAlgorithm !== COMPRESSION_DEFLATE) fail("compressAlgorithm", `${COMPRESSION_DEFLATE}`, "unsupported");
  if (!compressed && raw.compressAlgorithm !== 0) fail("compressAlgorithm", "0, as flags say that grains are not compressed");
  const markers = (raw.flags & FLAG_MARKERS) !== 0;
  if (markers && !compressed) fail("flags", "no markers in an extent that is not compressed", "unsupported");
  const field = (name: keyof HeaderFields): FieldPlace => ({ name, at: at + Header.offsetOf(name) });
  return {
    length: Header.bytes,
    version: raw.version,
    flags: raw.flags,
    capacity: Number(raw.capacity) * SECTOR,
    grain,
    tableEntries: GTES_PER_GT,
    descriptor: hasDescriptor ? { at: place("descriptorOffset"), length: Number(raw.descriptorSize) * SECTOR } : null,
    directory: raw.gdOffset === GD_AT_END ? null : place("gdOffset"),
    redundant: (raw.flags & FLAG_REDUNDANT) !== 0 && raw.rgdOffset !== 0n && raw.rgdOffset !== GD_AT_END ? place("rgdOffset") : null,
    overHead: place("overHead"),
    dirty: raw.uncleanShutdown !== 0,
    compressed,
    markers,
    zeroedGrains: (raw.flags & FLAG_ZEROED_GRAINS) !== 0,
    unknownFlags: (raw.flags & ~KNOWN_FLAGS) >>> 0,
    fields: { capacity: field("capacity"), directory: field("gdOffset"), redundant: field("rgdOffset") },
  };
}

/** Bytes of disk that one grain table describes. */
export const tableSpan = ({ grain, tableEntries }: Pick<SparseHeader, "grain" | "tableEntries">): number => grain * tableEntries;
