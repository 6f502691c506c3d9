// VirtualBox disk image, version 1.1.
// References
// - [VDI-CORE] VirtualBox, src/VBox/Storage/VDICore.h: VDIPREHEADER, VDIHEADER1, VDIHEADER1PLUS, block map sentinels
// - [VDI]      VirtualBox, src/VBox/Storage/VDI.cpp: what is accepted and what is written
// - [QEMU]     qemu, block/vdi.c, comment at the head: the same layout, seen from outside
import { bytes, struct, u32, u64exact } from "../../core/struct.ts";

/** [VDI-CORE] VDI_IMAGE_SIGNATURE */
export const SIGNATURE = 0xbeda107f;
export const VERSION_1_1 = 0x00010001;
/** [VDI-CORE] VDIIMAGETYPE: normal, fixed, undo, diff */
export const TYPE_DYNAMIC = 1;
export const TYPE_STATIC = 2;
export const TYPE_UNDO = 3;
export const TYPE_DIFFERENCING = 4;
/** Block map entry: never written; look in the parent, else zero. [VDI-CORE] VDI_IMAGE_BLOCK_FREE */
export const BLOCK_FREE = 0xffffffff;
/** Block map entry: reads as zero whatever the parent holds. [VDI-CORE] VDI_IMAGE_BLOCK_ZERO */
export const BLOCK_ZERO = 0xfffffffe;
/** The block size of every known writer, and the only one qemu reads. [VDI-CORE] VDI_IMAGE_DEFAULT_BLOCK_SIZE */
export const BLOCK_BYTES = 1 << 20;
export const LARGEST_BLOCK = 256 << 20;
/** [QEMU] VDI_BLOCKS_IN_IMAGE_MAX */
export const MOST_BLOCKS = 0x1fffff80;
export const SECTOR = 512;
export const ENTRY_BYTES = 4;

/** VDIHEADER1, counted from `headerSize`, which VDIHEADER1PLUS enlarges by the LCHS geometry. */
export const HEADER_SIZE_1 = 384;
export const HEADER_SIZE_1PLUS = 400;
/** Where the counting of `headerSize` begins: after the VDIPREHEADER. */
export const PREHEADER_BYTES = 72;

export const COMMENT_BYTES = 256;

/** VDIPREHEADER and VDIHEADER1PLUS; the latter's names are in the comments. */
export const Header = struct("le", {
  text: bytes(64), // szFileInfo
  signature: u32,
  version: u32,
  headerSize: u32, // cbHeader
  imageType: u32,
  imageFlags: u32,
  comment: bytes(COMMENT_BYTES),
  mapAt: u32, // offBlocks
  dataAt: u32, // offData
  cylinders: u32, // LegacyGeometry
  heads: u32,
  sectors: u32,
  sectorSize: u32, // LegacyGeometry.cbSector
  unused: u32,
  diskSize: u64exact, // cbDisk
  blockSize: u32, // cbBlock
  blockExtra: u32, // cbBlockExtra: bytes before each block's data
  blocks: u32, // cBlocks
  blocksAllocated: u32, // cBlocksAllocated
  uuid: bytes(16), // uuidCreate
  modifyUuid: bytes(16),
  parentUuid: bytes(16), // uuidLinkage
  parentModifyUuid: bytes(16),
  logicalCylinders: u32, // LCHSGeometry
  logicalHeads: u32,
  logicalSectors: u32,
  logicalSectorSize: u32,
  reserved: bytes(40),
});
