// GUID partition table: UEFI 2.10 section 5.3 (https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html).
import type { Note } from "../core/model.ts";
import { bytes, struct, u32, u64exact } from "../core/struct.ts";
import { crc32 } from "./crc32.ts";
import { bootRecord, PROTECTIVE } from "./mbr.ts";
import { type Partition, type PartitionTable, placementNotes, type ReadBytes, warning } from "./model.ts";
import { gptTypeName } from "./types.ts";

const SIGNATURE = 0x5452415020494645n; // "EFI PART"
const SECTOR_SIZES = [512, 4096] as const;
const MOST_TABLE_BYTES = 1 << 20;

const Header = struct("le", {
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

interface FoundHeader {
  readonly at: number;
  readonly fields: ReturnType<typeof Header.read>;
  readonly crcRight: boolean;
}

/** The partitions of a GPT, from its backup when the first copy is damaged; null when the disk has neither. */
export async function readGpt(read: ReadBytes, diskSize: number): Promise<PartitionTable | null> {
  for (const sector of SECTOR_SIZES) {
    const primary = await headerAt(read, sector, sector, diskSize);
    if (primary !== null) return readTable(read, diskSize, sector, primary);
  }
  for (const sector of SECTOR_SIZES) {
    const backup = await headerAt(read, diskSize - sector, sector, diskSize);
    if (backup?.crcRight) return readTable(read, diskSize, sector, null, backup);
  }
  return null;
}

async function headerAt(read: ReadBytes, at: number, sector: number, diskSize: number): Promise<FoundHeader | null> {
  if (!Number.isSafeInteger(at) || at < sector || at + sector > diskSize) return null;
  const block = await read(at, sector);
  const fields = Header.read(block);
  if (fields.signature !== SIGNATURE) return null;
  if (fields.headerSize < Header.bytes || fields.headerSize > sector) return { at, fields, crcRight: false };
  const covered = new Uint8Array(block.subarray(0, fields.headerSize));
  covered.fill(0, Header.offsetOf("headerCrc"), Header.offsetOf("headerCrc") + 4);
  return { at, fields, crcRight: crc32(covered) === fields.headerCrc && fields.myLba === BigInt(at / sector) };
}

async function readTable(
  read: ReadBytes,
  diskSize: number,
  sector: number,
  primary: FoundHeader | null,
  lastSector?: FoundHeader,
): Promise<PartitionTable> {
  const notes: Note[] = [];
  const end = diskSize - sector;
  const backup = lastSector ?? (await headerAt(read, end, sector, diskSize));
  if (primary === null) notes.push(warning("The GPT at the start of the disk is missing; its backup at the end is used."));
  else {
    if (!primary.crcRight) notes.push(warning("The GPT header's checksum is wrong."));
    const elsewhere = Number(primary.fields.alternateLba) * sector;
    if (backup === null && elsewhere !== end && (await headerAt(read, elsewhere, sector, diskSize)) !== null)
      notes.push(warning(`The backup GPT is at byte ${elsewhere}, not at the end of the disk: the disk was enlarged.`));
    else if (backup === null) notes.push(warning("The backup GPT at the end of the disk is missing: the disk may have been cut off."));
    else if (!backup.crcRight) notes.push(warning("The backup GPT header's checksum is wrong."));
  }
  notes.push(...(await protectiveNotes(read)));
  const candidates = [primary, backup].filter((header) => header !== null).toSorted((a, b) => Number(b.crcRight) - Number(a.crcRight));
  const used = candidates[0] as FoundHeader;
  if (primary !== null && used !== primary) notes.push(warning("The backup GPT is used."));
  const partitions = await readEntries(read, diskSize, sector, used.fields, notes);
  notes.push(...placementNotes(partitions, diskSize));
  return { kind: "gpt", sector, id: guidText(used.fields.diskGuid), partitions, notes };
}

/** Section 5.2.3: one entry of type 0xEE from sector 1 keeps older programs away. */
async function protectiveNotes(read: ReadBytes): Promise<Note[]> {
  const entries = bootRecord(await read(0, 512))?.filter(({ type }) => type !== 0) ?? [];
  const protective = entries.find(({ type }) => type === PROTECTIVE);
  if (protective === undefined) return [warning("There is no protective MBR: older programs may take the disk for empty.")];
  if (entries.length > 1) return [{ text: "The MBR lists partitions beside the GPT (hybrid MBR).", severity: "info" }];
  return protective.start === 1 ? [] : [warning(`The protective MBR begins at sector ${protective.start}, expected 1.`)];
}

async function readEntries(
  read: ReadBytes,
  diskSize: number,
  sector: number,
  { entriesLba, entryCount, entrySize, entriesCrc }: FoundHeader["fields"],
  notes: Note[],
): Promise<Partition[]> {
  const at = Number(entriesLba) * sector;
  const length = entryCount * entrySize;
  if (entrySize < Entry.bytes || entrySize % 8 !== 0 || length > MOST_TABLE_BYTES || at < sector || at + length > diskSize) {
    notes.push(
      warning(`The GPT names ${entryCount} entries of ${entrySize} bytes at byte ${at}, which cannot be right: no partition is listed.`),
    );
    return [];
  }
  const table = await read(at, length);
  if (crc32(table) !== entriesCrc) notes.push(warning("The checksum of the GPT's partition entries is wrong."));
  const partitions: Partition[] = [];
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
  return partitions;
}

const nameText = (name: Uint8Array): string => new TextDecoder("utf-16le").decode(name).split("\0", 1)[0] as string;

/** Section 5.3.1: the first three fields of a GUID are little-endian. */
function guidText(id: Uint8Array): string {
  const hex = (...places: number[]) => places.map((i) => (id[i] as number).toString(16).padStart(2, "0")).join("");
  return [hex(3, 2, 1, 0), hex(5, 4), hex(7, 6), hex(8, 9), hex(10, 11, 12, 13, 14, 15)].join("-");
}
