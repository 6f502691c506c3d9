// Bochs "growing" hard disk image: a redolog over nothing.
// References
// - [BOCHS] Bochs, iodev/hdimage/hdimage.h: redolog_header_t; hdimage.cc: class redolog_t
// - [QEMU]  qemu, block/bochs.c: the same layout, seen from outside
import { bytes, struct, u32, u64exact } from "../../core/struct.ts";

export const MAGIC = "Bochs Virtual HD Image";
export const TYPE = "Redolog";
export const SUBTYPE = "Growing";
export const VERSION_1 = 0x00010000;
export const VERSION_2 = 0x00020000;
export const SECTOR = 512;
export const ENTRY_BYTES = 4;
/** A catalog entry: nothing was written there. [BOCHS] REDOLOG_PAGE_NOT_ALLOCATED */
export const NOT_ALLOCATED = 0xffffffff;
/** [QEMU] bochs_open: "Catalog size too large", "Extent size too large" */
export const MOST_ENTRIES = 0x100000;
export const LARGEST_EXTENT = 8 << 20;

const common = {
  magic: bytes(32),
  type: bytes(16),
  subtype: bytes(16),
  version: u32,
  header: u32, // where the catalog begins
  catalog: u32, // entries
  bitmap: u32, // bytes: one bit for every sector of an extent
  extent: u32, // bytes
};
/** Version 2 put a time stamp, which only undoable redologs use, before the size. */
export const Header = struct("le", { ...common, timestamp: u32, disk: u64exact });
export const HeaderVersion1 = struct("le", { ...common, disk: u64exact });
/** The header is filled up with zeros to this. [BOCHS] STANDARD_HEADER_SIZE */
export const HEADER_BYTES = 512;

/** Up to the first NUL. */
export const textOf = (field: Uint8Array): string => String.fromCharCode(...field).replace(/\0.*$/s, "");
