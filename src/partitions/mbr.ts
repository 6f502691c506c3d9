// Master boot record: https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html section 5.2.1;
// extended partitions: each extended boot record holds one logical partition and the way to the next record.
import type { Note } from "../core/model.ts";
import { struct, u8, u32 } from "../core/struct.ts";
import { type Partition, type PartitionTable, placementNotes, type ReadBytes, warning } from "./model.ts";
import { isExtended, mbrTypeId, mbrTypeName } from "./types.ts";

const SECTOR = 512;
export const SIGNATURE_AT = 510;
export const ENTRIES_AT = 446;
const DISK_SIGNATURE_AT = 440;
export const PROTECTIVE = 0xee;
const UNUSED = mbrTypeId(0);
/** Logical partitions that are followed; Linux itself stops at 60. */
const MOST_LOGICAL = 128;

/** Section 5.2.1, table 5.2. */
export const Entry = struct("le", {
  status: u8,
  firstHead: u8,
  firstSector: u8,
  firstCylinder: u8,
  type: u8,
  lastHead: u8,
  lastSector: u8,
  lastCylinder: u8,
  start: u32,
  count: u32,
});

/** Positions in sectors. */
export interface MbrEntry {
  readonly active: boolean;
  readonly type: number;
  readonly start: number;
  readonly count: number;
}

export interface MbrTable extends PartitionTable {
  /** Why logical partitions may be missing from the list, as a sentence; null: nothing says so. */
  readonly doubt: string | null;
  /** Entries of type 0, which stands for none, that have a length all the same: Linux takes them for partitions. */
  readonly unused: readonly Partition[];
}

/** The four entries of a boot record; null when the sector is none. */
export function bootRecord(sector: Uint8Array): readonly MbrEntry[] | null {
  if (sector.length < SECTOR || sector[SIGNATURE_AT] !== 0x55 || sector[SIGNATURE_AT + 1] !== 0xaa) return null;
  const entries = [0, 1, 2, 3].map((i) => Entry.read(sector, ENTRIES_AT + i * Entry.bytes));
  if (entries.some(({ status }) => (status & 0x7f) !== 0)) return null;
  return entries.map(({ status, type, start, count }) => ({ active: status === 0x80, type, start, count }));
}

/** A file system's boot sector ends in the same two bytes; its BIOS parameter block tells it apart. */
function hasParameterBlock(sector: Uint8Array): boolean {
  const jump = sector[0] === 0xe9 || (sector[0] === 0xeb && sector[2] === 0x90);
  const bytesPerSector = (sector[11] as number) | ((sector[12] as number) << 8);
  return jump && [512, 1024, 2048, 4096].includes(bytesPerSector);
}

/** The partitions of an MBR, logical ones included; null when the disk has none. */
export async function readMbr(read: ReadBytes, diskSize: number): Promise<MbrTable | null> {
  if (diskSize < SECTOR) return null;
  const first = await read(0, SECTOR);
  const entries = bootRecord(first);
  if (entries === null) return null;
  const inUse = entries.filter(({ type, count }) => type !== 0 && count > 0);
  if (hasParameterBlock(first) && !inUse.some(({ start }) => start > 0 && start * SECTOR < diskSize)) return null;
  const sector = await sectorSize(read, diskSize, inUse);
  const notes: Note[] = [];
  const listed: Partition[] = [];
  entries.forEach((entry, i) => {
    if (entry.count > 0) listed.push(partitionOf(entry, i + 1, 0, sector));
  });
  let doubt: string | null = null;
  for (const entry of inUse) {
    if (!isExtended(entry.type)) continue;
    const logical = await readLogical(read, diskSize, entry, sector, listed);
    listed.push(...logical.partitions);
    doubt ??= logical.doubt;
    if (logical.doubt !== null) notes.push(warning(logical.doubt));
  }
  const unused = listed.filter(({ typeId }) => typeId === UNUSED);
  const partitions = listed.filter(({ typeId }) => typeId !== UNUSED);
  if (inUse.some(({ type }) => type === PROTECTIVE)) notes.push(warning("The boot record announces a GPT, but there is none on the disk."));
  notes.push(...placementNotes(partitions, diskSize));
  const id = new DataView(first.buffer, first.byteOffset).getUint32(DISK_SIGNATURE_AT, true);
  return { kind: "mbr", sector, id: `0x${id.toString(16).padStart(8, "0")}`, partitions, notes, doubt, unused };
}

function partitionOf(entry: MbrEntry, number: number, base: number, sector: number): Partition {
  const flags: string[] = [];
  if (entry.active) flags.push("active");
  if (number > 4) flags.push("logical");
  if (isExtended(entry.type)) flags.push("extended");
  return {
    number,
    start: (base + entry.start) * sector,
    length: entry.count * sector,
    type: mbrTypeName(entry.type),
    typeId: mbrTypeId(entry.type),
    name: "",
    flags,
  };
}

/** An MBR does not say how large its sectors are; only the place of an extended boot record can show it. */
async function sectorSize(read: ReadBytes, diskSize: number, entries: readonly MbrEntry[]): Promise<number> {
  const extended = entries.find(({ type }) => isExtended(type));
  if (extended === undefined) return SECTOR;
  const isRecord = async (at: number) => at + SECTOR <= diskSize && bootRecord(await read(at, SECTOR)) !== null;
  return !(await isRecord(extended.start * SECTOR)) && (await isRecord(extended.start * 4096)) ? 4096 : SECTOR;
}

/**
 * Follows the chain of extended boot records as Linux does (block/partitions/msdos.c): a logical partition counts from its record, a link
 * from the extended partition's start. Nothing keeps either inside the extended partition.
 */
async function readLogical(
  read: ReadBytes,
  diskSize: number,
  extended: MbrEntry,
  sector: number,
  before: readonly Partition[],
): Promise<{ readonly partitions: readonly Partition[]; readonly doubt: string | null }> {
  const partitions: Partition[] = [];
  const seen = new Set<number>();
  let number = before.reduce((most, partition) => Math.max(most, partition.number), 4);
  let [record, count] = [extended.start, extended.count];
  for (;;) {
    const at = record * sector;
    const broken = (doubt: string) => ({ partitions, doubt });
    if (seen.has(record)) return broken(`The chain of logical partitions runs in a circle at byte ${at}.`);
    if (seen.size >= MOST_LOGICAL) return broken(`There are more than ${MOST_LOGICAL} logical partitions; the rest is not listed.`);
    if (at + SECTOR > diskSize) return broken(`The chain of logical partitions leads to byte ${at}, past the end of the disk.`);
    seen.add(record);
    const entries = bootRecord(await read(at, SECTOR));
    if (entries === null) return broken(`There is no extended boot record at byte ${at}: logical partitions may be missing.`);
    const found = entries.filter((entry, i) => {
      if (entry.count === 0 || isExtended(entry.type)) return false;
      // Some programs leave other things in the two entries that no standard uses.
      const end = entry.start + entry.count;
      const isInside = end <= count && record + end <= extended.start + extended.count;
      return i < 2 || isInside || entries.slice(0, i).every((before) => before.count === 0 || isExtended(before.type));
    });
    for (const entry of found) partitions.push(partitionOf(entry, ++number, record, sector));
    const next = entries.find(({ type, start, count }) => isExtended(type) && (count > 0 || start > 0));
    if (next === undefined) return { partitions, doubt: null };
    [record, count] = [extended.start + next.start, next.count];
  }
}
