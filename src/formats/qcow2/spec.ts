/**
 * The layout of qcow2 (big endian), after [1] docs/interop/qcow2.rst of QEMU.
 * Section names in comments are that document's. "Limit" marks what QEMU enforces beyond it.
 */
import { DiskError, type DiskErrorCode, type ErrorPlace } from "../../core/errors.ts";
import { bytes, struct, u8, u16, u32, u64exact } from "../../core/struct.ts";

/** "QFI\xfb" */
export const MAGIC = 0x514649fb;

/** [1] Header, bytes 0–71: all of a version 2 header. */
export const HEADER_V2 = struct("be", {
  magic: u32,
  version: u32,
  backing_file_offset: u64exact,
  backing_file_size: u32,
  cluster_bits: u32,
  size: u64exact,
  crypt_method: u32,
  l1_size: u32,
  l1_table_offset: u64exact,
  refcount_table_offset: u64exact,
  refcount_table_clusters: u32,
  nb_snapshots: u32,
  snapshots_offset: u64exact,
});

/** [1] Header, bytes 72–103: follows HEADER_V2 in version 3. */
export const HEADER_V3 = struct("be", {
  incompatible_features: u64exact,
  compatible_features: u64exact,
  autoclear_features: u64exact,
  refcount_order: u32,
  header_length: u32,
});

/** [1] Additional fields: what this writer adds to HEADER_V3 (QEMU has done so since 5.1). */
export const HEADER_ADDITIONAL = struct("be", { compression_type: u8, padding: bytes(7) });

export const V3_LENGTH = HEADER_V2.bytes + HEADER_V3.bytes;
export const FULL_LENGTH = V3_LENGTH + HEADER_ADDITIONAL.bytes;

export const INCOMPAT_DIRTY = 1n << 0n;
export const INCOMPAT_CORRUPT = 1n << 1n;
export const INCOMPAT_DATA_FILE = 1n << 2n;
export const INCOMPAT_COMPRESSION = 1n << 3n;
export const INCOMPAT_EXTENDED_L2 = 1n << 4n;
export const INCOMPAT_KNOWN = INCOMPAT_DIRTY | INCOMPAT_CORRUPT | INCOMPAT_DATA_FILE | INCOMPAT_COMPRESSION | INCOMPAT_EXTENDED_L2;
export const COMPAT_LAZY_REFCOUNTS = 1n << 0n;
export const AUTOCLEAR_BITMAPS = 1n << 0n;
export const AUTOCLEAR_DATA_FILE_RAW = 1n << 1n;

export const COMPRESSION_DEFLATE = 0;
export const COMPRESSION_ZSTD = 1;
export const CRYPT_NONE = 0;
export const CRYPT_AES = 1;
export const CRYPT_LUKS = 2;

/** [1] Header extensions: type and length, then the data, padded to 8 bytes. */
export const EXTENSION = struct("be", { type: u32, length: u32 });
export const EXTENSION_END = 0;
export const EXTENSION_BACKING_FORMAT = 0xe2792aca;
export const EXTENSION_FEATURE_NAMES = 0x6803f857;
export const EXTENSION_BITMAPS = 0x23852875;
export const EXTENSION_CRYPTO = 0x0537be77;
export const EXTENSION_DATA_FILE = 0x44415441;

/** [1] Feature name table */
export const FEATURE_NAME = struct("be", { type: u8, bit: u8, name: bytes(46) });
/** [1] Bitmaps extension */
export const BITMAPS = struct("be", {
  nb_bitmaps: u32,
  reserved: u32,
  bitmap_directory_size: u64exact,
  bitmap_directory_offset: u64exact,
});
/** [1] Bitmap directory, fixed part of an entry */
export const BITMAP = struct("be", {
  bitmap_table_offset: u64exact,
  bitmap_table_size: u32,
  flags: u32,
  type: u8,
  granularity_bits: u8,
  name_size: u16,
  extra_data_size: u32,
});
/** [1] Full disk encryption header pointer */
export const CRYPTO = struct("be", { offset: u64exact, length: u64exact });

/** [1] Snapshots, fixed part of a table entry; extra data, id and name follow. */
export const SNAPSHOT = struct("be", {
  l1_table_offset: u64exact,
  l1_size: u32,
  id_str_size: u16,
  name_size: u16,
  date_sec: u32,
  date_nsec: u32,
  vm_clock_nsec: u64exact,
  vm_state_size: u32,
  extra_data_size: u32,
});

/** Limits of QEMU. */
export const MIN_CLUSTER_BITS = 9;
export const MAX_CLUSTER_BITS = 21;
export const MIN_EXTENDED_CLUSTER_BITS = 14;
export const MAX_L1_BYTES = 32 << 20;
export const MAX_REFCOUNT_TABLE_BYTES = 8 << 20;
export const MAX_REFCOUNT_ORDER = 6;
export const MAX_BACKING_NAME = 1023;
export const MAX_SNAPSHOTS = 65536;
export const MAX_SNAPSHOT_EXTRA = 1024;
export const MAX_BITMAPS = 65535;

/** The longest name that this writer puts into a header: with it and all feature names the smallest cluster still holds the header. */
export const MAX_DATA_FILE_NAME = 200;

/** Subclusters per cluster ([1] Extended L2 Entries). */
export const SUBCLUSTERS = 32;

/**
 * [1] Cluster mapping. Entries are handled as two 32-bit halves, high first: doubles hold them exactly and BigInt is slow.
 * L1 entry, and standard cluster descriptor: bits 9–55 are the offset, the rest below bit 62 is reserved.
 */
export const OFFSET_HIGH = 0x00ffffff;
export const OFFSET_LOW = 0xfffffe00;
export const COPIED_HIGH = 0x80000000;
export const COMPRESSED_HIGH = 0x40000000;
export const ZERO_LOW = 1;
export const L1_RESERVED_HIGH = 0x7f000000;
export const L2_RESERVED_HIGH = 0x3f000000;
export const RESERVED_LOW = 0x1ff;
/** The offset that an L1 entry, standard descriptor, bitmap table entry states. */
export const offsetOf = (high: number, low: number): number => (high & OFFSET_HIGH) * 2 ** 32 + ((low & OFFSET_LOW) >>> 0);

/** The same for the table kernel. */
export const L2_OFFSET = 0x00ff_ffff_ffff_fe00n;
export const L2_COMPRESSED = 1n << 62n;
export const L2_RESERVED = 0x3f00_0000_0000_01fen;
export const L2_ZERO = 1n;

/** Bytes of a compressed cluster that a descriptor claims; `length` is an upper bound ([1] Compressed Clusters Descriptor). */
export interface CompressedPlace {
  readonly at: number;
  readonly length: number;
}

/** `high` and `low` are the halves of an entry with bit 62. Null: bits that must be zero are set. */
export function compressedPlace(high: number, low: number, clusterBits: number): CompressedPlace | null {
  const offsetBits = 70 - clusterBits - 32;
  const descriptor = high & 0x3fffffff;
  const offsetHigh = descriptor & (2 ** offsetBits - 1);
  if (offsetHigh > OFFSET_HIGH) return null;
  const at = offsetHigh * 2 ** 32 + low;
  const sectors = (descriptor >>> offsetBits) + 1;
  return { at, length: sectors * 512 - (at % 512) };
}

/** The entry, as two halves, for `length` compressed bytes at `at`. */
export function compressedEntry(at: number, length: number, clusterBits: number): readonly [high: number, low: number] {
  const offsetBits = 70 - clusterBits - 32;
  const additional = Math.floor((at + length - 1) / 512) - Math.floor(at / 512);
  return [(COMPRESSED_HIGH | (additional << offsetBits) | Math.floor(at / 2 ** 32)) >>> 0, at % 2 ** 32];
}

/** An error about this format; `problem` begins with the field: `l1_size is 3, expected …`. */
export const problem = (code: DiskErrorCode, text: string, place: ErrorPlace = {}): DiskError =>
  new DiskError(code, `qcow2: ${text}`, place);

export const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
