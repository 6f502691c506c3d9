// Virtual Hard Disk v2.
// References
// - [MS-VHDX] Microsoft, "Virtual Hard Disk v2 (VHDX) File Format"; section numbers are of release 20180912 and later
// - [VHDX095] Microsoft, "VHDX Format Specification" version 0.95, a draft of which images may exist
// - [QEMU]    qemu, block/vhdx.c and vhdx-log.c: what is accepted and what is written
import { DiskError, type DiskErrorCode } from "../../core/errors.ts";
import { bytes, struct, u16, u32, u64exact } from "../../core/struct.ts";

export const KIB = 1 << 10;
export const MIB = 1 << 20;

/** [MS-VHDX] 2.2: the header section, 1 MiB of which the last 704 KiB are reserved. */
export const HEADER_PLACES = [64 * KIB, 128 * KIB] as const;
export const REGION_TABLE_PLACES = [192 * KIB, 256 * KIB] as const;
export const REGION_TABLE_BYTES = 64 * KIB;
export const HEADER_SECTION_BYTES = MIB;
/** Log, regions and blocks begin at multiples of this. */
export const ALIGNMENT = MIB;

/** [MS-VHDX] 2.2.1 */
export const FILE_SIGNATURE = "vhdxfile";
export const FileIdentifier = struct("le", { signature: bytes(8), creator: bytes(512) });

/** [MS-VHDX] 2.2.2; `checksum` covers 4 KiB. */
export const HEADER_SIGNATURE = 0x64616568; // "head"
export const HEADER_BYTES = 4 * KIB;
export const Header = struct("le", {
  signature: u32,
  checksum: u32,
  sequenceNumber: u64exact,
  fileWriteGuid: bytes(16),
  dataWriteGuid: bytes(16),
  logGuid: bytes(16),
  logVersion: u16,
  version: u16,
  logLength: u32,
  logOffset: u64exact,
});
export type HeaderFields = ReturnType<typeof Header.read>;

/** [MS-VHDX] 2.2.3; `checksum` covers 64 KiB. */
export const REGION_SIGNATURE = 0x69676572; // "regi"
export const RegionTable = struct("le", { signature: u32, checksum: u32, entryCount: u32, reserved: u32 });
export const RegionEntry = struct("le", { guid: bytes(16), fileOffset: u64exact, length: u32, required: u32 });
export const MOST_ENTRIES = 2047;
export const BAT_REGION = "2dc27766-f623-4200-9d64-115e9bfd4a08";
export const METADATA_REGION = "8b7ca206-4790-4b9a-b8fe-575f050f886e";

/** [MS-VHDX] 2.3.1 */
export const LOG_SECTOR = 4 * KIB;
export const ENTRY_SIGNATURE = 0x65676f6c; // "loge"
export const LogEntry = struct("le", {
  signature: u32,
  checksum: u32,
  entryLength: u32,
  tail: u32,
  sequenceNumber: u64exact,
  descriptorCount: u32,
  reserved: u32,
  logGuid: bytes(16),
  flushedFileOffset: u64exact,
  lastFileOffset: u64exact,
});
export const ZERO_SIGNATURE = 0x6f72657a; // "zero"
export const DESCRIPTOR_SIGNATURE = 0x63736564; // "desc"
/** Zero and data descriptors: the eight bytes `data` are ZeroLength in one and LeadingBytes in the other. */
export const LogDescriptor = struct("le", {
  signature: u32,
  trailingBytes: bytes(4),
  data: bytes(8),
  fileOffset: u64exact,
  sequenceNumber: u64exact,
});
export const SECTOR_SIGNATURE = 0x61746164; // "data"
export const DataSector = struct("le", { signature: u32, sequenceHigh: u32, data: bytes(4084), sequenceLow: u32 });

/** [MS-VHDX] 2.5: state in bits 0 to 2, position in MiB in bits 20 to 63. */
export const BAT_ENTRY_BYTES = 8;
export const BLOCK_NOT_PRESENT = 0;
export const BLOCK_UNDEFINED = 1;
export const BLOCK_ZERO = 2;
export const BLOCK_UNMAPPED = 3;
/** [VHDX095]: UNMAPPED; reserved since. */
export const BLOCK_UNMAPPED_095 = 5;
export const BLOCK_FULLY_PRESENT = 6;
export const BLOCK_PARTIALLY_PRESENT = 7;
export const BITMAP_PRESENT = 6;
/** [MS-VHDX] 2.4: a sector bitmap block describes this many sectors. */
export const BITMAP_BYTES = MIB;
export const SECTORS_PER_BITMAP = 2 ** 23;

/** [MS-VHDX] 2.6.1; "metadata". */
export const METADATA_SIGNATURE = 0x617461646174656dn;
export const METADATA_TABLE_BYTES = 64 * KIB;
export const MetadataTable = struct("le", { signature: u64exact, reserved: u16, entryCount: u16, reserved2: bytes(20) });
export const MetadataEntry = struct("le", { itemId: bytes(16), offset: u32, length: u32, flags: u32, reserved: u32 });
export const ITEM_IS_USER = 1;
export const ITEM_IS_VIRTUAL_DISK = 2;
export const ITEM_IS_REQUIRED = 4;
export const LONGEST_ITEM = MIB;

/** [MS-VHDX] 2.6.2: the items, in the order in which they are written. */
export const ITEMS = {
  fileParameters: "caa16737-fa36-4d43-b3b6-33f0aa44e76b",
  virtualDiskSize: "2fa54224-cd1b-4876-b211-5dbed83bf4b8",
  virtualDiskId: "beca12ab-b2e6-4523-93ef-c309e000c746",
  logicalSectorSize: "8141bf1d-a96f-4709-ba47-f233a8faab5f",
  physicalSectorSize: "cda348c7-445d-4471-9cc9-e9885251c556",
  parentLocator: "a8d35f2d-b30b-454d-abf7-d3d84834ab0c",
} as const;
export type ItemName = keyof typeof ITEMS;
export const LEAVE_BLOCKS_ALLOCATED = 1;
export const HAS_PARENT = 2;
export const SMALLEST_BLOCK = MIB;
export const LARGEST_BLOCK = 256 * MIB;
export const LARGEST_DISK = 64 * 2 ** 40;

/** [MS-VHDX] 2.6.2.6 */
export const LOCATOR_TYPE = "b04aefb7-d19e-4a81-b789-25b8e9445913";
export const ParentLocator = struct("le", { locatorType: bytes(16), reserved: u16, keyValueCount: u16 });
export const LocatorEntry = struct("le", { keyOffset: u32, valueOffset: u32, keyLength: u16, valueLength: u16 });

/** UTF-16 units of the parent's file name, as much as a file system of Windows takes. */
export const LONGEST_PARENT_NAME = 255;

/** Payload blocks per sector bitmap block: a power of two from 16 to 32768. */
export const chunkRatio = (sectorBytes: number, blockBytes: number): number => (SECTORS_PER_BITMAP * sectorBytes) / blockBytes;

/** Text without a terminator, as locators and the creator have it. */
export function utf16Bytes(text: string): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(text.length * 2);
  for (let i = 0; i < text.length; i++) {
    out[i * 2] = text.charCodeAt(i) & 0xff;
    out[i * 2 + 1] = text.charCodeAt(i) >> 8;
  }
  return out;
}
export function utf16Text(from: Uint8Array): string {
  let text = "";
  for (let i = 0; i + 1 < from.length; i += 2) text += String.fromCharCode((from[i] as number) | ((from[i + 1] as number) << 8));
  return text;
}

export function problem(code: DiskErrorCode, file: string, at: number, text: string): DiskError {
  return new DiskError(code, `vhdx: ${text}`, { file, at });
}

export const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
