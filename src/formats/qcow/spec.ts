// The layout of qcow version 1 (big endian).
// References
// - [QEMU] QEMU, block/qcow.c: QCowHeader, get_cluster_offset(), qcow_co_create()
// - [LIBQCOW] J. Metz, QEMU Copy-On-Write file format, "File header version 1", "Level 1 table", "Level 2 table"
import { DiskError, type DiskErrorCode, type ErrorPlace } from "../../core/errors.ts";
import { struct, u8, u16, u32, u64exact } from "../../core/struct.ts";

/** "QFI\xfb", shared with qcow2; the version tells them apart. */
export const MAGIC = 0x514649fb;

/** [QEMU] QCowHeader */
export const HEADER = struct("be", {
  magic: u32,
  version: u32,
  backing_file_offset: u64exact,
  backing_file_size: u32,
  mtime: u32,
  size: u64exact,
  cluster_bits: u8,
  l2_bits: u8,
  padding: u16,
  crypt_method: u32,
  l1_table_offset: u64exact,
});

export const CRYPT_NONE = 0;
export const CRYPT_AES = 1;

/** Limits of [QEMU]. */
export const MIN_CLUSTER_BITS = 9;
export const MAX_CLUSTER_BITS = 16;
export const MAX_BACKING_NAME = 1023;
/** 8 TiB in clusters of 4 KiB; [QEMU] allows 2 GiB of table. */
export const MAX_L1_BYTES = 32 << 20;

export const ENTRY_BYTES = 8;
/** Bit 63 of an L2 entry, in its high half. */
export const COMPRESSED_HIGH = 0x80000000;

/** [QEMU] get_cluster_offset(): a compressed cluster's length has the cluster_bits bits below bit 63, its offset the rest. */
export function compressedPlace(entry: bigint, clusterBits: number): { readonly at: number; readonly length: number } {
  const offsetBits = BigInt(63 - clusterBits);
  const length = Number((entry >> offsetBits) & ((1n << BigInt(clusterBits)) - 1n));
  return { at: Number(entry & ((1n << offsetBits) - 1n)), length };
}

/** An error about this format; `text` begins with the field: `l2_bits is 3, expected …`. */
export const problem = (code: DiskErrorCode, text: string, place: ErrorPlace = {}): DiskError =>
  new DiskError(code, `qcow: ${text}`, place);

export const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
