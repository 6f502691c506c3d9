import { DiskError } from "../../core/errors.ts";
import type { ByteSource } from "../../core/model.ts";
import { firstAtLeast } from "../../core/sorted.ts";
import { GTE_ZEROED, MOST_DIRECTORY_BYTES, SECTOR, type SparseHeader, tableSpan } from "./spec.ts";

/** The grain directory of one sparse extent, read whole and validated: every table lies in the file and apart from all other metadata. */
export interface Directory {
  readonly at: number;
  /** Number of entries. */
  readonly count: number;
  /** Bytes of a grain table's entry. */
  readonly entryBytes: 4 | 8;
  /** Grains lie at or past this byte: past the header, the descriptor, the directory and `overHead`. */
  readonly dataStart: number;
  kindOf(index: number): "hole" | "zero" | "table";
  tableAt(index: number): number;
  tableEnd(index: number): number;
  /** The last table of a disk may be shorter. */
  entriesIn(index: number): number;
  /** The first byte of a table or directory at or past `dataStart` inside a range of the file; infinity when it holds none. */
  firstMetadataIn(start: number, end: number): number;
}

interface Region {
  readonly what: string;
  readonly start: number;
  readonly end: number;
}

/** Reads one of the two directories. `corrupt` errors name the field, or the entry by its place in the file. */
export async function readDirectory(
  source: ByteSource,
  header: SparseHeader,
  which: "directory" | "redundant",
  budget: { directoryBytes: number },
): Promise<Directory> {
  const { name: file, size } = source;
  const count = Math.ceil(header.capacity / tableSpan(header));
  const bytes = count * 4;
  if (bytes > budget.directoryBytes)
    throw new DiskError(
      "limit",
      `vmdk: ${header.fields.capacity.name} asks for a grain directory of ${bytes} bytes, at most ${MOST_DIRECTORY_BYTES} are read`,
      { file, at: header.fields.capacity.at },
    );
  const at = header[which] as number;
  const { name: field, at: fieldAt } = header.fields[which];
  const place = { file, at: fieldAt };
  if (at === 0) throw new DiskError("corrupt", `vmdk: ${field} is 0, but the disk needs a grain directory`, place);
  if (at + bytes > size)
    throw new DiskError(
      "corrupt",
      `vmdk: ${field} is ${at / SECTOR}, but the file ends at byte ${size}: it is truncated or damaged`,
      place,
    );
  const fixed: Region[] = [{ what: "header", start: 0, end: header.length }];
  if (header.descriptor !== null)
    fixed.push({ what: "descriptor", start: header.descriptor.at, end: header.descriptor.at + header.descriptor.length });
  const hit = fixed.find((region) => overlaps(region, at, at + bytes));
  if (hit !== undefined) throw new DiskError("corrupt", `vmdk: ${field} is ${at / SECTOR}, inside the ${hit.what}`, place);
  fixed.push({ what: "grain directory", start: at, end: at + bytes });
  budget.directoryBytes -= bytes;
  const entries = toEntries(await source.read(at, bytes));
  const lastEntries = Math.ceil(header.capacity / header.grain) - (count - 1) * header.tableEntries;
  const entriesIn = (index: number): number => (index === count - 1 ? lastEntries : header.tableEntries);
  const tables = validateTables(entries, { source, header, at, fixed, entriesIn });
  const tableAt = (index: number): number => (entries[index] as number) * SECTOR;
  const tableLimit = (sector: number): number => sector * SECTOR + entriesIn(entries[count - 1] === sector ? count - 1 : 0) * 4;
  return {
    at,
    count,
    entryBytes: 4,
    dataStart: Math.max(header.overHead, ...fixed.filter(({ what }) => what !== "grain directory").map(({ end }) => end)),
    kindOf(index) {
      const entry = entries[index] ?? 0;
      if (entry === 0) return "hole";
      return entry === GTE_ZEROED && header.zeroedGrains ? "zero" : "table";
    },
    tableAt,
    tableEnd: (index) => tableAt(index) + entriesIn(index) * 4,
    entriesIn,
    firstMetadataIn(start, end) {
      const own = at < end && at + bytes > start ? Math.max(at, start) : Number.POSITIVE_INFINITY;
      let index = firstAtLeast(tables, Math.floor(start / SECTOR) - (header.tableEntries * 4) / SECTOR + 1);
      while (index < tables.length && tableLimit(tables[index] as number) <= start) index++;
      const table = (tables[index] ?? Number.POSITIVE_INFINITY) * SECTOR;
      return Math.min(own, table < end ? Math.max(table, start) : Number.POSITIVE_INFINITY);
    },
  };
}

const overlaps = (region: Region, start: number, end: number): boolean => start < region.end && end > region.start;

function toEntries(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries = new Uint32Array(bytes.length / 4);
  for (let i = 0; i < entries.length; i++) entries[i] = view.getUint32(i * 4, true);
  return entries;
}

interface TableRules {
  readonly source: ByteSource;
  readonly header: SparseHeader;
  readonly at: number;
  readonly fixed: readonly Region[];
  entriesIn(index: number): number;
}

/** The sectors of all tables, ascending; no two share a sector. */
function validateTables(entries: Uint32Array, { source, header, at, fixed, entriesIn }: TableRules): Uint32Array {
  const span = tableSpan(header);
  const fail = (index: number, why: string): never => {
    const start = index * span;
    throw new DiskError("corrupt", `vmdk: grain directory entry ${index} is ${entries[index]}, ${why}`, {
      file: source.name,
      at: at + index * 4,
      guest: { start, length: Math.min(span, header.capacity - start) },
    });
  };
  const least = header.zeroedGrains ? GTE_ZEROED + 1 : 1;
  const used = entries.filter((entry) => entry >= least).sort();
  let shortAt = -1;
  entries.forEach((entry, index) => {
    if (entry < least) return;
    const start = entry * SECTOR;
    const end = start + entriesIn(index) * 4;
    if (end > source.size) fail(index, `but the file ends at byte ${source.size}: it is truncated or damaged`);
    const hit = fixed.find((region) => overlaps(region, start, end));
    if (hit !== undefined) fail(index, `inside the ${hit.what}`);
    if (entriesIn(index) < header.tableEntries) shortAt = entry;
  });
  for (let i = 1; i < used.length; i++) {
    const before = used[i - 1] as number;
    const sector = used[i] as number;
    const length = before === shortAt ? entriesIn(entries.length - 1) : header.tableEntries;
    if (sector - before < Math.ceil((length * 4) / SECTOR))
      fail(entries.indexOf(sector), `on top of another grain table at sector ${before}`);
  }
  return used;
}
