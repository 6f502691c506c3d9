// How much of a disk a file system takes, by its superblock. Sources, per function: the header or specification named there.
import { type ReadBytes, viewOf, Window } from "./window.ts";

export interface FileSystemExtent {
  /** Bytes from its start that the file system says are its own. May exceed its partition: then that was cut. */
  readonly length: number;
  /** For people: "ext4", "NTFS". */
  readonly what: string;
  /** What contradicts `length`, as a sentence; `length` is the larger then. Null: nothing. */
  readonly doubt: string | null;
}
type Found = Omit<FileSystemExtent, "what">;

const isPowerOfTwo = (n: number): boolean => n > 0 && Number.isInteger(Math.log2(n));
const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);

/** The length, unless another copy of the superblock says more. `copy`: what that states; null: it is not there. */
function compared(length: number, copy: number | null, name: string): Found {
  if (copy === length) return { length, doubt: null };
  if (copy === null) return { length, doubt: `The backup of its ${name} is missing.` };
  return { length: Math.max(length, copy), doubt: `Its ${name} says ${length} bytes, the backup of it ${copy}.` };
}

/** Linux fs/ext4/ext4.h, struct ext4_super_block. */
async function ext(window: Window): Promise<Found | null> {
  const block = await window.bytes(1024, 1024);
  const main = block && extSize(block);
  if (!block || !main) return null;
  if (main.groups < 2) return { length: main.length, doubt: null };
  const view = viewOf(block);
  // COMPAT_SPARSE_SUPER2 names its backups; otherwise group 1 has one.
  const group = (view.getUint32(92, true) & 0x200) !== 0 ? view.getUint32(588, true) : 1;
  if (group === 0 || group >= main.groups) return { length: main.length, doubt: null };
  const backup = await window.bytes((main.firstBlock + group * main.groupBlocks) * main.blockBytes, 1024);
  const isOwn = backup !== null && sameBytes(backup.subarray(104, 120), block.subarray(104, 120));
  return compared(main.length, (isOwn && extSize(backup)?.length) || null, "superblock");
}

function extSize(block: Uint8Array) {
  const view = viewOf(block);
  const [inodes, blocksLow, firstBlock, shift, groupBlocks] = [0, 4, 20, 24, 32].map((at) => view.getUint32(at, true)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  if (view.getUint16(56, true) !== 0xef53 || shift > 6 || groupBlocks === 0 || groupBlocks % 8 !== 0) return null;
  const blockBytes = 1024 << shift;
  // INCOMPAT_64BIT: the upper half of the block count. INCOMPAT_JOURNAL_DEV: a journal alone, of which little of this holds.
  const incompatible = view.getUint32(96, true);
  const blocks = blocksLow + ((incompatible & 0x80) !== 0 ? view.getUint32(336, true) * 2 ** 32 : 0);
  if ((incompatible & 0x8) !== 0 || firstBlock > 1 || blocks <= firstBlock || !Number.isSafeInteger(blocks * blockBytes)) return null;
  const groups = Math.ceil((blocks - firstBlock) / groupBlocks);
  if (inodes !== groups * view.getUint32(40, true)) return null;
  return { length: blocks * blockBytes, blockBytes, firstBlock, groupBlocks, groups };
}

/** https://flatcap.github.io/linux-ntfs/ntfs/files/boot.html: the copy of the boot sector lies behind the sectors that are counted. */
async function ntfs(window: Window): Promise<Found | null> {
  const boot = await window.bytes(0, 512);
  if (boot === null) return null;
  const view = viewOf(boot);
  const sector = view.getUint16(11, true);
  const sectors = Number(view.getBigUint64(40, true));
  const rawCluster = view.getUint8(13);
  const cluster = sector * (rawCluster > 128 ? 2 ** (256 - rawCluster) : rawCluster);
  const length = (sectors + 1) * sector;
  const tables = [48, 56].map((at) => Number(view.getBigUint64(at, true)) * cluster);
  if (!isPowerOfTwo(sector) || sector < 256 || sector > 4096 || !isPowerOfTwo(cluster) || sectors === 0) return null;
  if (!Number.isSafeInteger(length) || tables.some((at) => at === 0 || at >= length)) return null;
  const backup = await window.bytes(sectors * sector, 512);
  const isThere = backup !== null && sameBytes(backup, boot);
  return { length, doubt: isThere ? null : "The copy of its boot sector is not where it should be, in the last sector." };
}

/** Microsoft, "FAT: General Overview of On-Disk Format" 1.03, "Boot Sector and BPB". */
async function fat(window: Window): Promise<Found | null> {
  const boot = await window.bytes(0, 512);
  const length = boot && fatSize(boot);
  if (!boot || !length) return null;
  const view = viewOf(boot);
  // BPB_BkBootSec, of FAT32 only; 0: there is none.
  const place = view.getUint16(22, true) === 0 ? view.getUint16(50, true) : 0;
  if (place === 0) return { length, doubt: null };
  const backup = await window.bytes(place * view.getUint16(11, true), 512);
  return compared(length, backup && fatSize(backup), "boot sector");
}

function fatSize(boot: Uint8Array): number | null {
  const view = viewOf(boot);
  const sector = view.getUint16(11, true);
  const sectors = view.getUint16(19, true) || view.getUint32(32, true);
  const fatSectors = view.getUint16(22, true) || view.getUint32(36, true);
  const [cluster, fats] = [view.getUint8(13), view.getUint8(16)];
  const before = view.getUint16(14, true) + fats * fatSectors + Math.ceil((view.getUint16(17, true) * 32) / sector);
  if (![512, 1024, 2048, 4096].includes(sector) || !isPowerOfTwo(cluster) || fats === 0 || fatSectors === 0) return null;
  return sectors > before ? sectors * sector : null;
}

/** https://learn.microsoft.com/windows/win32/fileio/exfat-specification, sections 3.1 and 3.2: the backup begins in sector 12. */
async function exfat(window: Window): Promise<Found | null> {
  const boot = await window.bytes(0, 512);
  const main = boot && exfatSize(boot);
  if (!main) return null;
  const backup = await window.bytes(12 * main.sector, 512);
  return compared(main.length, (backup && exfatSize(backup)?.length) ?? null, "boot sector");
}

function exfatSize(boot: Uint8Array) {
  const view = viewOf(boot);
  const [sectorShift, clusterShift] = [view.getUint8(108), view.getUint8(109)];
  if (sectorShift < 9 || sectorShift > 12 || clusterShift > 25 - sectorShift) return null;
  const sectors = Number(view.getBigUint64(72, true));
  const [heap, clusters] = [view.getUint32(88, true), view.getUint32(92, true)];
  const length = sectors * 2 ** sectorShift;
  if (heap === 0 || clusters === 0 || heap + clusters * 2 ** clusterShift > sectors || !Number.isSafeInteger(length)) return null;
  return { length, sector: 2 ** sectorShift };
}

/** Linux fs/xfs/libxfs/xfs_format.h, struct xfs_dsb: each allocation group begins with a copy. */
async function xfs(window: Window): Promise<Found | null> {
  const block = await window.bytes(0, 512);
  const main = block && xfsSize(block);
  if (!block || !main) return null;
  if (main.groups < 2) return { length: main.length, doubt: null };
  const copy = await window.bytes(main.groupBytes, 512);
  const isOwn = copy !== null && sameBytes(copy.subarray(0, 8), block.subarray(0, 8));
  return compared(main.length, (isOwn && xfsSize(copy)?.length) || null, "superblock");
}

function xfsSize(block: Uint8Array) {
  const view = viewOf(block);
  const [magic, blockBytes, groupBlocks, groups] = [0, 4, 84, 88].map((at) => view.getUint32(at, false)) as [
    number,
    number,
    number,
    number,
  ];
  const blocks = Number(view.getBigUint64(8, false));
  if (magic !== 0x58465342 || !isPowerOfTwo(blockBytes) || blockBytes < 512 || blockBytes > 65536) return null;
  if (blocks <= (groups - 1) * groupBlocks || blocks > groups * groupBlocks || !Number.isSafeInteger(blocks * blockBytes)) return null;
  return { length: blocks * blockBytes, groupBytes: groupBlocks * blockBytes, groups };
}

const BTRFS_MAGIC = 0x4d5f53665248425fn; // "_BHRfS_M"
const BTRFS_AT = 65536;
const BTRFS_COPY_AT = 64 << 20;

/** Linux include/uapi/linux/btrfs_tree.h, struct btrfs_super_block with this device's btrfs_dev_item; copies at 64 MiB and 256 GiB. */
async function btrfs(window: Window): Promise<Found | null> {
  const block = await window.bytes(BTRFS_AT, 4096);
  const length = block && btrfsSize(block, BTRFS_AT);
  if (!block || !length) return null;
  if (length < BTRFS_COPY_AT + 4096) return { length, doubt: null };
  const copy = await window.bytes(BTRFS_COPY_AT, 4096);
  const isOwn = copy !== null && sameBytes(copy.subarray(32, 48), block.subarray(32, 48));
  return compared(length, isOwn ? btrfsSize(copy, BTRFS_COPY_AT) : null, "superblock");
}

function btrfsSize(block: Uint8Array, at: number): number | null {
  const view = viewOf(block);
  const number = (place: number): number => Number(view.getBigUint64(place, true));
  const length = number(0xd1);
  if (view.getBigUint64(0x40, true) !== BTRFS_MAGIC || number(0x30) !== at || !isPowerOfTwo(view.getUint32(0x90, true))) return null;
  // All devices' sum: only with one device must it be this one's size, but for what is left of the last sector.
  const [total, devices] = [number(0x70), number(0x88)];
  if (devices === 0 || length > total || !Number.isSafeInteger(total) || length <= BTRFS_AT) return null;
  return devices === 1 ? total : length;
}

/** Linux include/linux/swap.h, union swap_header: the last page's number; the mark ends the first page. Either byte order. */
async function swap(window: Window): Promise<Found | null> {
  const info = await window.bytes(1024, 8);
  for (const page of [4096, 8192, 16384, 65536]) {
    const mark = await window.bytes(page - 10, 10);
    if (info === null || mark === null || new TextDecoder().decode(mark) !== "SWAPSPACE2") continue;
    const little = viewOf(info).getUint32(0, true) === 1;
    if (!little && viewOf(info).getUint32(0, false) !== 1) return null;
    return { length: (viewOf(info).getUint32(4, little) + 1) * page, doubt: null };
  }
  return null;
}

const KINDS = new Map<string, readonly [what: string, size: (window: Window) => Promise<Found | null>]>([
  ["ext2", ["ext2", ext]],
  ["ext3", ["ext3", ext]],
  ["ext4", ["ext4", ext]],
  ["ntfs", ["NTFS", ntfs]],
  ["fat12", ["FAT12", fat]],
  ["fat16", ["FAT16", fat]],
  ["fat32", ["FAT32", fat]],
  ["exfat", ["exFAT", exfat]],
  ["xfs", ["XFS", xfs]],
  ["btrfs", ["Btrfs", btrfs]],
  ["swap", ["Linux swap", swap]],
]);

/**
 * How much of `start..start+length` the file system of a `kind` (see `identify`) there takes. Null: its fields contradict each other,
 * or it is of a kind (a container, such as LUKS or LVM) whose size is not read: then everything up to the end may be its own.
 * Reads a few pages, never outside the range. Only errors of `read` pass through.
 */
export async function extentOf(kind: string, read: ReadBytes, start: number, length: number): Promise<FileSystemExtent | null> {
  const known = KINDS.get(kind);
  if (known === undefined) return null;
  const [what, size] = known;
  const found = await size(new Window(read, start, length));
  return found && { length: found.length, what, doubt: found.doubt };
}
