import { struct, u16, u32 } from "../../core/struct.ts";

// Reference: AOSP, system/core/libsparse/sparse_format.h

export const MAGIC = 0xed26ff3a;

export const Header = struct("le", {
  magic: u32,
  majorVersion: u16,
  minorVersion: u16,
  fileHeaderSize: u16,
  chunkHeaderSize: u16,
  /** Bytes of a block, a multiple of 4. */
  blockSize: u32,
  totalBlocks: u32,
  totalChunks: u32,
  /** CRC-32 of the whole disk, "don't care" counting as zeros; 0: not stated. */
  imageChecksum: u32,
});
export const ChunkHeader = struct("le", {
  chunkType: u16,
  reserved: u16,
  /** Blocks of the disk. */
  chunkSize: u32,
  /** Bytes in the file, with this header. */
  totalSize: u32,
});

export const RAW = 0xcac1;
export const FILL = 0xcac2;
export const DONT_CARE = 0xcac3;
export const CRC32 = 0xcac4;
/** Bytes of the pattern of a fill chunk, and of the sum of a CRC chunk. */
export const WORD = 4;
