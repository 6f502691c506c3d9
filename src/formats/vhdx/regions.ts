import type { ByteSource } from "../../core/model.ts";
import type { Compute } from "../../core/ports.ts";
import { guidText } from "../../core/uuid.ts";
import { checksumOf, type Fault, type HeaderSection } from "./header.ts";
import {
  ALIGNMENT,
  BAT_REGION,
  HEADER_SECTION_BYTES,
  hex,
  METADATA_REGION,
  MOST_ENTRIES,
  problem,
  REGION_SIGNATURE,
  REGION_TABLE_BYTES,
  REGION_TABLE_PLACES,
  RegionEntry,
  RegionTable,
} from "./spec.ts";

/** A part of the file that no block may lie in. */
export interface Place {
  readonly what: string;
  readonly at: number;
  readonly length: number;
}

export interface Regions {
  readonly bat: Place;
  readonly metadata: Place;
  /** Headers, log and every region, by position; they do not overlap. */
  readonly places: readonly Place[];
  readonly faults: readonly Fault[];
}

const NAMES: Readonly<Record<string, string>> = { [BAT_REGION]: "the BAT", [METADATA_REGION]: "the metadata region" };

/** [MS-VHDX] 2.2.3; `file` is the file after replay of its log. */
export async function readRegions(file: ByteSource, { log }: HeaderSection, compute: Compute): Promise<Regions> {
  const faults: Fault[] = [];
  const { table, at } = await soundTable(file, compute, faults);
  const { entryCount } = RegionTable.read(table);
  if (entryCount > MOST_ENTRIES)
    throw problem("corrupt", file.name, at + 8, `entryCount of the region table is ${entryCount}, expected at most ${MOST_ENTRIES}`);
  const regions = new Map<string, Place>();
  for (let i = 0; i < entryCount; i++) {
    const entryAt = RegionTable.bytes + i * RegionEntry.bytes;
    const entry = RegionEntry.read(table, entryAt);
    const guid = guidText(entry.guid) ?? "nil";
    const what = NAMES[guid] ?? `the region {${guid}}`;
    const refuse = (text: string) => problem("corrupt", file.name, at + entryAt, `${what} ${text}`);
    if (NAMES[guid] === undefined && (entry.required & 1) !== 0)
      throw problem("unsupported", file.name, at + entryAt, `the region {${guid}} is required and not known`);
    if (regions.has(guid)) throw refuse("is listed twice");
    const start = Number(entry.fileOffset);
    if (start % ALIGNMENT !== 0 || start < HEADER_SECTION_BYTES)
      throw refuse(`has fileOffset ${hex(entry.fileOffset)}, expected a multiple of ${ALIGNMENT} past the headers`);
    if (entry.length === 0 || entry.length % ALIGNMENT !== 0)
      throw refuse(`has length ${entry.length}, expected a multiple of ${ALIGNMENT}`);
    if (start + entry.length > file.size)
      throw refuse(`ends at byte ${start + entry.length}, but the file at ${file.size}: it is truncated or damaged`);
    regions.set(guid, { what, at: start, length: entry.length });
  }
  const bat = regions.get(BAT_REGION);
  const metadata = regions.get(METADATA_REGION);
  if (bat === undefined || metadata === undefined)
    throw problem("corrupt", file.name, at, `the region table does not list ${bat === undefined ? "the BAT" : "the metadata region"}`);
  const places = [
    { what: "the headers", at: 0, length: HEADER_SECTION_BYTES },
    ...(log.length > 0 ? [{ what: "the log", ...log }] : []),
    ...regions.values(),
  ].sort((a, b) => a.at - b.at);
  for (const [i, place] of places.entries()) {
    const next = places[i + 1];
    if (next !== undefined && place.at + place.length > next.at)
      throw problem("corrupt", file.name, next.at, `${place.what} and ${next.what} overlap`);
  }
  return { bat, metadata, places, faults };
}

/** The first of the two tables, or the second when the first is damaged. */
async function soundTable(
  file: ByteSource,
  compute: Compute,
  faults: Fault[],
): Promise<{ readonly table: Uint8Array; readonly at: number }> {
  const sound: { table: Uint8Array; at: number }[] = [];
  for (const [i, at] of REGION_TABLE_PLACES.entries()) {
    const table = await file.read(at, REGION_TABLE_BYTES);
    const { signature, checksum } = RegionTable.read(table);
    const fault = (text: string) => faults.push({ text: `region table ${i + 1} is damaged: ${text}`, at });
    const sum = checksumOf(table, compute);
    if (signature !== REGION_SIGNATURE) fault(`signature is ${hex(signature)}, expected ${hex(REGION_SIGNATURE)}`);
    else if (checksum !== sum) fault(`checksum is ${hex(checksum)}, expected ${hex(sum)}`);
    else sound.push({ table, at });
  }
  const [first, second] = sound;
  if (first === undefined)
    throw problem(
      "corrupt",
      file.name,
      REGION_TABLE_PLACES[0],
      `no region table can be used: ${faults.map(({ text }) => text).join("; ")}`,
    );
  if (second?.table.some((byte, i) => byte !== first.table[i]) === true)
    faults.push({ text: "the two region tables differ; the first is used", at: second.at });
  return first;
}
