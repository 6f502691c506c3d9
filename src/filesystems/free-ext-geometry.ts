import { DiskError } from "../core/errors.ts";
import {
  COMPAT,
  DESCRIPTOR,
  INCOMPAT,
  MAGIC,
  RO_COMPAT,
  STATE_ERRORS,
  STATE_ORPHANS,
  STATE_VALID,
  SUPERBLOCK,
  SUPERBLOCK_AT,
  type Superblock,
} from "./free-ext-layout.ts";
import { type FreeCompute, fieldFaults, isPowerOfTwo, notReliable, type Part, PartPages } from "./free-map.ts";

/** Where an ext file system's block groups and their descriptors lie. Blocks count from the partition's start. */
export interface ExtGeometry {
  readonly kind: string;
  readonly blockSize: number;
  /** Blocks per cluster: 1 without bigalloc. */
  readonly ratio: number;
  readonly firstBlock: number;
  readonly blocks: number;
  /** What the superblock counts. */
  readonly freeBlocks: number;
  readonly blocksPerGroup: number;
  readonly clustersPerGroup: number;
  readonly groups: number;
  readonly inodeTableBlocks: number;
  readonly descriptorBytes: number;
  /** Bitmaps and inode tables may lie in other groups. */
  readonly isFlexible: boolean;
  readonly hasDescriptorSums: boolean;
  /** Where the checksums of metadata_csum start; null: it has none. */
  readonly metadataSeed: number | null;
  /** The block that holds block `index` of the descriptor table. */
  descriptorBlock(index: number): number;
  /** Blocks at a group's start that hold the superblock, descriptors, and room for more of them. */
  baseBlocks(group: number): number;
  isDescriptorSound(group: number, descriptor: Uint8Array, sum: number): boolean;
}

const KNOWN_INCOMPAT = Object.values(INCOMPAT).reduce((sum, bit) => sum | bit, 0);
const KNOWN_RO_COMPAT = Object.values(RO_COMPAT).reduce((sum, bit) => sum | bit, 0);

/** Validates the superblock. Throws `corrupt` for a field that is wrong, `unsupported` where the bitmaps are not to be relied on. */
export async function openGeometry(part: Part, compute: FreeCompute, signal?: AbortSignal) {
  const pages = new PartPages(part);
  const bytes = await pages.bytes(SUPERBLOCK_AT, SUPERBLOCK.bytes, signal);
  const block = SUPERBLOCK.read(bytes);
  const kind = kindOf(block);
  const wrong = fieldFaults(kind, part, SUPERBLOCK, SUPERBLOCK_AT);
  if (block.s_magic !== MAGIC) throw wrong("s_magic", block.s_magic, String(MAGIC));
  const hasSums = (block.s_feature_ro_compat & RO_COMPAT.METADATA_CSUM) !== 0;
  if (hasSums && block.s_checksum_type !== 1) throw wrong("s_checksum_type", block.s_checksum_type, "1");
  const sum = ~compute.crc32c(bytes.subarray(0, SUPERBLOCK.offsetOf("s_checksum"))) >>> 0;
  // The kernel's CRC-32C leaves out the final inversion.
  if (hasSums && block.s_checksum !== sum) throw wrong("s_checksum", block.s_checksum, String(sum));
  requireReliable(block, kind, part);
  const geometry = geometryOf(block, kind, part, compute);
  if (!hasSums) await compareBackup(block, geometry, kind, pages, signal);
  return { geometry, pages };
}

function kindOf({ s_feature_compat, s_feature_incompat, s_feature_ro_compat }: Superblock): string {
  const beyondExt3 = (s_feature_incompat & ~(INCOMPAT.FILETYPE | INCOMPAT.RECOVER | INCOMPAT.META_BG)) !== 0;
  const { SPARSE_SUPER, LARGE_FILE, BTREE_DIR } = RO_COMPAT;
  if (beyondExt3 || (s_feature_ro_compat & ~(SPARSE_SUPER | LARGE_FILE | BTREE_DIR)) !== 0) return "ext4";
  return (s_feature_compat & COMPAT.HAS_JOURNAL) !== 0 ? "ext3" : "ext2";
}

function requireReliable(block: Superblock, kind: string, part: Part): void {
  const { s_feature_incompat: incompatible, s_feature_ro_compat: readOnly, s_state: state } = block;
  if ((incompatible & INCOMPAT.JOURNAL_DEV) !== 0) throw notReliable(kind, part, "it is a journal and holds no files");
  if ((incompatible & INCOMPAT.RECOVER) !== 0)
    throw notReliable(kind, part, "it was not unmounted: its journal has to be replayed before it says what is free");
  const hex = (bits: number): string => `0x${(bits >>> 0).toString(16)}`;
  if ((incompatible & ~KNOWN_INCOMPAT) !== 0)
    throw notReliable(kind, part, `it has features that are not known here (s_feature_incompat ${hex(incompatible & ~KNOWN_INCOMPAT)})`);
  if ((readOnly & ~KNOWN_RO_COMPAT) !== 0)
    throw notReliable(kind, part, `it has features that are not known here (s_feature_ro_compat ${hex(readOnly & ~KNOWN_RO_COMPAT)})`);
  if ((state & STATE_VALID) === 0) throw notReliable(kind, part, "it was not unmounted cleanly: it has to be checked (e2fsck) first");
  if ((state & (STATE_ERRORS | STATE_ORPHANS)) !== 0)
    throw notReliable(kind, part, "errors were found in it: it has to be checked (e2fsck) first");
}

function geometryOf(block: Superblock, kind: string, part: Part, compute: FreeCompute): ExtGeometry {
  const wrong = fieldFaults(kind, part, SUPERBLOCK, SUPERBLOCK_AT);
  const has = (bit: number): boolean => (block.s_feature_incompat & bit) !== 0;
  const hasReadOnly = (bit: number): boolean => (block.s_feature_ro_compat & bit) !== 0;
  if (block.s_log_block_size > 6) throw wrong("s_log_block_size", block.s_log_block_size, "at most 6");
  const blockSize = 1024 * 2 ** block.s_log_block_size;
  const isBig = hasReadOnly(RO_COMPAT.BIGALLOC);
  const logRatio = block.s_log_cluster_size - block.s_log_block_size;
  if (isBig ? logRatio < 0 || block.s_log_cluster_size > 20 : logRatio !== 0)
    throw wrong("s_log_cluster_size", block.s_log_cluster_size, isBig ? `${block.s_log_block_size} to 20` : String(block.s_log_block_size));
  const ratio = 2 ** logRatio;
  const firstBlock = block.s_first_data_block;
  const mostFirst = blockSize === 1024 ? 1 : 0;
  if (firstBlock > mostFirst || (firstBlock < mostFirst && ratio === 1)) throw wrong("s_first_data_block", firstBlock, String(mostFirst));
  const clustersPerGroup = block.s_clusters_per_group;
  if (clustersPerGroup === 0 || clustersPerGroup % 8 !== 0 || clustersPerGroup > blockSize * 8)
    throw wrong("s_clusters_per_group", clustersPerGroup, `a multiple of 8 up to ${blockSize * 8}`);
  const blocksPerGroup = block.s_blocks_per_group;
  if (blocksPerGroup !== clustersPerGroup * ratio) throw wrong("s_blocks_per_group", blocksPerGroup, String(clustersPerGroup * ratio));
  const blocks = (has(INCOMPAT["64BIT"]) ? block.s_blocks_count_hi * 2 ** 32 : 0) + block.s_blocks_count_lo;
  if (blocks <= firstBlock || blocks * blockSize > part.length)
    throw wrong("s_blocks_count_lo", blocks, `no more than the ${Math.floor(part.length / blockSize)} blocks of the partition`);
  const groups = Math.ceil((blocks - firstBlock) / blocksPerGroup);
  const inodesPerGroup = block.s_inodes_per_group;
  if (inodesPerGroup === 0 || inodesPerGroup > blockSize * 8) throw wrong("s_inodes_per_group", inodesPerGroup, `1 to ${blockSize * 8}`);
  if (block.s_inodes_count !== inodesPerGroup * groups)
    throw wrong("s_inodes_count", block.s_inodes_count, String(inodesPerGroup * groups));
  const inodeSize = block.s_rev_level === 0 ? 128 : block.s_inode_size;
  if (!isPowerOfTwo(inodeSize) || inodeSize < 128 || inodeSize > blockSize)
    throw wrong("s_inode_size", inodeSize, `a power of two from 128 to ${blockSize}`);
  const descriptorBytes = has(INCOMPAT["64BIT"]) ? block.s_desc_size : DESCRIPTOR.bytes;
  if (has(INCOMPAT["64BIT"]) && (!isPowerOfTwo(descriptorBytes) || descriptorBytes < 64 || descriptorBytes > 1024))
    throw wrong("s_desc_size", descriptorBytes, "a power of two from 64 to 1024");
  if (block.s_reserved_gdt_blocks > blockSize / 4)
    throw wrong("s_reserved_gdt_blocks", block.s_reserved_gdt_blocks, `at most ${blockSize / 4}`);

  const perBlock = blockSize / descriptorBytes;
  const tableBlocks = Math.ceil(groups / perBlock);
  const isMeta = has(INCOMPAT.META_BG);
  if (isMeta && block.s_first_meta_bg > tableBlocks) throw wrong("s_first_meta_bg", block.s_first_meta_bg, `at most ${tableBlocks}`);
  // In blocks of the table: up to here it lies behind the superblock, from here on each block in the groups that it describes.
  const joined = isMeta ? block.s_first_meta_bg : tableBlocks;
  // Where block 0 holds boot code and clusters are larger than blocks, the superblock is in block 1 of the first group all the same.
  const lead = (group: number): number => (group === 0 && blockSize === 1024 && firstBlock === 0 ? 1 : 0);
  const hasSuper = superblockGroups(block);
  const baseBlocks = (group: number): number => {
    const copies = (hasSuper(group) ? 1 : 0) + lead(group);
    if (group < joined * perBlock) return hasSuper(group) ? copies + joined + block.s_reserved_gdt_blocks : 0;
    const place = group % perBlock;
    return copies + (place === 0 || place === 1 || place === perBlock - 1 ? 1 : 0);
  };
  if (joined + block.s_reserved_gdt_blocks + 1 > Math.min(blocksPerGroup, blocks))
    throw wrong("s_blocks_count_lo", blocks, `room for ${joined} blocks of group descriptors in the first group`);
  const hasMetadataSums = hasReadOnly(RO_COMPAT.METADATA_CSUM);
  const metadataSeed = hasMetadataSums ? (has(INCOMPAT.CSUM_SEED) ? block.s_checksum_seed : ~compute.crc32c(block.s_uuid) >>> 0) : null;
  return {
    kind,
    blockSize,
    ratio,
    firstBlock,
    blocks,
    freeBlocks: (has(INCOMPAT["64BIT"]) ? block.s_free_blocks_count_hi * 2 ** 32 : 0) + block.s_free_blocks_count_lo,
    blocksPerGroup,
    clustersPerGroup,
    groups,
    inodeTableBlocks: Math.ceil((inodesPerGroup * inodeSize) / blockSize),
    descriptorBytes,
    isFlexible: has(INCOMPAT.FLEX_BG),
    hasDescriptorSums: hasMetadataSums || hasReadOnly(RO_COMPAT.GDT_CSUM),
    metadataSeed,
    descriptorBlock(index) {
      if (index < joined) return Math.floor(SUPERBLOCK_AT / blockSize) + 1 + index;
      const group = index * perBlock;
      return firstBlock + group * blocksPerGroup + (hasSuper(group) ? 1 : 0) + lead(group);
    },
    baseBlocks,
    isDescriptorSound(group, descriptor, sum) {
      if (metadataSeed !== null) return (metadataSum(group, descriptor, metadataSeed, compute) & 0xffff) === sum;
      return !hasReadOnly(RO_COMPAT.GDT_CSUM) || crc16Of(group, descriptor, block.s_uuid) === sum;
    },
  };
}

/** Which groups begin with a copy of the superblock (ext4_bg_has_super). */
function superblockGroups(block: Superblock): (group: number) => boolean {
  if ((block.s_feature_compat & COMPAT.SPARSE_SUPER2) !== 0)
    return (group) => group === 0 || group === block.s_backup_bgs_0 || group === block.s_backup_bgs_1;
  if ((block.s_feature_ro_compat & RO_COMPAT.SPARSE_SUPER) === 0) return () => true;
  const isPowerOf = (base: number, n: number): boolean => {
    let power = base;
    while (power < n) power *= base;
    return power === n;
  };
  return (group) => group <= 1 || [3, 5, 7].some((base) => isPowerOf(base, group));
}

const SUM_AT = DESCRIPTOR.offsetOf("bg_checksum");

/** ext4_group_desc_csum: over the group's number and the descriptor, whose own checksum field counts as zero. */
function metadataSum(group: number, descriptor: Uint8Array, seed: number, compute: FreeCompute): number {
  const message = new Uint8Array(4 + descriptor.length);
  new DataView(message.buffer).setUint32(0, group, true);
  message.set(descriptor, 4);
  message.fill(0, 4 + SUM_AT, 4 + SUM_AT + 2);
  return ~compute.crc32c(message, ~seed >>> 0) >>> 0;
}

/** Its form for uninit_bg: CRC-16 over the file system's UUID, the group's number and the descriptor without the checksum field. */
function crc16Of(group: number, descriptor: Uint8Array, uuid: Uint8Array): number {
  const number = new Uint8Array(4);
  new DataView(number.buffer).setUint32(0, group, true);
  let sum = 0xffff;
  for (const bytes of [uuid, number, descriptor.subarray(0, SUM_AT), descriptor.subarray(SUM_AT + 2)])
    for (const byte of bytes) {
      sum ^= byte;
      for (let bit = 0; bit < 8; bit++) sum = (sum & 1) !== 0 ? (sum >>> 1) ^ 0xa001 : sum >>> 1;
    }
  return sum;
}

/** Where no checksum covers the superblock, its first copy has to tell the same geometry. */
async function compareBackup(
  block: Superblock,
  geometry: ExtGeometry,
  kind: string,
  pages: PartPages,
  signal?: AbortSignal,
): Promise<void> {
  const isSparse2 = (block.s_feature_compat & COMPAT.SPARSE_SUPER2) !== 0;
  const group = isSparse2 ? block.s_backup_bgs_0 : 1;
  if (group === 0 || group >= geometry.groups) return;
  const at = (geometry.firstBlock + group * geometry.blocksPerGroup) * geometry.blockSize;
  const copy = SUPERBLOCK.read(await pages.bytes(at, SUPERBLOCK.bytes, signal));
  const fields = ["s_magic", "s_inodes_count", "s_blocks_count_lo", "s_blocks_count_hi", "s_first_data_block", "s_log_block_size"] as const;
  const more = ["s_log_cluster_size", "s_blocks_per_group", "s_clusters_per_group", "s_inodes_per_group", "s_inode_size"] as const;
  const last = ["s_desc_size", "s_reserved_gdt_blocks", "s_first_meta_bg"] as const;
  for (const field of [...fields, ...more, ...last]) {
    if (copy[field] === block[field]) continue;
    const place = SUPERBLOCK_AT + SUPERBLOCK.offsetOf(field);
    throw new DiskError(
      "corrupt",
      `${pages.part.name}: ${kind}: ${field} at byte ${place} is ${block[field]}, but ${copy[field]} in the superblock's copy at byte ${at}`,
      { at: place },
    );
  }
}
