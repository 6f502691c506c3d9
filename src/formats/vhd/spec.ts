// Virtual hard disk, version 1.
// References
// - [MS-VHD]  Microsoft, "Virtual Hard Disk Image Format Specification", version 1.0, October 2006; the names of its sections
// - [LIBVHDI] J. Metz, "Virtual Hard Disk (VHD) image format", documentation of libyal/libvhdi
// - [QEMU]    qemu, block/vpc.c, the comment above vpc_ignore_current_size: which creator means which size
import { bytes, struct, u8, u16, u32, u64exact } from "../../core/struct.ts";

export const SECTOR = 512;
/** "conectix": [MS-VHD] Hard Disk Footer Format, Cookie */
export const FOOTER_COOKIE = "conectix";
/** "cxsparse": [MS-VHD] Dynamic Disk Header Format, Cookie */
export const HEADER_COOKIE = "cxsparse";
/** Versions before that of 2004 wrote a footer that lacks its last, reserved byte. [MS-VHD] Hard Disk Footer Format */
export const OLD_FOOTER_BYTES = 511;
export const VERSION_1_0 = 0x00010000;
/** "Reserved. This bit must always be set to 1." [MS-VHD] Features */
export const FEATURE_RESERVED = 2;
/** Offset of the next structure where there is none. [MS-VHD] Data Offset */
export const NO_OFFSET = 0xffff_ffff_ffff_ffffn;
export const TYPE_FIXED = 2;
export const TYPE_DYNAMIC = 3;
export const TYPE_DIFFERENCING = 4;
/** Block allocation table entry: no block. [MS-VHD] Block Allocation Table */
export const BLOCK_UNUSED = 0xffffffff;
export const ENTRY_BYTES = 4;
/** The block size of every known writer. [MS-VHD] Block Size */
export const BLOCK_BYTES = 2 << 20;
/** 2040 GiB: the limit of Windows, and of qemu. [QEMU] VHD_MAX_SECTORS */
export const MOST_BYTES = 2040 * 2 ** 30;

/** [MS-VHD] Hard Disk Footer Format */
export const Footer = struct("be", {
  cookie: bytes(8),
  features: u32,
  fileFormatVersion: u32,
  dataOffset: u64exact,
  timeStamp: u32,
  creatorApplication: bytes(4),
  creatorVersion: u32,
  creatorHostOs: bytes(4),
  originalSize: u64exact,
  currentSize: u64exact,
  cylinders: u16,
  heads: u8,
  sectorsPerTrack: u8,
  diskType: u32,
  checksum: u32,
  uniqueId: bytes(16),
  savedState: u8,
  reserved: bytes(427),
});
export type FooterFields = ReturnType<typeof Footer.read>;

/** [MS-VHD] Dynamic Disk Header Format */
export const Header = struct("be", {
  cookie: bytes(8),
  dataOffset: u64exact,
  tableOffset: u64exact,
  headerVersion: u32,
  maxTableEntries: u32,
  blockSize: u32,
  checksum: u32,
  parentUniqueId: bytes(16),
  parentTimeStamp: u32,
  reserved: u32,
  parentUnicodeName: bytes(512),
  parentLocators: bytes(8 * 24),
  reserved2: bytes(256),
});
export type HeaderFields = ReturnType<typeof Header.read>;

/** UTF-16 units of `parentUnicodeName`, one of them kept for the zero that ends it. */
export const LONGEST_PARENT_NAME = 255;

/** [MS-VHD] Parent Locator Entry */
export const Locator = struct("be", {
  platformCode: bytes(4),
  platformDataSpace: u32,
  platformDataLength: u32,
  reserved: u32,
  platformDataOffset: u64exact,
});

/** The ones' complement of the sum of all bytes but the checksum's own. [MS-VHD] Checksum */
export function checksumOf(structure: Uint8Array, checksumAt: number): number {
  let sum = 0;
  for (const byte of structure) sum += byte;
  for (let i = 0; i < 4; i++) sum -= structure[checksumAt + i] as number;
  return ~sum >>> 0;
}

/** The four or eight characters of a tag; what cannot be printed is a dot. */
export const tagText = (tag: Uint8Array): string =>
  Array.from(tag, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");

/** A tag as bytes. */
export const tag = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));

/** Bytes of a block's sector bitmap, padded to whole sectors. [MS-VHD] Data Block */
export const bitmapBytesOf = (blockSize: number): number => Math.ceil(blockSize / SECTOR / 8 / SECTOR) * SECTOR;
