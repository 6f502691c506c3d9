import { DiskError, type DiskErrorCode } from "../../core/errors.ts";
import type { ByteSource } from "../../core/model.ts";
import {
  ENTRY_BYTES,
  HEADER_BYTES,
  Header,
  HeaderVersion1,
  LARGEST_EXTENT,
  MAGIC,
  MOST_ENTRIES,
  SECTOR,
  SUBTYPE,
  TYPE,
  textOf,
  VERSION_1,
  VERSION_2,
} from "./spec.ts";

type Fields = ReturnType<typeof HeaderVersion1.read>;

export interface BochsHeader {
  readonly fields: Fields;
  /** Virtual size. */
  readonly size: number;
  /** Bytes of disk per catalog entry. */
  readonly unit: number;
  readonly entries: number;
  readonly catalogAt: number;
  /** Extents lie `stride` bytes apart from here, each behind `bitmapBytes` of its bitmap. */
  readonly dataAt: number;
  readonly stride: number;
  readonly bitmapBytes: number;
}

const roundUp = (value: number): number => Math.ceil(value / SECTOR) * SECTOR;

/** The header, with every field that is relied on held against the others and the file. */
export async function readHeader(file: ByteSource): Promise<BochsHeader> {
  if (file.size === 0) throw new DiskError("corrupt", `bochs: ${file.name} is empty`, { file: file.name, at: 0 });
  const head = await file.read(0, HEADER_BYTES);
  const isFirst = HeaderVersion1.read(head).version === VERSION_1;
  const layout = isFirst ? HeaderVersion1 : Header;
  const fields: Fields = layout.read(head);
  const refuse = (code: DiskErrorCode, field: keyof Fields, expected: string): never => {
    const value = fields[field];
    const shown =
      typeof value === "object" ? JSON.stringify(textOf(value)) : field === "version" ? `0x${value.toString(16)}` : String(value);
    throw new DiskError(code, `bochs: ${field} of ${file.name} is ${shown}, expected ${expected}`, {
      file: file.name,
      at: layout.offsetOf(field),
    });
  };
  if (textOf(fields.magic) !== MAGIC) refuse("corrupt", "magic", JSON.stringify(MAGIC));
  if (textOf(fields.type) !== TYPE) refuse("unsupported", "type", JSON.stringify(TYPE));
  if (textOf(fields.subtype) !== SUBTYPE)
    refuse(
      "unsupported",
      "subtype",
      `"${SUBTYPE}"; an undoable or volatile redolog holds only what differs from a disk that it does not name`,
    );
  if (!isFirst && fields.version !== VERSION_2)
    refuse("unsupported", "version", `0x${VERSION_1.toString(16)} or 0x${VERSION_2.toString(16)}`);
  const { header: catalogAt, catalog: entries, bitmap, extent: unit, disk } = fields;
  if (catalogAt < layout.bytes || catalogAt > file.size)
    refuse("corrupt", "header", "the place behind the header where the catalog begins");
  if (entries === 0 || entries > MOST_ENTRIES) refuse("corrupt", "catalog", `1 to ${MOST_ENTRIES} entries`);
  if (unit < SECTOR || unit > LARGEST_EXTENT || (unit & (unit - 1)) !== 0)
    refuse("corrupt", "extent", `a power of two from ${SECTOR} to ${LARGEST_EXTENT}`);
  const least = Math.ceil(unit / SECTOR / 8);
  if (bitmap < least || bitmap > LARGEST_EXTENT) refuse("corrupt", "bitmap", `${least} bytes, a bit for every sector of an extent`);
  if (disk % BigInt(SECTOR) !== 0n || disk > BigInt(entries) * BigInt(unit) || disk === 0n)
    refuse("corrupt", "disk", `whole sectors, at most the ${entries} extents of ${unit} bytes that the catalog has room for`);
  const dataAt = catalogAt + entries * ENTRY_BYTES;
  if (dataAt > file.size)
    throw new DiskError(
      "corrupt",
      `bochs: the catalog of ${file.name} ends at byte ${dataAt}, but the file at ${file.size}: it is truncated`,
      {
        file: file.name,
        at: layout.offsetOf("catalog"),
      },
    );
  const bitmapBytes = roundUp(bitmap);
  return { fields, size: Number(disk), unit, entries, catalogAt, dataAt, stride: bitmapBytes + unit, bitmapBytes };
}
