import { bytes, struct, u32, u64exact } from "../../core/struct.ts";

/*
 * UDIF. There is no text by Apple; the layout is that of [1] libmodi, "Mac OS disk image types", section "Universal Disk Image Format",
 * and the meanings of the chunk kinds those of [2] the 7-Zip handler's description of method ids. All integers are big-endian.
 */

export const SECTOR = 512;
/** "koly" */
export const TRAILER_SIGNATURE = 0x6b6f6c79;
export const TRAILER_VERSION = 4;
export const TRAILER_BYTES = 512;

/** The last 512 bytes of the file. Offsets that are past 2^53 must stay visible, so they are kept exact. */
export const Trailer = struct("be", {
  signature: u32,
  version: u32,
  headerSize: u32,
  flags: u32,
  runningDataForkOffset: u64exact,
  dataForkOffset: u64exact,
  dataForkLength: u64exact,
  rsrcForkOffset: u64exact,
  rsrcForkLength: u64exact,
  segmentNumber: u32,
  segmentCount: u32,
  segmentId: bytes(16),
  dataChecksumType: u32,
  /** Bits. */
  dataChecksumSize: u32,
  dataChecksum: bytes(128),
  xmlOffset: u64exact,
  xmlLength: u64exact,
  reserved1: bytes(120),
  masterChecksumType: u32,
  masterChecksumSize: u32,
  masterChecksum: bytes(128),
  /** 1: a disk with partitions, 2: one volume. */
  imageVariant: u32,
  sectorCount: u64exact,
  reserved2: bytes(12),
});
export type TrailerFields = ReturnType<typeof Trailer.read>;

/** "mish" */
export const TABLE_SIGNATURE = 0x6d697368;
export const TABLE_VERSION = 1;

/** The head of a block table; `chunkCount` chunks follow. */
export const TableHead = struct("be", {
  signature: u32,
  version: u32,
  firstSector: u64exact,
  sectorCount: u64exact,
  dataOffset: u64exact,
  buffersNeeded: u32,
  descriptor: u32,
  reserved: bytes(24),
  checksumType: u32,
  checksumSize: u32,
  checksum: bytes(128),
  chunkCount: u32,
});

/** `sector` counts from the table's first sector, `offset` from the table's data offset in the data fork. */
export const Chunk = struct("be", { kind: u32, comment: u32, sector: u64exact, sectors: u64exact, offset: u64exact, length: u64exact });

export const CHECKSUM_NONE = 0;
export const CHECKSUM_CRC32 = 2;

export const KIND_ZERO = 0;
export const KIND_RAW = 1;
/** Not in use by the file system; such sectors are not part of the table's checksum. */
export const KIND_IGNORE = 2;
export const KIND_ADC = 0x80000004;
export const KIND_ZLIB = 0x80000005;
export const KIND_BZIP2 = 0x80000006;
export const KIND_LZFSE = 0x80000007;
/** An .xz stream. */
export const KIND_LZMA = 0x80000008;
export const KIND_COMMENT = 0x7ffffffe;
export const KIND_TERMINATOR = 0xffffffff;

/** An encrypted image begins with the first (version 2) or ends with the second (version 1). */
export const ENCRYPTED_HEAD = "encrcdsa";
export const ENCRYPTED_TAIL = "cdsaencr";

export const asciiAt = (from: Uint8Array, at: number, length: number): string => String.fromCharCode(...from.subarray(at, at + length));
