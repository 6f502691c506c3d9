// The fixed parts of .xz files: sections 2.1, 3.1 and 4 of "The .xz File Format". All are read with their CRC32 verified.

import { DiskError } from "../../core/errors.ts";
import { hexNumber } from "../../core/hex.ts";

export type Crc32 = (bytes: Uint8Array) => number;
export interface Filter {
  readonly id: number;
  /** Delta: in bytes. */
  readonly distance: number;
  /** The others: of the first byte of the block. */
  readonly position: number;
}
export interface BlockHeader {
  readonly length: number;
  /** Stated sizes, or null. */
  readonly packed: number | null;
  readonly unpacked: number | null;
  /** In the order of the encoder, without LZMA2. */
  readonly filters: readonly Filter[];
  readonly dictionary: number;
}

export const STREAM_HEADER_BYTES = 12;
export const STREAM_FOOTER_BYTES = 12;
const MAGIC: readonly number[] = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0];
const FOOTER_MAGIC: readonly number[] = [0x59, 0x5a];
/** Section 2.1.1.2, for the checks that are defined. */
const CHECKS: Readonly<Record<number, { readonly name: string; readonly bytes: number }>> = {
  0: { name: "none", bytes: 0 },
  1: { name: "CRC32", bytes: 4 },
  4: { name: "CRC64", bytes: 8 },
  10: { name: "SHA-256", bytes: 32 },
};
const HAS_PACKED_SIZE = 0x40;
const HAS_UNPACKED_SIZE = 0x80;
const RESERVED_FLAGS = 0x3c;
const LZMA2 = 0x21;
const DELTA = 3;
/** By their numbers; the alignment of their start offsets. */
const FILTERS: Readonly<Record<number, { readonly name: string; readonly alignment: number }>> = {
  3: { name: "delta", alignment: 1 },
  4: { name: "x86", alignment: 1 },
  5: { name: "PowerPC", alignment: 4 },
  6: { name: "IA-64", alignment: 16 },
  7: { name: "ARM", alignment: 4 },
  8: { name: "ARM Thumb", alignment: 2 },
  9: { name: "SPARC", alignment: 4 },
  10: { name: "ARM64", alignment: 4 },
};
const KNOWN_UNDONE: Readonly<Record<number, string>> = { 11: " (RISC-V)", 32: " (LZMA1)" };
const NUMBER_BYTES = 9;

const bad = (message: string, at: number): DiskError => new DiskError("corrupt", `xz: ${message}`, { at });

export const checkName = (check: number): string => CHECKS[check]?.name ?? `check ${check}`;
export const checkBytes = (check: number): number => CHECKS[check]?.bytes ?? 0;
/** Whether the bytes that are there could begin a stream. */
export const beginsStream = (bytes: Uint8Array): boolean => bytes.subarray(0, MAGIC.length).every((byte, i) => byte === MAGIC[i]);

/** The fields of a header, one after another. */
class Fields {
  #at = 0;
  readonly #bytes: Uint8Array;
  readonly #place: number;

  constructor(bytes: Uint8Array, place: number) {
    this.#bytes = bytes;
    this.#place = place;
  }
  get at(): number {
    return this.#at;
  }
  byte(field: string): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw bad(`the header is too short for ${field}`, this.#place);
    this.#at++;
    return byte;
  }
  bytes(length: number, field: string): Uint8Array {
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    if (bytes.length < length) throw bad(`the header is too short for ${field}`, this.#place);
    this.#at += length;
    return bytes;
  }
  next(field: string): number {
    const value = takeNumber(this.#bytes.subarray(this.#at), field, this.#place + this.#at);
    if (value === null) throw bad(`the header is too short for ${field}`, this.#place);
    this.#at += value.length;
    return value.value;
  }
}

/** The number at the beginning of `bytes`, 7 bits a byte, the lowest first (section 1.2); null when it does not end there. */
export function takeNumber(bytes: Uint8Array, field: string, at: number): { readonly value: number; readonly length: number } | null {
  let value = 0;
  for (let i = 0; i < Math.min(bytes.length, NUMBER_BYTES); i++) {
    const byte = bytes[i] as number;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte >= 0x80) continue;
    if (byte === 0 && i > 0) throw bad(`${field} has more bytes than it needs`, at);
    if (!Number.isSafeInteger(value)) throw bad(`${field} is ${value}, more than a file can have`, at);
    return { value, length: i + 1 };
  }
  if (bytes.length >= NUMBER_BYTES) throw bad(`${field} does not end after ${NUMBER_BYTES} bytes`, at);
  return null;
}

function verifySum(bytes: Uint8Array, from: number, to: number, sumAt: number, crc32: Crc32, what: string, at: number): void {
  const stated = new DataView(bytes.buffer, bytes.byteOffset).getUint32(sumAt, true);
  const actual = crc32(bytes.subarray(from, to));
  if (stated !== actual) throw bad(`CRC32 of the ${what} is ${hexNumber(stated)}, but its bytes give ${hexNumber(actual)}`, at + sumAt);
}

function readFlags(first: number, second: number, at: number): number {
  if (first !== 0 || second > 15) throw new DiskError("unsupported", `xz: Stream Flags are ${hexNumber((first << 8) | second)}`, { at });
  if (CHECKS[second] === undefined) throw new DiskError("unsupported", `xz: there is no way to verify check ${second}`, { at: at + 1 });
  return second;
}

/** Section 2.1.1: the check's number. `first`: of the file. */
export function readStreamHeader(bytes: Uint8Array, at: number, first: boolean, crc32: Crc32): number {
  if (!beginsStream(bytes))
    throw first
      ? new DiskError("wrong-format", "xz: the magic bytes are missing: this is not an xz file", { at })
      : bad("the bytes behind a stream are neither padding nor another stream", at);
  verifySum(bytes, 6, 8, 8, crc32, "Stream Header", at);
  return readFlags(bytes[6] as number, bytes[7] as number, at + 6);
}

/** Section 2.1.2. `indexBytes`: of the index as it was found. */
export function readStreamFooter(bytes: Uint8Array, at: number, check: number, indexBytes: number, crc32: Crc32): void {
  if (!bytes.subarray(10).every((byte, i) => byte === FOOTER_MAGIC[i])) throw bad("the Stream Footer's magic bytes are missing", at + 10);
  verifySum(bytes, 4, 10, 0, crc32, "Stream Footer", at);
  const backward = (new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true) + 1) * 4;
  if (backward !== indexBytes) throw bad(`Backward Size is ${backward}, but the Index has ${indexBytes} bytes`, at + 4);
  if (bytes[8] !== 0 || bytes[9] !== check) throw bad("the Stream Footer's flags are not those of the Stream Header", at + 8);
}

/** Section 3.1; `bytes`: the whole header, whose length its first byte states. */
export function readBlockHeader(bytes: Uint8Array, at: number, crc32: Crc32): BlockHeader {
  const end = bytes.length - 4;
  verifySum(bytes, 0, end, end, crc32, "Block Header", at);
  const flags = bytes[1] as number;
  if ((flags & RESERVED_FLAGS) !== 0) throw new DiskError("unsupported", `xz: Block Flags are ${hexNumber(flags)}`, { at: at + 1 });
  const fields = new Fields(bytes.subarray(2, end), at + 2);
  const packed = (flags & HAS_PACKED_SIZE) !== 0 ? fields.next("Compressed Size") : null;
  if (packed === 0) throw bad("Compressed Size is 0", at + 2);
  const unpacked = (flags & HAS_UNPACKED_SIZE) !== 0 ? fields.next("Uncompressed Size") : null;
  const count = (flags & 3) + 1;
  const filters: Filter[] = [];
  for (let i = 0; i < count - 1; i++) filters.push(readFilter(fields, at));
  const dictionary = readLzma2(fields, at);
  if (bytes.subarray(2 + fields.at, end).some((byte) => byte !== 0))
    throw new DiskError("unsupported", "xz: the Block Header's padding is not zero", { at: at + 2 + fields.at });
  return { length: bytes.length, packed, unpacked, filters, dictionary };
}

function readFilter(fields: Fields, at: number): Filter {
  const place = at + 2 + fields.at;
  const id = fields.next("Filter ID");
  const size = fields.next("Size of Properties");
  const properties = fields.bytes(size, "Filter Properties");
  const known = FILTERS[id];
  if (known === undefined)
    throw new DiskError("unsupported", `xz: filter ${hexNumber(id)}${KNOWN_UNDONE[id] ?? ""} is not undone`, { at: place });
  if (id === DELTA) {
    if (size !== 1) throw bad(`the delta filter has ${size} bytes of properties, expected 1`, place);
    return { id, distance: (properties[0] as number) + 1, position: 0 };
  }
  if (size !== 0 && size !== 4) throw bad(`the ${known.name} filter has ${size} bytes of properties, expected 0 or 4`, place);
  const position = size === 0 ? 0 : new DataView(properties.buffer, properties.byteOffset).getUint32(0, true);
  if (position % known.alignment !== 0)
    throw bad(`the ${known.name} filter starts at ${position}, expected a multiple of ${known.alignment}`, place);
  return { id, distance: 0, position };
}

/** The last filter, section 5.3.1: the dictionary's size. */
function readLzma2(fields: Fields, at: number): number {
  const place = at + 2 + fields.at;
  const id = fields.next("Filter ID");
  if (id !== LZMA2)
    throw new DiskError("unsupported", `xz: the last filter is ${hexNumber(id)}, expected LZMA2 (${hexNumber(LZMA2)})`, { at: place });
  const size = fields.next("Size of Properties");
  if (size !== 1) throw bad(`LZMA2 has ${size} bytes of properties, expected 1`, place);
  const bits = fields.byte("Filter Properties");
  if (bits > 40) throw bad(`LZMA2's dictionary size is ${bits}, expected at most 40`, place);
  return bits === 40 ? 2 ** 32 - 1 : (2 | (bits & 1)) * 2 ** ((bits >>> 1) + 11);
}
