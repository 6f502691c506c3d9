import { joined } from "../core/bytes.ts";
import { testCompute } from "./image-harness.ts";
import type { SparseFile } from "./sparse-file.ts";

// Changes to VHDX files that no writer of ours makes: other headers, differencing images, logs. Layout as Spindle writes it, from
// the numbers of [MS-VHDX], so that the tests do not lean on the code that they test.

const KIB = 1024;
const MIB = 1024 * KIB;
export const LOG_AT = MIB;
export const METADATA_AT = 2 * MIB;
export const BAT_AT = 3 * MIB;
/** Of disks whose BAT has up to 131,072 entries. */
export const DATA_AT = 4 * MIB;
export const HEADERS = [64 * KIB, 128 * KIB] as const;
export const REGION_TABLES = [192 * KIB, 256 * KIB] as const;
/** The items, as Spindle writes them. */
export const ITEMS_AT = METADATA_AT + 64 * KIB;
const PARENT_ITEM = 68 * KIB;
export const LOG_GUID = Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i);

export const u16 = (value: number): Uint8Array => Uint8Array.of(value & 0xff, value >> 8);
export const u32 = (value: number): Uint8Array => Uint8Array.of(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
export const u64 = (value: number): Uint8Array => join(u32(value % 2 ** 32), u32(Math.floor(value / 2 ** 32)));
export const utf16 = (text: string): Uint8Array => join(...[...text].map((character) => u16(character.charCodeAt(0))));
export const join = (...parts: readonly Uint8Array[]): Uint8Array => joined(parts);

/** Sets the CRC-32C at byte 4 of a structure right again. */
export async function sum(file: SparseFile, at: number, length: number): Promise<void> {
  const bytes = await file.read(at, length);
  bytes.fill(0, 4, 8);
  file.write(at + 4, u32(testCompute().crc32c(bytes)));
}

/** Changes the same field of both headers. */
export async function patchHeaders(file: SparseFile, offset: number, bytes: Uint8Array): Promise<void> {
  for (const at of HEADERS) {
    file.write(at + offset, bytes);
    await sum(file, at, 4 * KIB);
  }
}
export async function patchRegionTables(file: SparseFile, offset: number, bytes: Uint8Array): Promise<void> {
  for (const at of REGION_TABLES) {
    file.write(at + offset, bytes);
    await sum(file, at, 64 * KIB);
  }
}

/** `at`: position in the file, a multiple of 1 MiB. */
export const batEntry = (state: number, at = 0): Uint8Array => u64(at + state);
export const setBat = (file: SparseFile, entry: number, state: number, at = 0): void => file.write(BAT_AT + entry * 8, batEntry(state, at));

/** The item, its UTF-16 texts behind the table of keys. */
export function parentLocator(keys: Readonly<Record<string, string>>): Uint8Array {
  const type = Uint8Array.of(0xb7, 0xef, 0x4a, 0xb0, 0x9e, 0xd1, 0x81, 0x4a, 0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13);
  const pairs = Object.entries(keys);
  let offset = 20 + pairs.length * 12;
  const entries: Uint8Array[] = [];
  const texts: Uint8Array[] = [];
  for (const [key, value] of pairs) {
    const [keyBytes, valueBytes] = [utf16(key), utf16(value)];
    entries.push(join(u32(offset), u32(offset + keyBytes.length), u16(keyBytes.length), u16(valueBytes.length)));
    texts.push(keyBytes, valueBytes);
    offset += keyBytes.length + valueBytes.length;
  }
  return join(type, u16(0), u16(pairs.length), ...entries, ...texts);
}

/** Adds a metadata item as the sixth. `flags`: 4 is required. */
export function addItem(file: SparseFile, id: Uint8Array, content: Uint8Array, flags = 4): void {
  file.write(METADATA_AT + 10, u16(6));
  file.write(METADATA_AT + 32 + 5 * 32, join(id, u32(PARENT_ITEM), u32(content.length), u32(flags), u32(0)));
  file.write(METADATA_AT + PARENT_ITEM, content);
}

/** Makes a dynamic image a differencing one. */
export function makeDifferencing(file: SparseFile, keys: Readonly<Record<string, string>>): void {
  const id = Uint8Array.of(0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45, 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c);
  file.write(ITEMS_AT + 4, u32(2));
  addItem(file, id, parentLocator(keys));
}

/** What a log entry writes: a 4 KiB sector, or zeros. */
export type LogWrite = { readonly at: number; readonly data: Uint8Array } | { readonly at: number; readonly zeros: number };
export interface LogEntrySpec {
  readonly sequence: number;
  /** Position in the log of the oldest entry that is to be replayed. */
  readonly tail: number;
  readonly writes: readonly LogWrite[];
  readonly flushed?: number;
  readonly last?: number;
}

/** One log entry with its checksum. */
export function logEntry({ sequence, tail, writes, flushed = 0, last = 0 }: LogEntrySpec): Uint8Array {
  const descriptors: Uint8Array[] = [];
  const sectors: Uint8Array[] = [];
  for (const write of writes) {
    if ("zeros" in write) {
      descriptors.push(join(utf8("zero"), u32(0), u64(write.zeros), u64(write.at), u64(sequence)));
      continue;
    }
    descriptors.push(join(utf8("desc"), write.data.slice(4092), write.data.slice(0, 8), u64(write.at), u64(sequence)));
    sectors.push(join(utf8("data"), u32(Math.floor(sequence / 2 ** 32)), write.data.slice(8, 4092), u32(sequence % 2 ** 32)));
  }
  const head = Math.ceil((64 + descriptors.length * 32) / 4096) * 4096;
  const length = head + sectors.length * 4096;
  const fields = [utf8("loge"), u32(0), u32(length), u32(tail), u64(sequence), u32(writes.length), u32(0)];
  const top = join(...fields, LOG_GUID, u64(flushed), u64(last), ...descriptors);
  const entry = join(top, new Uint8Array(head - top.length), ...sectors);
  entry.set(u32(testCompute().crc32c(entry)), 4);
  return entry;
}

/** Puts an entry at a place of the 1 MiB log, around its end if need be. */
export function putInLog(file: SparseFile, at: number, entry: Uint8Array): void {
  const inside = Math.min(entry.length, MIB - at);
  file.write(LOG_AT + at, entry.subarray(0, inside));
  file.write(LOG_AT, entry.subarray(inside));
}

/** Says in both headers that the log is in use. */
export const useLog = (file: SparseFile): Promise<void> => patchHeaders(file, 48, LOG_GUID);

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
