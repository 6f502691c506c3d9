// Parallels expanding image ("hdd", "hds"; also OpenVZ's ploop), and the descriptor of a bundle.
// References
// - [IMAGE]  qemu, docs/interop/parallels.rst: header, block allocation table (BAT), format extension
// - [BUNDLE] qemu, docs/interop/prl-xml.rst: DiskDescriptor.xml
import { bytes, struct, u32, u64exact } from "../../core/struct.ts";

/** BAT entries count sectors. [IMAGE] Header, magic */
export const MAGIC_SECTORS = "WithoutFreeSpace";
/** BAT entries count clusters; 64-bit disk size. */
export const MAGIC_CLUSTERS = "WithouFreSpacExt";
export const VERSION = 2;
export const SECTOR = 512;
export const ENTRY_BYTES = 4;
/** The image was being written to and has not been closed. [IMAGE] Header, in_use */
export const IN_USE = 0x746f6e59;
export const CLOSED = 0x312e3276;
/** [IMAGE] Header, flags, bit 0 */
export const FLAG_EMPTY = 1;
/** 2 GiB, as qemu has it; the usual clusters have 1 MiB. */
export const MOST_TRACKS = 1 << 22;
/** Entries that qemu reads ("Catalog too large" beyond). */
export const MOST_ENTRIES = 0x1fffffff;

export const Header = struct("le", {
  magic: bytes(16),
  version: u32,
  heads: u32,
  cylinders: u32,
  tracks: u32, // cluster size in sectors
  nb_bat_entries: u32,
  nb_sectors: u64exact,
  in_use: u32,
  data_off: u32, // sectors
  flags: u32,
  ext_off: u64exact, // sectors
});

/** [IMAGE] Format Extension; the MD5 sum that follows the magic is of the rest of the cluster. */
export const ExtensionHeader = struct("le", { magic: u64exact, checksum: bytes(16) });
export const EXTENSION_MAGIC = 0xab234cef23dcea87n;
export const Feature = struct("le", { magic: u64exact, flags: u64exact, data_size: u32, unused: u32 });
export const FEATURE_END = 0n;
export const FEATURE_DIRTY_BITMAP = 0x20385fae252cb34an;
/** [IMAGE] Dirty bitmaps feature: `l1_size` entries of 64 bits follow. */
export const DirtyBitmap = struct("le", { size: u64exact, id: bytes(16), granularity: u32, l1_size: u32 });

/** The parent of a root image. [BUNDLE] Snapshots element */
export const NO_PARENT = "{00000000-0000-0000-0000-000000000000}";
/** The active image where the descriptor has no TopGUID. */
export const DEFAULT_TOP = "{5fbaabe3-6958-40ff-92a7-860e329aab41}";
export const DESCRIPTOR_NAME = "DiskDescriptor.xml";

export const textOf = (raw: Uint8Array): string => String.fromCharCode(...raw);
