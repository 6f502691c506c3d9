import { backingReference } from "../../core/backing-file.ts";
import type { DiskErrorCode } from "../../core/errors.ts";
import type { ByteSource, FileReference } from "../../core/model.ts";
import * as q from "./spec.ts";

/** A part of the file that holds no clusters. */
export interface Claim {
  readonly at: number;
  readonly length: number;
  readonly what: string;
}

/** A validated header. */
export interface Header {
  /** Virtual size. */
  readonly size: number;
  readonly clusterBits: number;
  readonly clusterSize: number;
  readonly l2Entries: number;
  readonly l2Bytes: number;
  /** Whole, inside the file. */
  readonly l1: { readonly at: number; readonly entries: number };
  readonly encrypted: boolean;
  readonly backing: FileReference | null;
  readonly claims: readonly Claim[];
}

type Fields = ReturnType<typeof q.HEADER.read>;
type Refuse = (code: DiskErrorCode, field: keyof Fields, text: string) => Error;

/** Reads and validates the header. Throws `corrupt`, `unsupported` (another encryption) or `limit`. */
export async function readHeader(file: ByteSource): Promise<Header> {
  const refuse: Refuse = (code, field, text) => q.problem(code, `${field} ${text}`, { file: file.name, at: q.HEADER.offsetOf(field) });
  if (file.size < q.HEADER.bytes)
    throw q.problem("corrupt", `${file.name} has ${file.size} bytes, a header needs ${q.HEADER.bytes}: the file is truncated`, {
      file: file.name,
      at: file.size,
    });
  const fields = q.HEADER.read(await file.read(0, q.HEADER.bytes));
  const { cluster_bits: clusterBits, l2_bits: l2Bits } = fields;
  if (fields.magic !== q.MAGIC) throw q.problem("wrong-format", `${file.name} does not begin with “QFI\\xfb”`, { file: file.name, at: 0 });
  if (fields.version !== 1) throw refuse("unsupported", "version", `is ${fields.version}, expected 1`);
  if (clusterBits < q.MIN_CLUSTER_BITS || clusterBits > q.MAX_CLUSTER_BITS)
    throw refuse("corrupt", "cluster_bits", `is ${clusterBits}, expected ${q.MIN_CLUSTER_BITS} to ${q.MAX_CLUSTER_BITS}`);
  // L2 tables have 512 bytes to 64 KiB; every known writer makes them of whole clusters, and so a damaged field is noticed.
  const least = Math.max(q.MIN_CLUSTER_BITS, clusterBits) - 3;
  if (l2Bits < least || l2Bits > q.MAX_CLUSTER_BITS - 3)
    throw refuse(
      "corrupt",
      "l2_bits",
      `is ${l2Bits}, expected ${least} to ${q.MAX_CLUSTER_BITS - 3} for clusters of ${2 ** clusterBits} bytes`,
    );
  if (fields.crypt_method > q.CRYPT_AES)
    throw refuse("unsupported", "crypt_method", `is ${fields.crypt_method}, known are 0 (none) and 1 (AES)`);
  if (fields.size < 2n) throw refuse("corrupt", "size", `is ${fields.size}, expected at least 2`);
  if (fields.size > BigInt(Number.MAX_SAFE_INTEGER)) throw refuse("limit", "size", `is ${q.hex(fields.size)}, past 2^53`);
  const size = Number(fields.size);
  const clusterSize = 2 ** clusterBits;
  const l2Entries = 2 ** l2Bits;
  const backing = await readBacking(file, fields, refuse);
  const l1 = l1Place(file, fields, Math.ceil(size / (clusterSize * l2Entries)), refuse);
  const claims: Claim[] = [
    { at: 0, length: q.HEADER.bytes, what: "the header" },
    { at: l1.at, length: l1.entries * q.ENTRY_BYTES, what: "the L1 table" },
  ];
  if (backing !== null)
    claims.push({ at: Number(fields.backing_file_offset), length: fields.backing_file_size, what: "the backing file's name" });
  return {
    size,
    clusterBits,
    clusterSize,
    l2Entries,
    l2Bytes: l2Entries * q.ENTRY_BYTES,
    l1,
    encrypted: fields.crypt_method === q.CRYPT_AES,
    backing,
    claims,
  };
}

async function readBacking(file: ByteSource, fields: Fields, refuse: Refuse): Promise<FileReference | null> {
  const { backing_file_offset: offset, backing_file_size: length } = fields;
  if (offset === 0n) return null;
  if (length === 0 || length > q.MAX_BACKING_NAME)
    throw refuse("corrupt", "backing_file_size", `is ${length}, expected 1 to ${q.MAX_BACKING_NAME}`);
  if (offset < BigInt(q.HEADER.bytes) || offset + BigInt(length) > BigInt(file.size))
    throw refuse("corrupt", "backing_file_offset", `is ${q.hex(offset)}: the name is not between the header and the end of the file`);
  const name = new TextDecoder().decode(await file.read(Number(offset), length));
  return backingReference(name, null);
}

function l1Place(file: ByteSource, fields: Fields, entries: number, refuse: Refuse): Header["l1"] {
  const { l1_table_offset: offset } = fields;
  const bytes = entries * q.ENTRY_BYTES;
  if (bytes > q.MAX_L1_BYTES)
    throw refuse("limit", "size", `is ${fields.size}: the L1 table would have ${bytes} bytes, at most ${q.MAX_L1_BYTES} are read`);
  if (offset < BigInt(q.HEADER.bytes) || offset % BigInt(q.ENTRY_BYTES) !== 0n)
    throw refuse("corrupt", "l1_table_offset", `is ${q.hex(offset)}, expected a multiple of ${q.ENTRY_BYTES} after the header`);
  if (offset + BigInt(bytes) > BigInt(file.size))
    throw refuse(
      "corrupt",
      "l1_table_offset",
      `is ${q.hex(offset)}: the table of ${bytes} bytes runs past the end of the file (${file.size} bytes)`,
    );
  return { at: Number(offset), entries };
}
