import { DiskError, type DiskErrorCode } from "../../core/errors.ts";
import type { ByteSource } from "../../core/model.ts";
import { type FooterChoice, type Remark, readFooter } from "./footer.ts";
import { type Area, type ParentLink, readParent } from "./parent.ts";
import { type DiskSize, diskSize } from "./size.ts";
import {
  bitmapBytesOf,
  checksumOf,
  ENTRY_BYTES,
  Footer,
  type FooterFields,
  HEADER_COOKIE,
  Header,
  type HeaderFields,
  NO_OFFSET,
  SECTOR,
  TYPE_DIFFERENCING,
  TYPE_DYNAMIC,
  TYPE_FIXED,
  tagText,
  VERSION_1_0,
} from "./spec.ts";

/** Where a sparse image keeps its blocks. Positions in the file, in bytes. */
export interface SparseLayout {
  readonly header: HeaderFields;
  readonly tableAt: number;
  /** Entries that the disk needs; `header.maxTableEntries` may be more. */
  readonly blocks: number;
  /** Bytes of disk per block. */
  readonly unit: number;
  /** Bytes of sector bitmap before a block's data. */
  readonly bitmapBytes: number;
  /** The footer's copy, the dynamic disk header and the table: no block may lie there. */
  readonly metadata: readonly Area[];
  /** Null for a dynamic image. */
  readonly parent: ParentLink | null;
}

export interface Layout {
  readonly footer: FooterFields;
  readonly choice: FooterChoice;
  /** Virtual size, whole sectors. */
  readonly size: number;
  /** Blocks and data end here, before the footer. */
  readonly dataEnd: number;
  /** Null for a fixed image, whose data begin at byte 0. */
  readonly sparse: SparseLayout | null;
  readonly remarks: readonly Remark[];
}

/** What the file says of itself, with every field that is relied on checked against the others and the file. */
export async function readLayout(file: ByteSource): Promise<Layout> {
  const choice = await readFooter(file);
  const { fields } = choice;
  const refuse = (code: DiskErrorCode, field: keyof FooterFields, shown: string, expected: string): never => {
    const at = choice.at + Footer.offsetOf(field);
    throw new DiskError(code, `vhd: ${field} is ${shown}, expected ${expected}`, { file: file.name, at });
  };
  const { diskType, currentSize, fileFormatVersion, dataOffset } = fields;
  if (fileFormatVersion !== VERSION_1_0) refuse("unsupported", "fileFormatVersion", hex(fileFormatVersion), `${hex(VERSION_1_0)} (1.0)`);
  if (diskType !== TYPE_FIXED && diskType !== TYPE_DYNAMIC && diskType !== TYPE_DIFFERENCING)
    refuse("corrupt", "diskType", String(diskType), "2 (fixed), 3 (dynamic) or 4 (differencing)");
  if (currentSize === 0n || currentSize % BigInt(SECTOR) !== 0n || currentSize > BigInt(Number.MAX_SAFE_INTEGER))
    refuse("corrupt", "currentSize", String(currentSize), `a multiple of ${SECTOR}, not 0 and less than 2^53`);
  const remarks = [...choice.remarks];
  const remark = (field: keyof FooterFields, text: string) =>
    remarks.push({ text, at: choice.at + Footer.offsetOf(field), isDamage: false });
  const take = ({ size, remark: text }: DiskSize): number => {
    if (text !== null) remark("currentSize", text);
    return size;
  };

  if (diskType === TYPE_FIXED) {
    const dataEnd = choice.endAt;
    if (Number(currentSize) > dataEnd || (!choice.isProven && Number(currentSize) !== dataEnd))
      refuse("corrupt", "currentSize", String(currentSize), `${dataEnd}, the bytes before the footer`);
    if (!choice.isProven && dataOffset !== NO_OFFSET)
      refuse("corrupt", "dataOffset", hex(dataOffset), `${hex(NO_OFFSET)} in a fixed image`);
    const size = take(diskSize(fields, dataEnd));
    if (size < dataEnd)
      remark("currentSize", `The disk has ${size} bytes, but ${dataEnd} stand before the footer: the last ${dataEnd - size} are left out.`);
    return { footer: fields, choice, size, dataEnd, sparse: null, remarks };
  }

  if (dataOffset % BigInt(SECTOR) !== 0n || dataOffset < BigInt(Footer.bytes) || dataOffset > BigInt(file.size - Header.bytes))
    refuse(
      "corrupt",
      "dataOffset",
      hex(dataOffset),
      `a multiple of ${SECTOR} with the dynamic disk header there, inside the file's ${file.size} bytes`,
    );
  const headerAt = Number(dataOffset);
  const { header, room } = await readHeader(file, headerAt, Number(currentSize), remarks);
  const size = take(diskSize(fields, room));
  const tableAt = Number(header.tableOffset);
  const metadata = [
    { at: 0, end: Footer.bytes },
    { at: headerAt, end: headerAt + Header.bytes },
    { at: tableAt, end: tableAt + header.maxTableEntries * ENTRY_BYTES },
  ];
  const parent = diskType === TYPE_DIFFERENCING ? await readParent(file, header, headerAt, choice.endAt) : null;
  if (parent !== null) remarks.push(...parent.remarks);
  const unit = header.blockSize;
  const sparse = { header, tableAt, blocks: Math.ceil(size / unit), unit, bitmapBytes: bitmapBytesOf(unit), metadata, parent };
  return { footer: fields, choice, size, dataEnd: choice.endAt, sparse, remarks };
}

/** The dynamic disk header, and how many bytes of disk its table has entries for. */
async function readHeader(
  file: ByteSource,
  at: number,
  currentSize: number,
  remarks: Remark[],
): Promise<{ header: HeaderFields; room: number }> {
  const raw = await file.read(at, Header.bytes);
  const header = Header.read(raw);
  const refuse = (code: DiskErrorCode, field: keyof HeaderFields, shown: string, expected: string): never => {
    throw new DiskError(code, `vhd: ${field} is ${shown}, expected ${expected}`, { file: file.name, at: at + Header.offsetOf(field) });
  };
  const { cookie, headerVersion, blockSize, maxTableEntries, tableOffset, checksum } = header;
  if (tagText(cookie) !== HEADER_COOKIE) refuse("corrupt", "cookie", `"${tagText(cookie)}"`, `"${HEADER_COOKIE}"`);
  if (headerVersion !== VERSION_1_0) refuse("unsupported", "headerVersion", hex(headerVersion), `${hex(VERSION_1_0)} (1.0)`);
  if (blockSize < SECTOR || (blockSize & (blockSize - 1)) !== 0)
    refuse("corrupt", "blockSize", String(blockSize), `a power of two, at least ${SECTOR}`);
  const needed = Math.ceil(currentSize / blockSize);
  if (maxTableEntries < needed)
    refuse(
      "corrupt",
      "maxTableEntries",
      String(maxTableEntries),
      `at least ${needed}: ${currentSize} bytes of disk in blocks of ${blockSize}`,
    );
  if (tableOffset > BigInt(file.size)) refuse("corrupt", "tableOffset", hex(tableOffset), `a place inside the file's ${file.size} bytes`);
  const tableEnd = Number(tableOffset) + maxTableEntries * ENTRY_BYTES;
  if (tableEnd > file.size)
    refuse(
      "corrupt",
      "maxTableEntries",
      String(maxTableEntries),
      `a table that ends inside the file's ${file.size} bytes, not at byte ${tableEnd}`,
    );
  const isApart = Number(tableOffset) >= Footer.bytes && (tableEnd <= at || Number(tableOffset) >= at + Header.bytes);
  if (tableOffset % BigInt(SECTOR) !== 0n || !isApart)
    refuse("corrupt", "tableOffset", hex(tableOffset), `a multiple of ${SECTOR}, apart from the footer's copy and the dynamic disk header`);
  const computed = checksumOf(raw, Header.offsetOf("checksum"));
  if (checksum !== computed)
    remarks.push({
      text: `The dynamic disk header is damaged or altered: its checksum is ${hex(checksum)}, but its bytes give ${hex(computed)}. Its fields fit the file and are used.`,
      at: at + Header.offsetOf("checksum"),
      isDamage: true,
    });
  return { header, room: maxTableEntries * blockSize };
}

const hex = (value: number | bigint) => `0x${value.toString(16)}`;
