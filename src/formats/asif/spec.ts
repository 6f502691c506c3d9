import { bytes, struct, u16, u32, u64exact } from "../../core/struct.ts";

/*
 * Apple's sparse image format of macOS 26. Apple publishes no layout; what is known was found by reverse engineering and by watching
 * what writes change. Integers are big-endian.
 * - [DISSECT] fox-it/dissect.hypervisor, disk/asif.py and disk/c_asif.py: header, directories, tables
 * - [HUVEN]   huven/asif-format, "ASIF binary specification": the states of chunks, and of the blocks of partly written ones
 */

/** "shdw" */
export const SIGNATURE = 0x73686477;

export const Header = struct("be", {
  signature: u32,
  version: u32,
  headerSize: u32,
  flags: u32,
  /** Bytes of the file. */
  directory0: u64exact,
  directory1: u64exact,
  guid: bytes(16),
  /** Of `blockSize` bytes: the disk's, and as many as it may grow to. */
  sectorCount: u64exact,
  maxSectorCount: u64exact,
  chunkSize: u32,
  blockSize: u16,
  totalSegments: u16,
  metadataChunk: u64exact,
  reserved: bytes(16),
  readOnlyFlags: u32,
  metadataFlags: u32,
  metadataReadOnlyFlags: u32,
});

export const ENTRY_BYTES = 8;
/** An entry's high half: the chunk's state, bits that are not known, and the highest bits of the chunk's number in the file. */
export const STATE_SHIFT = 30;
export const RESERVED_HIGH = 0x3f800000;
export const CHUNK_HIGH = 0x007fffff;
/** [HUVEN] Chunk Entry Flags: nothing was written (the number is 0 then), every block was, some were. 2 was never seen. */
export const STATE_EMPTY = 0;
export const STATE_WHOLE = 1;
export const STATE_PARTIAL = 3;

/** [HUVEN] Bitmap Chunk: two bits per block, the first in a byte's lowest. 2 and 3 were never seen. */
export const BLOCKS_PER_BYTE = 4;
export const BLOCK_EMPTY = 0;
export const BLOCK_WRITTEN = 1;
