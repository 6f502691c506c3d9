import { bytes, struct, u8, u16, u32, u64 } from "../../core/struct.ts";

// Reference: J. Metz, "Expert Witness Compression Format specification" (libyal/libewf), §3 file header, §3.2 section descriptor,
// §3.6 volume, §3.9 table, §3.10 table2

export const SIGNATURE = "EVF\x09\x0d\x0a\xff\0";

export const FileHeader = struct("le", {
  signature: bytes(8),
  fieldsStart: u8,
  segmentNumber: u16,
  fieldsEnd: u16,
});
export const SectionHeader = struct("le", {
  type: bytes(16),
  /** Place of the next section; the last one of a file points at itself. */
  nextOffset: u64,
  /** Bytes with this header; 0 in some writers' last sections. */
  size: u64,
  padding: bytes(40),
  /** Adler-32 of what precedes it. */
  checksum: u32,
});
/** Volume, disk or data section as EnCase writes it: 1052 bytes, of which these come first and a checksum last. */
export const VolumeE01 = struct("le", {
  mediaType: u8,
  unknown: bytes(3),
  chunkCount: u32,
  sectorsPerChunk: u32,
  bytesPerSector: u32,
  sectorCount: u64,
  unused: bytes(40),
  /** The same in all segments of a set; zero where a writer knows none. */
  setIdentifier: bytes(16),
});
export const VOLUME_E01_BYTES = 1052;
/** The same in EWF-S01 (SMART): 94 bytes. */
export const VolumeS01 = struct("le", {
  unknown: u32,
  chunkCount: u32,
  sectorsPerChunk: u32,
  bytesPerSector: u32,
  sectorCount: u32,
});
export const VOLUME_S01_BYTES = 94;
export const CHECKSUM_BYTES = 4;

export const TableHeader = struct("le", {
  entryCount: u32,
  padding: u32,
  baseOffset: u64,
  padding2: u32,
  checksum: u32,
});
export const ENTRY_BYTES = 4;
/** Entry: the chunk is a zlib stream; else plain bytes and their Adler-32. */
export const COMPRESSED = 0x8000_0000;
