import type { ByteSource, FileReference } from "../../core/model.ts";
import { guidBytes, guidText } from "../../core/uuid.ts";
import type { Place } from "./regions.ts";
import {
  HAS_PARENT,
  hex,
  ITEM_IS_REQUIRED,
  ITEM_IS_USER,
  ITEMS,
  type ItemName,
  LARGEST_BLOCK,
  LARGEST_DISK,
  LEAVE_BLOCKS_ALLOCATED,
  LOCATOR_TYPE,
  LONGEST_ITEM,
  LocatorEntry,
  METADATA_SIGNATURE,
  METADATA_TABLE_BYTES,
  MetadataEntry,
  MetadataTable,
  MOST_ENTRIES,
  ParentLocator,
  problem,
  SMALLEST_BLOCK,
  utf16Text,
} from "./spec.ts";

export interface Metadata {
  readonly blockBytes: number;
  /** Blocks are kept when they become zero: the mark of a fixed image. */
  readonly isFixed: boolean;
  /** Virtual size, a multiple of the logical sector size. */
  readonly size: number;
  readonly diskId: string | null;
  readonly sectorBytes: number;
  readonly physicalSectorBytes: number;
  readonly parent: Parent | null;
}

export interface Parent {
  readonly reference: FileReference;
  /** Every key of the locator, for people. */
  readonly keys: Readonly<Record<string, string>>;
}

interface Item {
  readonly name: ItemName;
  readonly at: number;
  readonly content: Uint8Array;
}

/** The sizes that the specification gives; the parent locator's varies. */
const ITEM_BYTES: Readonly<Partial<Record<ItemName, number>>> = {
  fileParameters: 8,
  virtualDiskSize: 8,
  virtualDiskId: 16,
  logicalSectorSize: 4,
  physicalSectorSize: 4,
};
const NAMES = new Map<string, ItemName>(Object.entries(ITEMS).map(([name, guid]) => [guid, name as ItemName]));

/** [MS-VHDX] 2.6; `file` is the file after replay of its log. */
export async function readMetadata(file: ByteSource, region: Place): Promise<Metadata> {
  const items = await readItems(file, region);
  const item = (name: ItemName): Item => {
    const found = items.get(name);
    if (found === undefined) throw problem("corrupt", file.name, region.at, `the metadata table has no item ${name}`);
    return found;
  };
  const u32 = ({ content }: Item, at = 0) => new DataView(content.buffer, content.byteOffset).getUint32(at, true);
  const refuse = ({ name, at }: Item, value: number | bigint, expected: string) =>
    problem("corrupt", file.name, at, `${name} is ${value}, expected ${expected}`);

  const parameters = item("fileParameters");
  const blockBytes = u32(parameters);
  const flags = u32(parameters, 4);
  if (blockBytes < SMALLEST_BLOCK || blockBytes > LARGEST_BLOCK || !Number.isInteger(Math.log2(blockBytes)))
    throw problem("corrupt", file.name, parameters.at, `blockSize is ${blockBytes}, expected a power of two from 1 MiB to 256 MiB`);
  const sectorBytes = u32(item("logicalSectorSize"));
  const physicalSectorBytes = u32(item("physicalSectorSize"));
  for (const name of ["logicalSectorSize", "physicalSectorSize"] as const)
    if (u32(item(name)) !== 512 && u32(item(name)) !== 4096) throw refuse(item(name), u32(item(name)), "512 or 4096");
  const sizeItem = item("virtualDiskSize");
  const size = new DataView(sizeItem.content.buffer, sizeItem.content.byteOffset).getBigUint64(0, true);
  if (size === 0n || size > BigInt(LARGEST_DISK) || size % BigInt(sectorBytes) !== 0n)
    throw refuse(sizeItem, size, `a multiple of the logical sector size ${sectorBytes}, up to ${LARGEST_DISK} (64 TiB)`);
  return {
    blockBytes,
    isFixed: (flags & LEAVE_BLOCKS_ALLOCATED) !== 0,
    size: Number(size),
    diskId: guidText(item("virtualDiskId").content),
    sectorBytes,
    physicalSectorBytes,
    parent: (flags & HAS_PARENT) === 0 ? null : readParent(file.name, item("parentLocator")),
  };
}

/** The known items of the table. Every required one must be known, and none may lie over another. */
async function readItems(file: ByteSource, region: Place): Promise<ReadonlyMap<ItemName, Item>> {
  const table = await file.read(region.at, METADATA_TABLE_BYTES);
  const { signature, entryCount } = MetadataTable.read(table);
  if (signature !== METADATA_SIGNATURE)
    throw problem(
      "corrupt",
      file.name,
      region.at,
      `signature of the metadata table is ${hex(signature)}, expected ${hex(METADATA_SIGNATURE)}`,
    );
  if (entryCount > MOST_ENTRIES)
    throw problem(
      "corrupt",
      file.name,
      region.at + MetadataTable.offsetOf("entryCount"),
      `entryCount of the metadata table is ${entryCount}, expected at most ${MOST_ENTRIES}`,
    );
  const items = new Map<ItemName, Item>();
  const taken: { at: number; end: number; what: string }[] = [];
  for (let i = 0; i < entryCount; i++) {
    const entryAt = MetadataTable.bytes + i * MetadataEntry.bytes;
    const entry = MetadataEntry.read(table, entryAt);
    const guid = guidText(entry.itemId) ?? "nil";
    const name = (entry.flags & ITEM_IS_USER) === 0 ? NAMES.get(guid) : undefined;
    const what = name ?? `metadata item {${guid}}`;
    const refuse = (text: string) => problem("corrupt", file.name, region.at + entryAt, `${what} ${text}`);
    if (name === undefined && (entry.flags & ITEM_IS_REQUIRED) !== 0)
      throw problem("unsupported", file.name, region.at + entryAt, `${what} is required and not known`);
    const isEmpty = entry.length === 0 && entry.offset === 0;
    if (entry.length > LONGEST_ITEM || (!isEmpty && (entry.offset < METADATA_TABLE_BYTES || entry.offset + entry.length > region.length)))
      throw refuse(`has offset ${entry.offset} and length ${entry.length}, outside the metadata region of ${region.length} bytes`);
    if (entry.length > 0) taken.push({ at: entry.offset, end: entry.offset + entry.length, what });
    if (name === undefined) continue;
    if (items.has(name)) throw refuse("is listed twice");
    const bytes = ITEM_BYTES[name];
    if (bytes !== undefined && entry.length !== bytes) throw refuse(`has length ${entry.length}, expected ${bytes}`);
    const at = region.at + entry.offset;
    items.set(name, { name, at, content: await file.read(at, entry.length) });
  }
  taken.sort((a, b) => a.at - b.at);
  for (const [i, { end, what }] of taken.entries()) {
    const next = taken[i + 1];
    if (next !== undefined && end > next.at) throw problem("corrupt", file.name, region.at + next.at, `${what} and ${next.what} overlap`);
  }
  return items;
}

/** In the order in which they are to be tried. [MS-VHDX] 2.6.2.6.3 */
const PATH_KEYS = ["relative_path", "volume_path", "absolute_win32_path"] as const;

function readParent(file: string, { at, content }: Item): Parent {
  const refuse = (text: string, code: "corrupt" | "unsupported" = "corrupt") => problem(code, file, at, `the parent locator ${text}`);
  if (content.length < ParentLocator.bytes) throw refuse(`has ${content.length} bytes, expected at least ${ParentLocator.bytes}`);
  const { locatorType, keyValueCount } = ParentLocator.read(content);
  const type = guidText(locatorType) ?? "nil";
  if (type !== LOCATOR_TYPE) throw refuse(`is of type {${type}}, which is not known`, "unsupported");
  if (ParentLocator.bytes + keyValueCount * LocatorEntry.bytes > content.length) throw refuse(`is too short for ${keyValueCount} keys`);
  const keys: Record<string, string> = Object.create(null);
  let total = 0;
  const text = (offset: number, length: number) => {
    if (offset + length > content.length) throw refuse(`has a key or value at ${offset}+${length}, past its end`);
    total += length;
    if (total > content.length) throw refuse("has keys and values that overlap");
    return utf16Text(content.subarray(offset, offset + length));
  };
  for (let i = 0; i < keyValueCount; i++) {
    const entry = LocatorEntry.read(content, ParentLocator.bytes + i * LocatorEntry.bytes);
    const key = text(entry.keyOffset, entry.keyLength);
    if (key in keys) throw refuse(`has the key ${key} twice`);
    keys[key] = text(entry.valueOffset, entry.valueLength);
  }
  const linkage = guidBytes(keys["parent_linkage"] ?? "");
  if (linkage === null) throw refuse(`has no parent_linkage that is a GUID, but "${keys["parent_linkage"] ?? ""}"`);
  const path = PATH_KEYS.find((key) => (keys[key] ?? "") !== "");
  if (path === undefined) throw refuse(`has none of the keys ${PATH_KEYS.join(", ")}`);
  // While a parent is merged into its child, the child may lie over either. [MS-VHDX] 2.6.2.6.3
  const second = guidText(guidBytes(keys["parent_linkage2"] ?? "") ?? new Uint8Array(16));
  const otherIds = second === null ? {} : { otherIds: [second] };
  return { reference: { role: "parent", name: keys[path] as string, id: guidText(linkage), format: "vhdx", ...otherIds }, keys };
}
