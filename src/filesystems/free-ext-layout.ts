import { bytes, struct, u8, u16, u32 } from "../core/struct.ts";

// fs/ext4/ext4.h of the Linux kernel, https://docs.kernel.org/filesystems/ext4/
export const SUPERBLOCK_AT = 1024;
export const SUPERBLOCK = struct("le", {
  s_inodes_count: u32,
  s_blocks_count_lo: u32,
  s_r_blocks_count_lo: u32,
  s_free_blocks_count_lo: u32,
  s_free_inodes_count: u32,
  s_first_data_block: u32,
  s_log_block_size: u32,
  s_log_cluster_size: u32,
  s_blocks_per_group: u32,
  s_clusters_per_group: u32,
  s_inodes_per_group: u32,
  times_and_mounts: bytes(12),
  s_magic: u16,
  s_state: u16,
  errors_to_os: bytes(16),
  s_rev_level: u32,
  default_owner: bytes(4),
  s_first_ino: u32,
  s_inode_size: u16,
  s_block_group_nr: u16,
  s_feature_compat: u32,
  s_feature_incompat: u32,
  s_feature_ro_compat: u32,
  s_uuid: bytes(16),
  names_and_preallocation: bytes(86),
  s_reserved_gdt_blocks: u16,
  journal: bytes(46),
  s_desc_size: u16,
  s_default_mount_opts: u32,
  s_first_meta_bg: u32,
  journal_backup: bytes(72),
  s_blocks_count_hi: u32,
  s_r_blocks_count_hi: u32,
  s_free_blocks_count_hi: u32,
  sizes_to_flags: bytes(24),
  s_log_groups_per_flex: u8,
  s_checksum_type: u8,
  writes_to_quotas: bytes(214),
  s_backup_bgs_0: u32,
  s_backup_bgs_1: u32,
  encryption: bytes(28),
  s_checksum_seed: u32,
  reserved: bytes(392),
  s_checksum: u32,
});
export type Superblock = ReturnType<typeof SUPERBLOCK.read>;

export const MAGIC = 0xef53;
export const STATE_VALID = 1;
export const STATE_ERRORS = 2;
export const STATE_ORPHANS = 4;

export const COMPAT = { HAS_JOURNAL: 0x4, SPARSE_SUPER2: 0x200 } as const;
export const INCOMPAT = {
  FILETYPE: 0x2,
  RECOVER: 0x4,
  JOURNAL_DEV: 0x8,
  META_BG: 0x10,
  EXTENTS: 0x40,
  "64BIT": 0x80,
  MMP: 0x100,
  FLEX_BG: 0x200,
  EA_INODE: 0x400,
  CSUM_SEED: 0x2000,
  LARGEDIR: 0x4000,
  INLINE_DATA: 0x8000,
  ENCRYPT: 0x10000,
  CASEFOLD: 0x20000,
} as const;
export const RO_COMPAT = {
  SPARSE_SUPER: 0x1,
  LARGE_FILE: 0x2,
  BTREE_DIR: 0x4,
  HUGE_FILE: 0x8,
  GDT_CSUM: 0x10,
  DIR_NLINK: 0x20,
  EXTRA_ISIZE: 0x40,
  QUOTA: 0x100,
  BIGALLOC: 0x200,
  METADATA_CSUM: 0x400,
  READONLY: 0x1000,
  PROJECT: 0x2000,
  VERITY: 0x8000,
} as const;

/** The first 32 bytes of a group descriptor. */
export const DESCRIPTOR = struct("le", {
  bg_block_bitmap_lo: u32,
  bg_inode_bitmap_lo: u32,
  bg_inode_table_lo: u32,
  bg_free_blocks_count_lo: u16,
  bg_free_inodes_count_lo: u16,
  bg_used_dirs_count_lo: u16,
  bg_flags: u16,
  bg_exclude_bitmap_lo: u32,
  bg_block_bitmap_csum_lo: u16,
  bg_inode_bitmap_csum_lo: u16,
  bg_itable_unused_lo: u16,
  bg_checksum: u16,
});
/** What follows them where descriptors have 64 bytes or more. */
export const DESCRIPTOR_HIGH = struct("le", {
  bg_block_bitmap_hi: u32,
  bg_inode_bitmap_hi: u32,
  bg_inode_table_hi: u32,
  bg_free_blocks_count_hi: u16,
  bg_free_inodes_count_hi: u16,
  bg_used_dirs_count_hi: u16,
  bg_itable_unused_hi: u16,
  bg_exclude_bitmap_hi: u32,
  bg_block_bitmap_csum_hi: u16,
  bg_inode_bitmap_csum_hi: u16,
  bg_reserved: u32,
});
export const BLOCK_UNINIT = 0x2;
