// A GPT on a disk of another size: UEFI 2.10 section 5.3.2 (both headers), 5.3.3 (both copies of the entries).
import { DiskError, unlessDamaged } from "../core/errors.ts";
import type { Range } from "../core/model.ts";
import type { Patch } from "../core/overlay.ts";
import { crc32 } from "./crc32.ts";
import {
  entriesPlace,
  type FoundHeader,
  guidText,
  Header,
  type HeaderFields,
  headerAt,
  headerCrc,
  partitionsOf,
  SECTOR_SIZES,
} from "./gpt-layout.ts";
import { type Partition, placementNotes, type ReadBytes } from "./model.ts";
import { damagedEntry, hasOverlap, hybridRanges, isProtective, listsNothing, protectiveMbr } from "./protective-mbr.ts";

const BOOT_BYTES = 512;
/** More in front of the first usable sector than this is not looked at. */
const MOST_BLANK = 1 << 20;

/** A GPT of which at least one copy is whole. Positions are bytes, unless a name says LBA. */
export interface SoundGpt {
  readonly sector: number;
  readonly partitions: readonly Partition[];
  /** End of the last place in use in front of the backup: by a partition, or by the primary copy and one sector to be used. */
  readonly end: number;
  /** Why no place behind the partitions can be taken for free, if so. */
  readonly doubt: string | null;
  /** What the backup takes at the end of the disk. */
  readonly backupBytes: number;
  /** What of the disk was damaged or misplaced, as sentences; the table of another size has it right. */
  readonly repairs: readonly string[];
  /** What is not as it should be and stays so, as sentences: nobody but the user can say what is meant. */
  readonly remarks: readonly string[];
  /** Where this table's backup lies now: bytes that are of no use elsewhere. Ascending, none overlaps another. */
  readonly backups: readonly Range[];
  /** What partitions take, those of a hybrid MBR included. */
  readonly taken: readonly Range[];
  /** Sectors of the disk that the table was made for, as far as they are there. */
  readonly sectors: number;
  /** The header's sector and fields as the primary has them, the entries, and the boot sector. */
  readonly block: Uint8Array;
  readonly fields: HeaderFields;
  readonly entries: Uint8Array;
  readonly boot: Uint8Array;
}

interface Copy {
  readonly header: FoundHeader;
  /** Null: no place, or the checksum is wrong. */
  readonly entries: Uint8Array | null;
}

/**
 * The disk's GPT, for moving it. Null: the disk has none, or only a backup that an earlier table may have left behind. A `corrupt`
 * DiskError when there is one, but no whole copy of it.
 */
export async function soundGpt(read: ReadBytes, diskSize: number): Promise<SoundGpt | null> {
  if (diskSize < BOOT_BYTES) return null;
  const boot = await read(0, BOOT_BYTES);
  let damaged = false;
  for (const sector of SECTOR_SIZES) {
    const primary = await copyAt(read, sector, sector, diskSize);
    const end = Math.floor(diskSize / sector) * sector - sector;
    // A damaged header may name the place still: what is there must prove itself.
    const stated = primary === null ? end : Number(primary.header.fields.alternateLba) * sector;
    const backups: Copy[] = [];
    for (const at of new Set([stated, end])) {
      const copy = at === sector ? null : await copyAt(read, at, sector, diskSize);
      if (copy?.header.crcRight) backups.push(copy);
    }
    if (primary === null && backups.length === 0) continue;
    if (primary === null && !isProtective(boot) && !(await isBlank(read, sector, backups[0] as Copy))) continue;
    const found = chosen(primary, backups);
    if (found !== null) return describe(found, primary, backups, { sector, boot, diskSize, end });
    damaged = true;
  }
  if (damaged) throw new DiskError("corrupt", "The disk's GPT is damaged: neither its first copy nor the backup at the end is whole");
  return null;
}

/** Where the image is damaged, there is no copy; the other one may do. */
async function copyAt(read: ReadBytes, at: number, sector: number, diskSize: number): Promise<Copy | null> {
  const header = await unlessDamaged(headerAt(read, at, sector, diskSize));
  if (header === null) return null;
  const place = header.crcRight ? entriesPlace(header.fields, sector, diskSize) : null;
  const entries = place && (await unlessDamaged(read(place.start, place.length)));
  return { header, entries: entries && crc32(entries) === header.fields.entriesCrc ? entries : null };
}

/** Nothing lies where the first copy was: it was wiped, and no file system was made over it. */
async function isBlank(read: ReadBytes, sector: number, { header: { fields } }: Copy): Promise<boolean> {
  const end = Number(fields.firstUsableLba) * sector;
  if (end > MOST_BLANK) return false;
  return (await read(0, Math.min(end, Number(fields.myLba) * sector))).every((byte) => byte === 0);
}

/** The first copy counts, unless only the backup is whole (section 5.3.2). */
function chosen(primary: Copy | null, backups: readonly Copy[]): { header: FoundHeader; entries: Uint8Array } | null {
  const whole = [primary, ...backups].find((copy) => copy?.entries);
  if (primary === null || !primary.header.crcRight || primary.entries !== null)
    return whole?.entries ? { ...whole, entries: whole.entries } : null;
  const { entriesCrc } = primary.header.fields;
  const entries = backups.find((copy) => copy.entries !== null && copy.header.fields.entriesCrc === entriesCrc)?.entries;
  return entries ? { header: primary.header, entries } : null;
}

function describe(
  { header, entries }: { readonly header: FoundHeader; readonly entries: Uint8Array },
  primary: Copy | null,
  backups: readonly Copy[],
  { sector, boot, diskSize, end }: { sector: number; boot: Uint8Array; diskSize: number; end: number },
): SoundGpt {
  const entrySectors = Math.ceil(entries.length / sector);
  const isPrimary = header === primary?.header;
  const fields: HeaderFields = isPrimary ? header.fields : { ...header.fields, myLba: 1n, entriesLba: 2n };
  const first = Number(fields.firstUsableLba);
  if (fields.entriesLba < 2n || Number(fields.entriesLba) + entrySectors > first)
    throw new DiskError(
      "unsupported",
      `The GPT's entries lie at sector ${fields.entriesLba}, not between its header and its first usable sector (${first}): such a table is not moved here`,
      { guest: { start: sector, length: sector } },
    );
  if (first * sector >= diskSize)
    throw new DiskError("corrupt", `The GPT's first usable sector (${first}) lies past the end of the disk: such a table is not moved`, {
      guest: { start: sector, length: sector },
    });
  const { partitions, notes } = partitionsOf(entries, fields, sector);
  const hybrid = hybridRanges(boot).map(({ start, length }) => ({ start: start * sector, length: length * sector }));
  const stated = Number(isPrimary ? fields.alternateLba : header.fields.myLba) + 1;
  const repairs = repairsOf(primary, backups, { isPrimary, end, guid: fields.diskGuid });
  if (listsNothing(boot)) repairs.push("The protective MBR was missing; it is made again.");
  else if (damagedEntry(boot) !== null) repairs.push("The protective MBR was damaged; it is made again.");
  return {
    sector,
    partitions,
    end: endOf(partitions, Math.min(endOf(hybrid, (first + 1) * sector), diskSize)),
    doubt: notes[0]?.text ?? null,
    backupBytes: (entrySectors + 1) * sector,
    repairs,
    remarks: remarksOn(partitions, first * sector, { boot, hybrid }),
    backups: placesOf(backups, fields.diskGuid, sector),
    taken: [...partitions, ...hybrid],
    sectors: Math.min(stated, Math.floor(diskSize / sector)),
    block: header.block,
    fields,
    entries,
    boot,
  };
}

const endOf = (ranges: readonly Range[], least: number): number =>
  ranges.reduce((most, { start, length }) => Math.max(most, start + length), least);

function repairsOf(
  primary: Copy | null,
  backups: readonly Copy[],
  { isPrimary, end, guid }: { isPrimary: boolean; end: number; guid: Uint8Array },
): string[] {
  const repairs: string[] = [];
  if (primary === null) repairs.push("The GPT at the start of the disk was missing; it is made again from its backup.");
  else if (!isPrimary || primary.entries === null)
    repairs.push("The GPT at the start of the disk was damaged; it is made again from its backup.");
  if (!isPrimary) return repairs;
  const own = backups.find(({ header }) => sameId(header.fields.diskGuid, guid));
  if (own === undefined) repairs.push("The backup GPT was missing or damaged; it is made again from the first copy.");
  else if (own.entries === null) repairs.push("The entries of the backup GPT were damaged; they are made again from the first copy.");
  else if (own.header.at !== end) repairs.push(`The backup GPT lay at byte ${own.header.at}, not at the end of the disk.`);
  return repairs;
}

function remarksOn(
  partitions: readonly Partition[],
  first: number,
  { boot, hybrid }: { readonly boot: Uint8Array; readonly hybrid: readonly Range[] },
): string[] {
  // Partitions that leave the disk are told by who asks for a size.
  const remarks = placementNotes(partitions, Number.POSITIVE_INFINITY).map(({ text }) => text);
  for (const { number, start } of partitions)
    if (start < first) remarks.push(`Partition ${number} begins at byte ${start}, in front of the first usable one (${first}).`);
  if (hasOverlap(boot)) remarks.push("Entries of the MBR overlap.");
  for (const { start, length } of hybrid)
    if (!partitions.some((partition) => partition.start === start && partition.length === length))
      remarks.push(
        `The MBR lists a partition at byte ${start} of ${length} bytes that the GPT does not: which of them is right is not known.`,
      );
  return remarks;
}

const sameId = (a: Uint8Array, b: Uint8Array): boolean => guidText(a) === guidText(b);

function placesOf(backups: readonly Copy[], guid: Uint8Array, sector: number): Range[] {
  const places = backups
    .filter(({ header }) => sameId(header.fields.diskGuid, guid))
    .flatMap(({ header, entries }) => [
      { start: header.at, length: sector },
      ...(entries === null ? [] : [{ start: Number(header.fields.entriesLba) * sector, length: entries.length }]),
    ])
    .toSorted((a, b) => a.start - b.start);
  let reached = 0;
  return places.flatMap(({ start, length }) => {
    const from = Math.max(start, reached);
    reached = Math.max(reached, start + length);
    return from < reached ? [{ start: from, length: reached - from }] : [];
  });
}

/**
 * What a disk of `size` bytes (a multiple of the table's sector size, and no less than `end` and the backup take) holds instead of what
 * it has now, ascending; the patches may touch. Zeros where the backup was, unless a partition lies there.
 */
export function resizedGpt(gpt: SoundGpt, size: number): Patch[] {
  const { sector, fields, entries } = gpt;
  const last = size / sector - 1;
  const backupEntries = last + 1 - gpt.backupBytes / sector;
  const shared = { ...fields, lastUsableLba: BigInt(backupEntries - 1) };
  const primary = headerBlock(gpt, { ...shared, alternateLba: BigInt(last) });
  const backup = headerBlock(gpt, { ...shared, myLba: BigInt(last), alternateLba: 1n, entriesLba: BigInt(backupEntries) });
  const patchOf = (start: number, bytes: Uint8Array): Patch => ({ start, length: bytes.length, bytes });
  const atEnd = new Uint8Array(gpt.backupBytes);
  atEnd.set(entries);
  atEnd.set(backup, atEnd.length - sector);
  const patches = [
    patchOf(0, protectiveMbr(gpt.boot, gpt.sectors, last + 1)),
    patchOf(sector, primary),
    patchOf(Number(fields.entriesLba) * sector, entries),
    patchOf(backupEntries * sector, atEnd),
  ];
  for (const place of gpt.backups) {
    const start = Math.max(place.start, Number(fields.firstUsableLba) * sector);
    const end = Math.min(place.start + place.length, backupEntries * sector);
    const isTaken = gpt.taken.some((range) => range.start < end && range.start + range.length > start);
    if (start < end && !isTaken) patches.push({ start, length: end - start, bytes: null });
  }
  return patches.toSorted((a, b) => a.start - b.start);
}

/** The copy's sector with other fields; what lies behind the known fields stays. */
function headerBlock({ block }: SoundGpt, fields: HeaderFields): Uint8Array {
  const out = new Uint8Array(block);
  out.set(Header.write(fields));
  new DataView(out.buffer).setUint32(Header.offsetOf("headerCrc"), headerCrc(out, fields.headerSize), true);
  return out;
}
