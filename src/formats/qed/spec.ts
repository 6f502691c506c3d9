// QEMU Enhanced Disk (QED).
// Reference
// - [QED] qemu, docs/interop/qed_spec.rst
import { struct, u32, u64exact } from "../../core/struct.ts";

/** "QED\0" */
export const MAGIC = 0x00444551;
export const SECTOR = 512;
export const ENTRY_BYTES = 8;
/** [QED] Field descriptions */
export const LEAST_CLUSTER = 1 << 12;
export const LARGEST_CLUSTER = 1 << 26;
export const LARGEST_TABLE = 16;
/** The longest that qemu reads: names of files end at 1,023 bytes there. */
export const LONGEST_NAME = 1023;

/** [QED] Feature bits */
export const FEATURE_BACKING = 1n;
export const FEATURE_NEED_CHECK = 2n;
export const FEATURE_RAW_BACKING = 4n;
export const KNOWN_FEATURES = 7n;

/** An L2 entry: zero whatever the backing file holds. Entries of 0, in both tables: not allocated. [QED] Tables */
export const ENTRY_ZERO = 1n;

export const Header = struct("le", {
  magic: u32,
  cluster_size: u32, // bytes
  table_size: u32, // clusters
  header_size: u32, // clusters
  features: u64exact,
  compat_features: u64exact,
  autoclear_features: u64exact,
  l1_table_offset: u64exact,
  image_size: u64exact,
  backing_filename_offset: u32,
  backing_filename_size: u32,
});

/** Entries of one table. [QED] TABLE_NOFFSETS */
export const tableEntries = (clusterSize: number, tableSize: number): number => (clusterSize * tableSize) / ENTRY_BYTES;

/** The largest disk that the tables can describe, in bytes. */
export const mostBytes = (clusterSize: number, tableSize: number): bigint =>
  BigInt(tableEntries(clusterSize, tableSize)) ** 2n * BigInt(clusterSize);
