import { bytes, struct, u16, u32, u64exact } from "../../core/struct.ts";

/*
 * Apple's sparse image format of macOS 26. Apple publishes no layout; what is known was found by reverse engineering and published with
 * fox-it/dissect.hypervisor (disk/asif.py, disk/c_asif.py). Integers are big-endian.
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
/** Bits of an entry that hold a chunk's number in the file; 0: no chunk. The two highest bits mark it as in change. */
export const CHUNK_MASK = 0x007fffffffffffffn;
export const RESERVED_BITS = 0x3f80000000000000n;
