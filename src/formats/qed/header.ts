import { backingReference } from "../../core/backing-file.ts";
import { DiskError, type DiskErrorCode } from "../../core/errors.ts";
import type { ByteSource, FileReference } from "../../core/model.ts";
import {
  FEATURE_BACKING,
  FEATURE_RAW_BACKING,
  Header,
  KNOWN_FEATURES,
  LARGEST_CLUSTER,
  LARGEST_TABLE,
  LEAST_CLUSTER,
  LONGEST_NAME,
  MAGIC,
  mostBytes,
  SECTOR,
  tableEntries,
} from "./spec.ts";

export interface QedHeader {
  readonly fields: ReturnType<typeof Header.read>;
  /** Virtual size. */
  readonly size: number;
  readonly unit: number;
  /** Entries of a table, L1 or L2. */
  readonly entries: number;
  readonly tableBytes: number;
  /** Bytes of disk per L2 table; past 2^53 for the largest clusters, which no disk reaches. */
  readonly span: number;
  readonly l1At: number;
  /** Where regular clusters begin. */
  readonly headerEnd: number;
  readonly backing: FileReference | null;
}

type Refuse = (code: DiskErrorCode, field: keyof QedHeader["fields"], expected: string) => never;

/** The header, with every field that is relied on held against the others and the file. [QED] Field descriptions */
export async function readHeader(file: ByteSource): Promise<QedHeader> {
  if (file.size === 0) throw new DiskError("corrupt", `qed: ${file.name} is empty`, { file: file.name, at: 0 });
  const fields = Header.read(await file.read(0, Header.bytes));
  const refuse: Refuse = (code, field, expected) => {
    const shown = /features|magic/.test(field) ? `0x${fields[field].toString(16)}` : String(fields[field]);
    throw new DiskError(code, `qed: ${field} of ${file.name} is ${shown}, expected ${expected}`, {
      file: file.name,
      at: Header.offsetOf(field),
    });
  };
  const { magic, cluster_size: unit, table_size: tableSize, features } = fields;
  if (magic !== MAGIC) refuse("corrupt", "magic", `0x${MAGIC.toString(16)}`);
  if (!isPowerOfTwo(unit) || unit < LEAST_CLUSTER || unit > LARGEST_CLUSTER)
    refuse("corrupt", "cluster_size", `a power of two from ${LEAST_CLUSTER} to ${LARGEST_CLUSTER}`);
  if (!isPowerOfTwo(tableSize) || tableSize > LARGEST_TABLE) refuse("corrupt", "table_size", `a power of two up to ${LARGEST_TABLE}`);
  const headerEnd = fields.header_size * unit;
  if (fields.header_size === 0 || headerEnd > file.size)
    refuse("corrupt", "header_size", `at least 1, and ${unit} bytes each inside the file of ${file.size}`);
  if ((features & ~KNOWN_FEATURES) !== 0n) refuse("unsupported", "features", `no bits besides 0x${KNOWN_FEATURES.toString(16)}`);
  const tableBytes = tableSize * unit;
  const l1At = Number(fields.l1_table_offset);
  if (fields.l1_table_offset % BigInt(unit) !== 0n || l1At < headerEnd || l1At + tableBytes > file.size)
    refuse("corrupt", "l1_table_offset", `a multiple of ${unit}, behind the header, with ${tableBytes} bytes of table inside the file`);
  if (fields.image_size % BigInt(SECTOR) !== 0n || fields.image_size > mostBytes(unit, tableSize))
    refuse("corrupt", "image_size", `a multiple of ${SECTOR} up to ${mostBytes(unit, tableSize)}`);
  if (fields.image_size > BigInt(Number.MAX_SAFE_INTEGER)) refuse("limit", "image_size", "less than 2^53 bytes");
  const entries = tableEntries(unit, tableSize);
  return {
    fields,
    size: Number(fields.image_size),
    unit,
    entries,
    tableBytes,
    span: entries * unit,
    l1At,
    headerEnd,
    backing: (features & FEATURE_BACKING) === 0n ? null : await readBacking(file, fields, headerEnd, refuse),
  };
}

const isPowerOfTwo = (value: number): boolean => value > 0 && (value & (value - 1)) === 0;

async function readBacking(file: ByteSource, fields: QedHeader["fields"], headerEnd: number, refuse: Refuse): Promise<FileReference> {
  const { backing_filename_offset: at, backing_filename_size: length } = fields;
  if (length === 0 || length > LONGEST_NAME) refuse("corrupt", "backing_filename_size", `1 to ${LONGEST_NAME}`);
  if (at < Header.bytes || at + length > headerEnd)
    refuse(
      "corrupt",
      "backing_filename_offset",
      `a place for ${length} bytes between the fields and the end of the header at ${headerEnd}`,
    );
  const name = new TextDecoder().decode(await file.read(at, length));
  return backingReference(name, (fields.features & FEATURE_RAW_BACKING) === 0n ? null : "raw");
}
