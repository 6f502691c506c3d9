import { backingReference } from "../../core/backing-file.ts";
import type { ByteSource, FileReference, Note } from "../../core/model.ts";
import { type Extensions, readExtensions } from "./extensions.ts";
import * as q from "./spec.ts";

/** A range of the image file: an L1 table, the snapshot table … `length` counts bytes. */
export interface Place {
  readonly at: number;
  readonly length: number;
}

/** A validated header. All positions are bytes; what the disk's data depend on has been checked against the file's size. */
export interface Header {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  readonly clusterSize: number;
  /** Virtual size. */
  readonly size: number;
  readonly l1: { readonly at: number; readonly entries: number };
  /** l1_size, where the file holds fewer entries than that (but all that the disk needs). */
  readonly l1CutFrom: number | null;
  /** Entries of an L2 table, and their bytes. */
  readonly l2Entries: number;
  readonly l2EntryBytes: 8 | 16;
  /** Redundant for reading: a bad table is told by `problem`, and `place` is then null. */
  readonly refcountTable: { readonly place: Place | null; readonly problem: string | null };
  readonly refcountBits: number;
  readonly snapshots: { readonly at: bigint; readonly count: number };
  readonly backing: FileReference | null;
  readonly compression: "deflate" | "zstd";
  readonly encryption: "AES" | "LUKS" | null;
  readonly dirty: boolean;
  readonly corrupt: boolean;
  readonly lazyRefcounts: boolean;
  readonly extendedL2: boolean;
  readonly dataFile: boolean;
  readonly dataFileRaw: boolean;
  readonly bitmapsConsistent: boolean;
  readonly extensions: Extensions;
  /** Reasons why the data cannot be read. */
  readonly unsupported: readonly string[];
  readonly notes: readonly Note[];
}

type Fields = ReturnType<typeof q.HEADER_V2.read> & ReturnType<typeof q.HEADER_V3.read> & { compression_type: number };
type FieldName = keyof Fields;

const placeOf = (name: FieldName): number => {
  if (name in HEADER_V2_FIELDS) return q.HEADER_V2.offsetOf(name as keyof ReturnType<typeof q.HEADER_V2.read>);
  if (name === "compression_type") return q.V3_LENGTH;
  return q.HEADER_V2.bytes + q.HEADER_V3.offsetOf(name as keyof ReturnType<typeof q.HEADER_V3.read>);
};
const HEADER_V2_FIELDS = q.HEADER_V2.read(new Uint8Array(q.HEADER_V2.bytes));

/**
 * Reads and validates the first cluster. Throws when the disk cannot be told from it (`corrupt`, `limit`, or `unsupported`
 * for an unknown version); damage that leaves the data trustworthy becomes a note.
 */
export async function readHeader(file: ByteSource): Promise<Header> {
  const refuse = (code: "corrupt" | "limit" | "unsupported", field: FieldName, text: string) =>
    q.problem(code, `${field} ${text}`, { file: file.name, at: placeOf(field) });
  if (file.size < q.HEADER_V2.bytes)
    throw q.problem("corrupt", `${file.name} has ${file.size} bytes, a header needs ${q.HEADER_V2.bytes}: the file is truncated`, {
      file: file.name,
      at: file.size,
    });
  const start = await file.read(0, Math.min(file.size, q.FULL_LENGTH));
  const fields = readFields(file, start, refuse);
  const { version, cluster_bits: clusterBits } = fields;
  if (clusterBits < q.MIN_CLUSTER_BITS || clusterBits > q.MAX_CLUSTER_BITS)
    throw refuse("corrupt", "cluster_bits", `is ${clusterBits}, expected ${q.MIN_CLUSTER_BITS} to ${q.MAX_CLUSTER_BITS}`);
  const clusterSize = 2 ** clusterBits;
  const { header_length } = fields;
  if (version === 3 && (header_length < q.V3_LENGTH || header_length > clusterSize || header_length % 8 !== 0))
    throw refuse("corrupt", "header_length", `is ${header_length}, expected a multiple of 8 from ${q.V3_LENGTH} to the cluster size`);
  if (fields.refcount_order > q.MAX_REFCOUNT_ORDER)
    throw refuse("corrupt", "refcount_order", `is ${fields.refcount_order}, expected 0 to ${q.MAX_REFCOUNT_ORDER}`);
  if (fields.crypt_method > q.CRYPT_LUKS)
    throw refuse("unsupported", "crypt_method", `is ${fields.crypt_method}, known are 0 (none), 1 (AES) and 2 (LUKS)`);

  const has = (bits: bigint, bit: bigint) => (bits & bit) !== 0n;
  const incompatible = fields.incompatible_features;
  const unknown = incompatible & ~q.INCOMPAT_KNOWN;
  const extendedL2 = has(incompatible, q.INCOMPAT_EXTENDED_L2);
  if (unknown === 0n) {
    if (extendedL2 && clusterBits < q.MIN_EXTENDED_CLUSTER_BITS)
      throw refuse("corrupt", "cluster_bits", `is ${clusterBits}, extended L2 entries need at least ${q.MIN_EXTENDED_CLUSTER_BITS}`);
    if (has(incompatible, q.INCOMPAT_COMPRESSION) !== (fields.compression_type !== q.COMPRESSION_DEFLATE))
      throw refuse(
        "corrupt",
        "compression_type",
        `is ${fields.compression_type}, but the compression bit of incompatible_features says otherwise`,
      );
    if (fields.compression_type > q.COMPRESSION_ZSTD)
      throw refuse("unsupported", "compression_type", `is ${fields.compression_type}, known are 0 (deflate) and 1 (zstd)`);
  }

  const cluster = await file.read(0, Math.min(file.size, clusterSize));
  const backingName = readBackingName(fields, cluster, clusterSize, refuse);
  const extensionsEnd = backingName === null ? clusterSize : Number(fields.backing_file_offset);
  const extensions = readExtensions(file, cluster, version === 2 ? q.HEADER_V2.bytes : header_length, extensionsEnd);
  if (extensions.crypto !== null && fields.crypt_method !== q.CRYPT_LUKS)
    throw refuse("corrupt", "crypt_method", `is ${fields.crypt_method}, but the image has a LUKS encryption header`);
  if (extensions.crypto === null && fields.crypt_method === q.CRYPT_LUKS)
    throw refuse("corrupt", "crypt_method", "is 2 (LUKS), but the image has no LUKS encryption header");
  const l2EntryBytes = extendedL2 ? 16 : 8;
  const l2Entries = clusterSize / l2EntryBytes;
  const { size, l1, l1CutFrom } = unknown === 0n ? readL1Place(file, fields, clusterSize, l2Entries, refuse) : foreignSize(fields);
  const header: Header = {
    version,
    clusterBits,
    clusterSize,
    size,
    l1,
    l1CutFrom,
    l2Entries,
    l2EntryBytes,
    refcountTable: readRefcountTablePlace(file, fields, clusterSize, l1),
    refcountBits: 2 ** fields.refcount_order,
    snapshots: { at: fields.snapshots_offset, count: fields.nb_snapshots },
    backing: backingName === null ? null : backingReference(backingName, extensions.backingFormat),
    compression: fields.compression_type === q.COMPRESSION_ZSTD ? "zstd" : "deflate",
    encryption: fields.crypt_method === q.CRYPT_AES ? "AES" : fields.crypt_method === q.CRYPT_LUKS ? "LUKS" : null,
    dirty: has(incompatible, q.INCOMPAT_DIRTY),
    corrupt: has(incompatible, q.INCOMPAT_CORRUPT),
    lazyRefcounts: has(fields.compatible_features, q.COMPAT_LAZY_REFCOUNTS),
    extendedL2,
    dataFile: has(incompatible, q.INCOMPAT_DATA_FILE),
    dataFileRaw: has(fields.autoclear_features, q.AUTOCLEAR_DATA_FILE_RAW),
    bitmapsConsistent: has(fields.autoclear_features, q.AUTOCLEAR_BITMAPS),
    extensions,
    unsupported: [],
    notes: [],
  };
  return { ...header, unsupported: unsupportedOf(header, unknown), notes: [...notesOf(header), ...unknownBits(fields)] };
}

type Refuse = (code: "corrupt" | "limit" | "unsupported", field: FieldName, text: string) => Error;

function readFields(file: ByteSource, start: Uint8Array, refuse: Refuse): Fields & { version: 2 | 3 } {
  const base = q.HEADER_V2.read(start);
  const { version } = base;
  if (base.magic !== q.MAGIC) throw q.problem("wrong-format", `${file.name} does not begin with “QFI\\xfb”`, { file: file.name, at: 0 });
  if (version !== 2 && version !== 3)
    throw refuse("unsupported", "version", `is ${version}, known are 2 and 3${version === 1 ? " (1 is the older format qcow)" : ""}`);
  // [1] refcount_order, header_length: version 2 has neither, and no feature bits.
  const none = { incompatible_features: 0n, compatible_features: 0n, autoclear_features: 0n };
  if (version === 2) return { ...base, ...none, version, refcount_order: 4, header_length: q.HEADER_V2.bytes, compression_type: 0 };
  if (start.length < q.V3_LENGTH)
    throw q.problem("corrupt", `${file.name} ends inside its header, at byte ${start.length} of ${q.V3_LENGTH}: the file is truncated`, {
      file: file.name,
      at: start.length,
    });
  const rest = q.HEADER_V3.read(start, q.HEADER_V2.bytes);
  // A field past header_length is not present: extensions begin there.
  const compression_type = rest.header_length > q.V3_LENGTH ? (start[q.V3_LENGTH] ?? 0) : 0;
  return { ...base, ...rest, version, compression_type };
}

function readBackingName(fields: Fields, cluster: Uint8Array, clusterSize: number, refuse: Refuse): string | null {
  if (fields.backing_file_offset === 0n) return null;
  const length = fields.backing_file_size;
  if (length === 0 || length > q.MAX_BACKING_NAME)
    throw refuse("corrupt", "backing_file_size", `is ${length}, expected 1 to ${q.MAX_BACKING_NAME}`);
  const end = fields.backing_file_offset + BigInt(length);
  if (fields.backing_file_offset < BigInt(fields.header_length) || end > BigInt(clusterSize))
    throw refuse("corrupt", "backing_file_offset", `is ${fields.backing_file_offset}: the name is not inside the first cluster`);
  if (end > BigInt(cluster.length))
    throw refuse("corrupt", "backing_file_offset", `is ${fields.backing_file_offset}: the file ends before the name does`);
  return new TextDecoder().decode(cluster.subarray(Number(end) - length, Number(end)));
}

/** Of an image with features of the future, only the size is told. */
function foreignSize(fields: Fields): L1Place {
  return { size: fields.size > BigInt(Number.MAX_SAFE_INTEGER) ? 0 : Number(fields.size), l1: { at: 0, entries: 0 }, l1CutFrom: null };
}

interface L1Place {
  readonly size: number;
  readonly l1: Header["l1"];
  /** l1_size, where the file does not hold that many entries. */
  readonly l1CutFrom: number | null;
}

function readL1Place(file: ByteSource, fields: Fields, clusterSize: number, l2Entries: number, refuse: Refuse): L1Place {
  const { l1_size: entries, l1_table_offset: offset } = fields;
  if (fields.size > BigInt(Number.MAX_SAFE_INTEGER)) throw refuse("limit", "size", `is ${q.hex(fields.size)}, past 2^53`);
  const size = Number(fields.size);
  if (entries * 8 > q.MAX_L1_BYTES) throw refuse("corrupt", "l1_size", `is ${entries}, at most ${q.MAX_L1_BYTES / 8} entries are allowed`);
  const needed = Math.ceil(size / (clusterSize * l2Entries));
  if (entries < needed) throw refuse("corrupt", "l1_size", `is ${entries}, a disk of ${size} bytes needs ${needed}`);
  if (entries === 0) return { size, l1: { at: 0, entries }, l1CutFrom: null };
  if (offset % BigInt(clusterSize) !== 0n)
    throw refuse("corrupt", "l1_table_offset", `is ${q.hex(offset)}, expected a multiple of the cluster size`);
  if (offset === 0n) throw refuse("corrupt", "l1_table_offset", "is 0: the table would lie over the header");
  if (offset + BigInt(needed * 8) > BigInt(file.size))
    throw refuse("corrupt", "l1_table_offset", `is ${q.hex(offset)}: the table of ${needed} entries runs past the end of the file`);
  // Entries past the disk's are spare: a table that cannot be whole in the file is cut to those that the disk needs.
  const fits = offset + BigInt(entries * 8) <= BigInt(file.size);
  return { size, l1: { at: Number(offset), entries: fits ? entries : needed }, l1CutFrom: fits ? null : entries };
}

function readRefcountTablePlace(file: ByteSource, fields: Fields, clusterSize: number, l1: Header["l1"]): Header["refcountTable"] {
  const bad = (text: string) => ({ place: null, problem: text });
  const { refcount_table_offset: offset, refcount_table_clusters: clusters } = fields;
  const length = clusters * clusterSize;
  if (clusters === 0) return bad("refcount_table_clusters is 0");
  if (length > q.MAX_REFCOUNT_TABLE_BYTES)
    return bad(`refcount_table_clusters is ${clusters}, at most ${q.MAX_REFCOUNT_TABLE_BYTES} bytes are allowed`);
  if (offset === 0n || offset % BigInt(clusterSize) !== 0n)
    return bad(`refcount_table_offset is ${q.hex(offset)}, expected a multiple of the cluster size above 0`);
  if (offset + BigInt(length) > BigInt(file.size)) return bad(`refcount_table_offset is ${q.hex(offset)}: the table runs past the end`);
  const at = Number(offset);
  if (at < l1.at + l1.entries * 8 && l1.at < at + length) return bad("refcount_table_offset: the table lies over the L1 table");
  return { place: { at, length }, problem: null };
}

function unsupportedOf(header: Header, unknown: bigint): string[] {
  const reasons: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if (((unknown >> BigInt(bit)) & 1n) === 0n) continue;
    const name = header.extensions.incompatibleNames.get(bit);
    reasons.push(name === undefined ? `unknown incompatible feature ${bit}` : `${name} (unknown incompatible feature ${bit})`);
  }
  return reasons;
}

/** [1] Unknown compatible and auto-clear features may be ignored by a reader. */
function unknownBits(fields: Fields): Note[] {
  const sets = {
    compatible_features: q.COMPAT_LAZY_REFCOUNTS,
    autoclear_features: q.AUTOCLEAR_BITMAPS | q.AUTOCLEAR_DATA_FILE_RAW,
  } as const;
  return Object.entries(sets).flatMap(([name, known]) => {
    const unknown = fields[name as keyof typeof sets] & ~known;
    return unknown === 0n ? [] : [{ text: `Unknown bits ${q.hex(unknown)} of ${name} are ignored.`, severity: "warning" as const }];
  });
}

function notesOf(header: Header): Note[] {
  const notes: Note[] = [];
  const warn = (text: string) => notes.push({ text, severity: "warning" });
  const tell = (text: string) => notes.push({ text, severity: "info" });
  const { extensions } = header;
  if (header.corrupt) warn("The image is marked as corrupt by the program that wrote it; what is found damaged will be refused.");
  if (header.dirty) warn("The image was not closed cleanly (dirty bit): its refcounts may be wrong. Its data do not depend on them.");
  if (header.l1CutFrom !== null)
    warn(`l1_size is ${header.l1CutFrom}, more than the file holds: only the ${header.l1.entries} entries that the disk needs are used.`);
  if (header.refcountTable.problem !== null) warn(`Damaged refcounts, not needed for reading: ${header.refcountTable.problem}.`);
  if (header.dataFileRaw && header.backing !== null)
    warn("The image has both a raw external data file and a backing file; only one is allowed.");
  if (extensions.dataFileName !== null && !header.dataFile)
    warn(`The image names an external data file “${extensions.dataFileName}” but does not use one: the name is ignored.`);
  if (extensions.bitmaps !== null)
    (header.bitmapsConsistent ? tell : warn)(
      `Dirty bitmaps (${extensions.bitmaps.nb_bitmaps}) are not carried${header.bitmapsConsistent ? "" : "; they are out of date"}.`,
    );
  return notes;
}
