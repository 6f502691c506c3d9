import { bytes, struct, u32, u64exact } from "../../core/struct.ts";

/*
 * No text by Apple exists. [1] libyal/dfImageTools, "Mac OS sparse image (.sparseimage) format": header and band numbers.
 * [2] The structures of fsdump and apfs-fuse: further index nodes and the 64-bit size. Integers are big-endian.
 */

export const SECTOR = 512;
/** "sprs" */
export const SIGNATURE = 0x73707273;
export const VERSION = 3;
/** The header and every further index node, each with its array of band numbers. */
export const NODE_BYTES = 4096;

/** 1008 band numbers follow it. */
export const Header = struct("be", {
  signature: u32,
  version: u32,
  sectorsPerBand: u32,
  flags: u32,
  /** The low half of `sectors`. */
  sectorsLow: u32,
  /** Of the next index node in the file; 0: none. */
  nextNode: u64exact,
  sectors: u64exact,
  reserved: bytes(28),
});

/** 1010 band numbers follow it. */
export const IndexNode = struct("be", { signature: u32, number: u32, flags: u32, nextNode: u64exact, reserved: bytes(36) });
