// Compressed loopback image, version 2.0.
// References
// - [CLOOP] cloop-utils, cloop.h: struct cloop_head; cloop.c: what is accepted
// - [QEMU]  qemu, block/cloop.c: the same layout, seen from outside
import { bytes, struct, u32 } from "../../core/struct.ts";

/** A shell script that would mount the image; its second line states the version. [CLOOP] CLOOP_PREAMBLE */
export const PREAMBLE = /^#!\/bin\/sh\n#V(\d+)\.(\d+) Format\n/;
export const PREAMBLE_BYTES = 128;
export const SECTOR = 512;
export const ENTRY_BYTES = 8;
/** The largest unit that block workers unpack; qemu goes to 64 MiB, create_compressed_fs stops at 1 MiB. */
export const LARGEST_BLOCK = 2 << 20;

export const Header = struct("be", { preamble: bytes(PREAMBLE_BYTES), block_size: u32, n_blocks: u32 });

/** The most that a zlib stream of `length` bytes can need: stored blocks are a few bytes longer than what they hold. */
export const mostPacked = (length: number): number => length + (length >> 3) + 1024;
