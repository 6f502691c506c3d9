// ext2, ext3, ext4: a bitmap per block group. Documentation/filesystems/ext4 and fs/ext4 of the Linux kernel.
import { totalLength } from "../core/bytes.ts";
import { DiskError } from "../core/errors.ts";
import type { Range } from "../core/model.ts";
import { RecentPieces } from "../core/recent-pieces.ts";
import { type ExtGeometry, openGeometry } from "./free-ext-geometry.ts";
import { BLOCK_UNINIT, DESCRIPTOR, DESCRIPTOR_HIGH } from "./free-ext-layout.ts";
import {
  addRange,
  type FreeCompute,
  type FreeMap,
  MOST_RANGES,
  notReliable,
  type OpenFreeMap,
  type PartPages,
  zeroRuns,
} from "./free-map.ts";

/** One answer goes through no more groups than this. */
const MOST_GROUPS = 1024;
/** Groups whose runs are kept: a window of the disk is asked for piece by piece. */
const KEPT_GROUPS = 16;

interface Descriptor {
  readonly blockBitmap: number;
  readonly inodeBitmap: number;
  readonly inodeTable: number;
  readonly freeClusters: number;
  readonly isUninitialised: boolean;
  readonly bitmapSum: number;
}

/** Free clusters of a group, counted from its first; null: the group's marks are in doubt. */
type GroupRuns = readonly Range[] | null;

export const openExtFree: OpenFreeMap = async (part, compute, signal) => {
  const { geometry, pages } = await openGeometry(part, compute, signal);
  const map = new ExtFreeMap(geometry, pages, compute);
  await map.compareCount(signal);
  return map;
};

class ExtFreeMap implements FreeMap {
  readonly kind: string;
  readonly unit: number;
  private readonly geometry: ExtGeometry;
  private readonly pages: PartPages;
  private readonly compute: FreeCompute;
  private readonly kept = new RecentPieces<GroupRuns>(KEPT_GROUPS);

  constructor(geometry: ExtGeometry, pages: PartPages, compute: FreeCompute) {
    this.kind = geometry.kind;
    this.unit = geometry.blockSize * geometry.ratio;
    this.geometry = geometry;
    this.pages = pages;
    this.compute = compute;
  }

  /**
   * Descriptors may be sound by themselves and yet of another day, as their copies are, which nothing keeps up to date: then they do
   * not add up to what the superblock counts. Where one is in doubt the sum says nothing.
   */
  async compareCount(signal?: AbortSignal): Promise<void> {
    const { groups, ratio, freeBlocks } = this.geometry;
    let counted = 0;
    for (let group = 0; group < groups; group++) {
      const descriptor = await this.descriptor(group, signal).catch((error: unknown) => {
        if (error instanceof DiskError) return null;
        throw error;
      });
      if (descriptor === null) return;
      counted += descriptor.freeClusters * ratio;
    }
    if (counted === freeBlocks) return;
    const why = `its superblock counts ${freeBlocks} free blocks, its block groups ${counted}: it has to be checked (e2fsck) first`;
    throw notReliable(this.kind, this.pages.part, why);
  }

  async free(start: number, length: number, signal?: AbortSignal) {
    const { blockSize, firstBlock, blocks, blocksPerGroup, groups } = this.geometry;
    const ranges: Range[] = [];
    const stop = start + length;
    const firstByte = firstBlock * blockSize;
    const groupBytes = blocksPerGroup * blockSize;
    const firstGroup = Math.max(0, Math.floor((start - firstByte) / groupBytes));
    const endGroup = Math.min(groups, firstGroup + MOST_GROUPS);
    let doubtful = 0;
    for (let group = firstGroup; group < endGroup; group++) {
      const from = firstByte + group * groupBytes;
      if (from >= stop) break;
      if (ranges.length > MOST_RANGES && from > start) return { ranges, end: from, doubtful };
      const groupEnd = Math.min(from + groupBytes, blocks * blockSize);
      const runs = await this.kept.get(group, () => this.groupRuns(group, signal));
      if (runs === null) doubtful += Math.max(0, Math.min(groupEnd, stop) - Math.max(from, start));
      for (const run of runs ?? [])
        addRange(ranges, { start: from + run.start * this.unit, length: run.length * this.unit }, start, Math.min(groupEnd, stop));
    }
    const answered = endGroup === groups ? stop : Math.min(stop, firstByte + endGroup * groupBytes);
    return { ranges, end: answered, doubtful };
  }

  /** What can be trusted of a group: its bitmap, when checksums, count and the group's own metadata agree with it. */
  private async groupRuns(group: number, signal?: AbortSignal): Promise<GroupRuns> {
    try {
      const descriptor = await this.descriptor(group, signal);
      if (descriptor === null || !this.isPlaced(group, descriptor)) return null;
      const bitmap = descriptor.isUninitialised ? this.initialBitmap(group, descriptor) : await this.bitmap(descriptor, signal);
      if (bitmap === null || !this.holdsMetadata(group, descriptor, bitmap)) return null;
      const { clusters } = this.span(group);
      const runs = [...zeroRuns(bitmap, 0, clusters)];
      const free = totalLength(runs);
      if (free !== descriptor.freeClusters) return null;
      // A cluster that the file system's end cuts is not whole.
      const whole = Math.floor(this.span(group).blocks / this.geometry.ratio);
      return runs.map((run) => ({ start: run.start, length: Math.min(run.length, whole - run.start) })).filter(({ length }) => length > 0);
    } catch (error) {
      if (error instanceof DiskError) return null;
      throw error;
    }
  }

  private span(group: number) {
    const { firstBlock, blocks, blocksPerGroup, ratio } = this.geometry;
    const first = firstBlock + group * blocksPerGroup;
    const count = Math.min(blocksPerGroup, blocks - first);
    return { first, blocks: count, clusters: Math.ceil(count / ratio) };
  }

  /** Null when its checksum is wrong. */
  private async descriptor(group: number, signal?: AbortSignal): Promise<Descriptor | null> {
    const { descriptorBytes, blockSize } = this.geometry;
    const perBlock = blockSize / descriptorBytes;
    const at = this.geometry.descriptorBlock(Math.floor(group / perBlock)) * blockSize + (group % perBlock) * descriptorBytes;
    const bytes = await this.pages.bytes(at, descriptorBytes, signal);
    const low = DESCRIPTOR.read(bytes);
    if (!this.geometry.isDescriptorSound(group, bytes, low.bg_checksum)) return null;
    const high = descriptorBytes >= 64 ? DESCRIPTOR_HIGH.read(bytes, DESCRIPTOR.bytes) : null;
    const wide = (lowPart: number, highPart = 0): number => highPart * 2 ** 32 + lowPart;
    return {
      blockBitmap: wide(low.bg_block_bitmap_lo, high?.bg_block_bitmap_hi),
      inodeBitmap: wide(low.bg_inode_bitmap_lo, high?.bg_inode_bitmap_hi),
      inodeTable: wide(low.bg_inode_table_lo, high?.bg_inode_table_hi),
      freeClusters: low.bg_free_blocks_count_lo + (high?.bg_free_blocks_count_hi ?? 0) * 2 ** 16,
      isUninitialised: this.geometry.hasDescriptorSums && (low.bg_flags & BLOCK_UNINIT) !== 0,
      bitmapSum: low.bg_block_bitmap_csum_lo + (high?.bg_block_bitmap_csum_hi ?? 0) * 2 ** 16,
    };
  }

  /** Bitmaps and inode table lie inside the file system (without flex_bg inside their group) and not in each other. */
  private isPlaced(group: number, { blockBitmap, inodeBitmap, inodeTable }: Descriptor): boolean {
    const { firstBlock, blocks, inodeTableBlocks, isFlexible } = this.geometry;
    const span = this.span(group);
    const from = isFlexible ? firstBlock + this.geometry.baseBlocks(0) : span.first + this.geometry.baseBlocks(group);
    const to = isFlexible ? blocks : span.first + span.blocks;
    const inTable = (block: number): boolean => block >= inodeTable && block < inodeTable + inodeTableBlocks;
    if ([blockBitmap, inodeBitmap].some((block) => block < from || block >= to || inTable(block))) return false;
    return blockBitmap !== inodeBitmap && inodeTable >= from && inodeTable + inodeTableBlocks <= to;
  }

  /** Null when its checksum is wrong. */
  private async bitmap({ blockBitmap, bitmapSum }: Descriptor, signal?: AbortSignal): Promise<Uint8Array | null> {
    const { blockSize, clustersPerGroup, metadataSeed, descriptorBytes } = this.geometry;
    const bitmap = await this.pages.bytes(blockBitmap * blockSize, clustersPerGroup / 8, signal);
    if (metadataSeed === null) return bitmap;
    const sum = ~this.compute.crc32c(bitmap, ~metadataSeed >>> 0) >>> 0;
    return bitmapSum === (descriptorBytes >= 64 ? sum : sum % 2 ** 16) ? bitmap : null;
  }

  /** A bitmap that was never written: only the group's own metadata is in use (ext4_init_block_bitmap). */
  private initialBitmap(group: number, descriptor: Descriptor): Uint8Array {
    const bitmap = new Uint8Array(this.geometry.clustersPerGroup / 8);
    for (const cluster of this.ownClusters(group, descriptor))
      bitmap[cluster >> 3] = (bitmap[cluster >> 3] as number) | (1 << (cluster & 7));
    return bitmap;
  }

  private holdsMetadata(group: number, descriptor: Descriptor, bitmap: Uint8Array): boolean {
    for (const cluster of this.ownClusters(group, descriptor))
      if (((bitmap[cluster >> 3] as number) & (1 << (cluster & 7))) === 0) return false;
    return true;
  }

  /** Clusters of the group that hold its superblock copy, descriptors, bitmaps and inode table, as far as these lie in it. */
  private *ownClusters(group: number, { blockBitmap, inodeBitmap, inodeTable }: Descriptor): Generator<number> {
    const { first, blocks } = this.span(group);
    const { ratio, inodeTableBlocks } = this.geometry;
    const places = [
      { start: first, length: this.geometry.baseBlocks(group) },
      { start: blockBitmap, length: 1 },
      { start: inodeBitmap, length: 1 },
      { start: inodeTable, length: inodeTableBlocks },
    ];
    for (const { start, length } of places) {
      const from = Math.max(start, first) - first;
      const to = Math.min(start + length, first + blocks) - first;
      for (let cluster = Math.floor(from / ratio); cluster * ratio < to; cluster++) yield cluster;
    }
  }
}
