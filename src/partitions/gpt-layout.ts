// GUID partition table: UEFI 2.10 section 5.3 (https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html).
import { bytes, struct, u32, u64exact } from "../core/struct.ts";
import { crc32 } from "./crc32.ts";
import { type Partition, type ReadBytes, warning } from "./model.ts";
import { gptTypeName } from "./types.ts";

const SIGNATURE = 0x5452415020494645n; // "EFI PART"
/** No header says how large its sectors are; its place does. */
export const SECTOR_SIZES = [512, 4096] as const;
const MOST_TABLE_BYTES = 1 << 20;

/** Table 5.5. */
export const Header = struct("le", {
  signature: u64exact,
  revision: u32,
  headerSize: u32,
  headerCrc: u32,
  reserved: u32,
  myLba: u64exact,
  alternateLba: u64exact,
  firstUsableLba: u64exact,
  lastUsableLba: u64exact,
  diskGuid: bytes(16),
  entriesLba: u64exact,
  entryCount: u32,
  entrySize: u32,
  entriesCrc: u32,
});
export type HeaderFields = ReturnType<typeof Header.read>;

/** Table 5.6. */
const Entry = struct("le", {
  type: bytes(16),
  id: bytes(16),
  firstLba: u64exact,
  lastLba: u64exact,
  attributes: u64exact,
  name: bytes(72),
});
/** Section 5.3.3, table 5.8; bits 60 and 62 as Microsoft defines them for basic data. */
const ATTRIBUTES: readonly (readonly [bit: bigint, flag: string])[] = [
  [0n, "required"],
  [1n, "no block IO"],
  [2n, "legacy boot"],
  [60n, "read-only"],
  [62n, "hidden"],
];

export interface FoundHeader {
  /** Byte on the disk. */
  readonly at: number;
  /** The whole sector. */
  readonly block: Uint8Array;
  readonly fields: HeaderFields;
  /** The checksum is right, and the header lies where it says. */
  readonly crcRight: boolean;
}

/** The GPT header at byte `at`; null: none there, or outside the disk. */
export async function headerAt(read: ReadBytes, at: number, sector: number, diskSize: number): Promise<FoundHeader | null> {
  if (!Number.isSafeInteger(at) || at < sector || at + sector > diskSize) return null;
  const block = await read(at, sector);
  const fields = Header.read(block);
  if (fields.signature !== SIGNATURE) return null;
  if (fields.headerSize < Header.bytes || fields.headerSize > sector) return { at, block, fields, crcRight: false };
  return { at, block, fields, crcRight: headerCrc(block, fields.headerSize) === fields.headerCrc && fields.myLba === BigInt(at / sector) };
}

/** Section 5.3.2: over `headerSize` bytes, with the checksum itself taken for zero. */
export function headerCrc(block: Uint8Array, headerSize: number): number {
  const covered = new Uint8Array(block.subarray(0, headerSize));
  covered.fill(0, Header.offsetOf("headerCrc"), Header.offsetOf("headerCrc") + 4);
  return crc32(covered);
}

/** Where a header says that its entries lie, in bytes; null: it cannot be so. */
export function entriesPlace(fields: HeaderFields, sector: number, diskSize: number): { start: number; length: number } | null {
  const { entriesLba, entryCount, entrySize } = fields;
  const start = Number(entriesLba) * sector;
  const length = entryCount * entrySize;
  const isPossible = entrySize >= Entry.bytes && entrySize % 8 === 0 && length <= MOST_TABLE_BYTES;
  return isPossible && start >= sector && start + length <= diskSize ? { start, length } : null;
}

/** The partitions of a table's entries, and remarks on entries that cannot be right. */
export function partitionsOf(table: Uint8Array, { entryCount, entrySize }: HeaderFields, sector: number) {
  const partitions: Partition[] = [];
  const notes = [];
  for (let i = 0; i < entryCount; i++) {
    const entry = Entry.read(table, i * entrySize);
    if (entry.type.every((byte) => byte === 0)) continue;
    const start = Number(entry.firstLba) * sector;
    const stop = (Number(entry.lastLba) + 1) * sector;
    if (!Number.isSafeInteger(stop) || stop <= start) {
      notes.push(warning(`Partition ${i + 1} reaches from sector ${entry.firstLba} to ${entry.lastLba}, which cannot be right.`));
      continue;
    }
    const typeId = guidText(entry.type);
    partitions.push({
      number: i + 1,
      start,
      length: stop - start,
      type: gptTypeName(typeId),
      typeId,
      name: nameText(entry.name),
      flags: ATTRIBUTES.filter(([bit]) => ((entry.attributes >> bit) & 1n) === 1n).map(([, flag]) => flag),
    });
  }
  return { partitions, notes };
}

const nameText = (name: Uint8Array): string => new TextDecoder("utf-16le").decode(name).split("\0", 1)[0] as string;

/** Section 5.3.1: the first three fields of a GUID are little-endian. */
export function guidText(id: Uint8Array): string {
  const hex = (...places: number[]) => places.map((i) => (id[i] as number).toString(16).padStart(2, "0")).join("");
  return [hex(3, 2, 1, 0), hex(5, 4), hex(7, 6), hex(8, 9), hex(10, 11, 12, 13, 14, 15)].join("-");
}
