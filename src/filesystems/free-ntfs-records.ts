// Records of the master file table: https://flatcap.github.io/linux-ntfs/ntfs/concepts/, [MS-FSCC], ntfs-3g's layout.h.
import { DiskError } from "../core/errors.ts";
import { bytes, struct, u8, u16, u32, u64exact } from "../core/struct.ts";

/** Every 512 bytes of a multi-sector structure end with the same number; the bytes that belong there stand in its header. */
const STRIDE = 512;
const RECORD = struct("le", {
  magic: u32,
  usa_ofs: u16,
  usa_count: u16,
  lsn: u64exact,
  sequence_number: u16,
  link_count: u16,
  attrs_offset: u16,
  flags: u16,
  bytes_in_use: u32,
  bytes_allocated: u32,
  base_mft_record: u64exact,
});
const ATTRIBUTE = struct("le", {
  type: u32,
  length: u32,
  non_resident: u8,
  name_length: u8,
  name_offset: u16,
  flags: u16,
  instance: u16,
});
const RESIDENT = struct("le", { value_length: u32, value_offset: u16, resident_flags: u16 });
const NON_RESIDENT = struct("le", {
  lowest_vcn: u64exact,
  highest_vcn: u64exact,
  mapping_pairs_offset: u16,
  compression_unit: u8,
  reserved: bytes(5),
  allocated_size: u64exact,
  data_size: u64exact,
  initialized_size: u64exact,
});

export const FILE = 0x454c4946;
/** Written by chkdsk over a record that it found torn. */
export const BAAD = 0x44414142;
const IN_USE = 1;
const END_OF_ATTRIBUTES = 0xffffffff;
const REFERENCE_BITS = 2n ** 48n - 1n;

export const ATTRIBUTE_LIST = 0x20;
export const VOLUME_INFORMATION = 0x70;
export const DATA = 0x80;

/** Clusters `lcn` to `lcn + length` of the volume; null: sparse. */
export interface DataRun {
  readonly vcn: number;
  readonly lcn: number | null;
  readonly length: number;
}
export interface Attribute {
  readonly type: number;
  readonly isNamed: boolean;
  /** Compressed, encrypted or sparse. */
  readonly flags: number;
  /** Resident: the value; else null. */
  readonly value: Uint8Array | null;
  /** Not resident: where its clusters lie, ascending by `vcn`; else empty. */
  readonly runs: readonly DataRun[];
  /** Bytes; only right in the piece of an attribute that begins at cluster 0. */
  readonly allocatedSize: number;
  readonly dataSize: number;
  readonly initializedSize: number;
}
export interface FileRecord {
  readonly isInUse: boolean;
  /** Number of the record that this one continues; null: a record of its own. */
  readonly base: number | null;
  readonly attributes: readonly Attribute[];
  /** The bytes in use, without what changes with every writing. */
  readonly content: Uint8Array;
}

const damaged = (what: string, text: string): DiskError => new DiskError("corrupt", `${what}: ${text}`);

/** Puts back what the update sequence has replaced, in place. Throws when the structure was not written whole. */
export function undoFixups(block: Uint8Array, what: string): { readonly start: number; readonly end: number } {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const start = view.getUint16(4, true);
  const count = view.getUint16(6, true);
  const end = start + count * 2;
  if (count !== block.length / STRIDE + 1) throw damaged(what, `usa_count at byte 6 is ${count}, expected ${block.length / STRIDE + 1}`);
  if (start % 2 !== 0 || start < 24 || end > STRIDE - 2)
    throw damaged(what, `usa_ofs at byte 4 is ${start}, expected a place in the header`);
  const mark = view.getUint16(start, true);
  for (let i = 1; i < count; i++) {
    const at = i * STRIDE - 2;
    if (view.getUint16(at, true) !== mark) throw damaged(what, `it was not written whole (update sequence at byte ${at})`);
    view.setUint16(at, view.getUint16(start + i * 2, true), true);
  }
  return { start, end };
}

/** What a record of the master file table holds. The bytes are changed. Throws `corrupt` when it contradicts itself. */
export function readRecord(record: Uint8Array, what: string): FileRecord {
  const header = RECORD.read(record);
  if (header.magic !== FILE) throw damaged(what, `magic at byte 0 is 0x${header.magic.toString(16)}, expected "FILE"`);
  const sequence = undoFixups(record, what);
  const { attrs_offset: first, bytes_in_use: end } = header;
  if (header.bytes_allocated !== record.length) throw damaged(what, `bytes_allocated at byte 28 is ${header.bytes_allocated}`);
  if (end > record.length || end % 8 !== 0) throw damaged(what, `bytes_in_use at byte 24 is ${end}`);
  if (first % 8 !== 0 || first < sequence.end || first + 8 > end) throw damaged(what, `attrs_offset at byte 20 is ${first}`);
  const base = header.base_mft_record === 0n ? null : Number(header.base_mft_record & REFERENCE_BITS);
  const content = record.slice(0, end).fill(0, sequence.start, sequence.end);
  return { isInUse: (header.flags & IN_USE) !== 0, base, attributes: [...attributesOf(record, first, end, what)], content };
}

function* attributesOf(record: Uint8Array, first: number, end: number, what: string): Generator<Attribute> {
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  for (let at = first; ; ) {
    if (at + 4 > end) throw damaged(what, `its attributes have no end before byte ${end}`);
    if (view.getUint32(at, true) === END_OF_ATTRIBUTES) return;
    if (at + ATTRIBUTE.bytes > end) throw damaged(what, `the attribute at byte ${at} does not end in it`);
    const { type, length, non_resident: isOutside, name_length, flags } = ATTRIBUTE.read(record, at);
    const least = ATTRIBUTE.bytes + (isOutside === 0 ? RESIDENT.bytes : NON_RESIDENT.bytes);
    if (length % 8 !== 0 || length < least || at + length > end) throw damaged(what, `length of the attribute at byte ${at} is ${length}`);
    const attribute = record.subarray(at, at + length);
    const common = { type, isNamed: name_length > 0, flags };
    yield {
      ...common,
      ...(isOutside === 0 ? residentPart(attribute, `${what}, byte ${at}`) : outsidePart(attribute, `${what}, byte ${at}`)),
    };
    at += length;
  }
}

function residentPart(attribute: Uint8Array, what: string) {
  const { value_length, value_offset } = RESIDENT.read(attribute, ATTRIBUTE.bytes);
  if (value_offset + value_length > attribute.length) throw damaged(what, `value_length is ${value_length}`);
  const value = attribute.subarray(value_offset, value_offset + value_length);
  return { value, runs: [], allocatedSize: value_length, dataSize: value_length, initializedSize: value_length };
}

function outsidePart(attribute: Uint8Array, what: string) {
  const part = NON_RESIDENT.read(attribute, ATTRIBUTE.bytes);
  const first = Number(part.lowest_vcn);
  // -1 where the attribute holds nothing.
  const end = Number(BigInt.asIntN(64, part.highest_vcn)) + 1;
  const from = part.mapping_pairs_offset;
  if (from < ATTRIBUTE.bytes + NON_RESIDENT.bytes || from >= attribute.length) throw damaged(what, `mapping_pairs_offset is ${from}`);
  const runs = [...mappingPairs(attribute.subarray(from), first, what)];
  const last = runs[runs.length - 1];
  const reached = last === undefined ? first : last.vcn + last.length;
  if (reached !== end) throw damaged(what, `highest_vcn is ${end - 1}, but its mapping pairs end before ${reached}`);
  return {
    value: null,
    runs,
    allocatedSize: Number(part.allocated_size),
    dataSize: Number(part.data_size),
    initializedSize: Number(part.initialized_size),
  };
}

/** Pairs of a length and a signed step from the last cluster, each of as many bytes as the half bytes before them say. */
function* mappingPairs(pairs: Uint8Array, first: number, what: string): Generator<DataRun> {
  let vcn = first;
  let lcn = 0;
  for (let at = 0; ; ) {
    const sizes = pairs[at++];
    if (sizes === undefined) throw damaged(what, "its mapping pairs have no end");
    if (sizes === 0) return;
    const lengthBytes = sizes & 0xf;
    const stepBytes = sizes >> 4;
    if (lengthBytes === 0 || lengthBytes > 8 || stepBytes > 8 || at + lengthBytes + stepBytes > pairs.length)
      throw damaged(what, `a mapping pair is marked 0x${sizes.toString(16)}`);
    const length = signedValue(pairs, at, lengthBytes);
    const step = signedValue(pairs, at + lengthBytes, stepBytes);
    at += lengthBytes + stepBytes;
    lcn += step;
    if (!Number.isSafeInteger(length) || length <= 0 || !Number.isSafeInteger(vcn + length) || !Number.isSafeInteger(lcn) || lcn < 0)
      throw damaged(what, `a mapping pair has the length ${length} and leads to cluster ${lcn}`);
    yield { vcn, lcn: stepBytes === 0 ? null : lcn, length };
    vcn += length;
  }
}

function signedValue(bytes: Uint8Array, at: number, count: number): number {
  if (count === 0) return 0;
  let value = ((bytes[at + count - 1] as number) << 24) >> 24;
  for (let i = count - 2; i >= 0; i--) value = value * 256 + (bytes[at + i] as number);
  return value;
}
