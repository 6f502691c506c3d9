import type { Note } from "../core/model.ts";
import { crc32 } from "./crc32.ts";
import { entriesPlace, type FoundHeader, guidText, type HeaderFields, headerAt, partitionsOf, SECTOR_SIZES } from "./gpt-layout.ts";
import { bootRecord, PROTECTIVE } from "./mbr.ts";
import { type Partition, type PartitionTable, placementNotes, type ReadBytes, warning } from "./model.ts";

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

/** That the disk ends before the table says, by its first copy alone; null: it does not, or there is no sound GPT. */
export async function missingEnd(read: ReadBytes, diskSize: number): Promise<Note | null> {
  for (const sector of SECTOR_SIZES) {
    const primary = await headerAt(read, sector, sector, diskSize);
    if (primary !== null) return endNote(primary, sector, diskSize);
  }
  return null;
}

/** Section 5.3.2: the alternate header lies in the last block of the disk. */
function endNote({ fields, crcRight }: FoundHeader, sector: number, diskSize: number): Note | null {
  const stated = (Number(fields.alternateLba) + 1) * sector;
  if (!crcRight || stated <= diskSize) return null;
  return warning(
    `The backup GPT at the end of the disk is missing: the table was made for a disk of ${stated} bytes, but this one has ${diskSize}: it was cut off.`,
  );
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
    else if (backup === null)
      notes.push(
        endNote(primary, sector, diskSize) ?? warning("The backup GPT at the end of the disk is missing: the disk may have been cut off."),
      );
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
  fields: HeaderFields,
  notes: Note[],
): Promise<readonly Partition[]> {
  const place = entriesPlace(fields, sector, diskSize);
  if (place === null) {
    const at = Number(fields.entriesLba) * sector;
    notes.push(
      warning(
        `The GPT names ${fields.entryCount} entries of ${fields.entrySize} bytes at byte ${at}, which cannot be right: no partition is listed.`,
      ),
    );
    return [];
  }
  const table = await read(place.start, place.length);
  if (crc32(table) !== fields.entriesCrc) notes.push(warning("The checksum of the GPT's partition entries is wrong."));
  const listed = partitionsOf(table, fields, sector);
  notes.push(...listed.notes);
  return listed.partitions;
}
