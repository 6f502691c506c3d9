import { BitSet } from "../../core/bit-set.ts";
import { joined } from "../../core/bytes.ts";
import { DiskError } from "../../core/errors.ts";
import type { Compute } from "../../core/ports.ts";
import type { ImageWriter, TargetSpec, Write } from "../../core/target.ts";
import { guidBytes, guidFrom } from "../../core/uuid.ts";
import { entryOfBlock } from "./block-table.ts";
import { checksumOf } from "./header.ts";
import { LOG_AT, LOG_BYTES, layoutOf, METADATA_AT, METADATA_BYTES, type VhdxLayout } from "./options.ts";
import * as v from "./spec.ts";

const CREATOR = "Spindle";
/** Divides every block size, and small enough that zeros between data stay unwritten. */
const UNIT = v.MIB;
/** Entries of one write of the BAT: 1 MiB. */
const WRITE_ENTRIES = v.MIB / v.BAT_ENTRY_BYTES;

/** What came: blocks, blocks that are zero, and which writes of the BAT they are in, so that nobody looks through an empty table of 512 MiB. */
interface Present {
  readonly blocks: BitSet;
  readonly zeros: BitSet;
  readonly batWrites: Set<number>;
}

/**
 * Headers, log, metadata, BAT and then the blocks, each where the one before it ends, all at multiples of 1 MiB. Dynamic: blocks
 * follow one another in the order in which they come. Fixed: every block has its place. Differencing: like dynamic, but in units of
 * whole blocks, so that none is present in part. By the specification no sector bitmap is needed then; libvhdi looks for one all the
 * same, for every block that is not there, and finds it in the file's header when the BAT says that there is none. So every chunk has
 * one, of zeros but for the blocks that are there. What identifies the file is written last, so that a file cut off in writing is no VHDX.
 */
export function createVhdx(spec: TargetSpec, compute: Compute): ImageWriter {
  const layout = layoutOf(spec);
  const { isFixed, blockBytes, blocks, dataAt, size } = layout;
  if (size > v.LARGEST_DISK) throw new DiskError("limit", "vhdx: a disk has at most 64 TiB");
  const present: Present = { blocks: new BitSet(), zeros: new BitSet(), batWrites: new Set() };
  const unit = layout.parent === null ? UNIT : blockBytes;
  for (let chunk = 0; chunk < layout.bitmaps; chunk++) present.batWrites.add(Math.floor(entryOfBitmap(chunk, layout) / WRITE_ENTRIES));
  /** All bits of one block. */
  const bits = new Uint8Array(v.BITMAP_BYTES / layout.ratio).fill(0xff);
  let used = 0;
  let lastBlock = -1;
  const enter = (block: number, kind: "blocks" | "zeros"): void => {
    present[kind].add(block);
    present.batWrites.add(Math.floor(entryOfBlock(block, layout.ratio) / WRITE_ENTRIES));
  };

  return {
    unit,
    files: [spec.name],
    encoding: null,
    sequential: false,
    *put(index, block) {
      if (block.kind === "packed") throw new TypeError("vhdx: blocks are never packed");
      const number = Math.floor((index * unit) / blockBytes);
      if (number !== lastBlock) {
        enter(number, "blocks");
        lastBlock = number;
        used++;
      }
      const slot = isFixed ? number : used - 1;
      if (layout.parent !== null) yield { file: 0, at: layout.bitmapsAt + number * bits.length, bytes: bits };
      yield { file: 0, at: dataAt + slot * blockBytes + ((index * unit) % blockBytes), bytes: block.bytes };
    },
    putZero(index) {
      if (layout.parent === null) throw new TypeError("vhdx: only a layer has explicit zeros");
      enter(index, "zeros");
      return [];
    },
    end(identity = spec.identity) {
      const sizes = [dataAt + (isFixed ? blocks : used) * blockBytes];
      return { writes: tables({ ...spec, identity }, layout, present, compute), sizes };
    },
  };
}

function* tables(spec: TargetSpec, layout: VhdxLayout, present: Present, compute: Compute): Generator<Write> {
  const write = (at: number, bytes: Uint8Array): Write => ({ file: 0, at, bytes });
  yield* batWrites(layout, present);
  const { table, items } = metadata(spec, layout);
  yield write(METADATA_AT + v.METADATA_TABLE_BYTES, items);
  yield write(METADATA_AT, table);
  const regions = regionTable(layout, compute);
  for (const at of v.REGION_TABLE_PLACES) yield write(at, regions);
  for (const [i, at] of v.HEADER_PLACES.entries()) yield write(at, header(spec, i + 1, compute));
  const creator = new Uint8Array(512);
  creator.set(v.utf16Bytes(CREATOR));
  yield write(0, v.FileIdentifier.write({ signature: new TextEncoder().encode(v.FILE_SIGNATURE), creator }));
}

/** Parts of the BAT in which no block is present stay unwritten: they are zero, as such entries are. */
function* batWrites(layout: VhdxLayout, present: Present): Generator<Write> {
  const { isFixed, blocks, ratio, batEntries, batAt, dataAt, blockBytes } = layout;
  let slot = 0;
  for (let first = 0; first < batEntries; first += WRITE_ENTRIES) {
    if (!isFixed && !present.batWrites.has(first / WRITE_ENTRIES)) continue;
    const count = Math.min(WRITE_ENTRIES, batEntries - first);
    const view = new DataView(new ArrayBuffer(count * v.BAT_ENTRY_BYTES));
    for (let block = first - Math.floor(first / (ratio + 1)); block < blocks; block++) {
      const entry = entryOfBlock(block, ratio) - first;
      if (entry >= count) break;
      if (present.zeros.has(block)) view.setUint32(entry * v.BAT_ENTRY_BYTES, v.BLOCK_ZERO, true);
      if (!isFixed && !present.blocks.has(block)) continue;
      setEntry(view, entry, dataAt + slot * blockBytes, v.BLOCK_FULLY_PRESENT);
      slot++;
    }
    for (let chunk = Math.floor(first / (ratio + 1)); chunk < layout.bitmaps; chunk++) {
      const entry = entryOfBitmap(chunk, layout) - first;
      if (entry >= count) break;
      setEntry(view, entry, layout.bitmapsAt + chunk * v.BITMAP_BYTES, v.BITMAP_PRESENT);
    }
    yield { file: 0, at: batAt + first * v.BAT_ENTRY_BYTES, bytes: new Uint8Array(view.buffer) };
  }
}

/** [MS-VHDX] 2.5.1; `at` is a multiple of 1 MiB. */
function setEntry(view: DataView, entry: number, at: number, state: number): void {
  const mebibyte = at / v.MIB;
  view.setUint32(entry * v.BAT_ENTRY_BYTES, ((mebibyte % 4096) << 20) | state, true);
  view.setUint32(entry * v.BAT_ENTRY_BYTES + 4, Math.floor(mebibyte / 4096), true);
}

/** The entry behind those of a chunk's blocks. [MS-VHDX] 2.5 */
const entryOfBitmap = (chunk: number, { ratio }: VhdxLayout): number => chunk * (ratio + 1) + ratio;

function header({ identity }: TargetSpec, sequenceNumber: number, compute: Compute): Uint8Array {
  return summed(
    v.Header.write({
      signature: v.HEADER_SIGNATURE,
      checksum: 0,
      sequenceNumber: BigInt(sequenceNumber),
      fileWriteGuid: guidOf(identity, 1),
      dataWriteGuid: guidOf(identity, 2),
      logGuid: new Uint8Array(16),
      logVersion: 0,
      version: 1,
      logLength: LOG_BYTES,
      logOffset: BigInt(LOG_AT),
    }),
    v.HEADER_BYTES,
    compute,
  );
}

function regionTable({ batAt, batBytes }: VhdxLayout, compute: Compute): Uint8Array {
  const entry = (guid: string, at: number, length: number) =>
    v.RegionEntry.write({ guid: knownGuid(guid), fileOffset: BigInt(at), length, required: 1 });
  const parts = [
    v.RegionTable.write({ signature: v.REGION_SIGNATURE, checksum: 0, entryCount: 2, reserved: 0 }),
    entry(v.BAT_REGION, batAt, batBytes),
    entry(v.METADATA_REGION, METADATA_AT, METADATA_BYTES),
  ];
  return summed(joined(parts), v.REGION_TABLE_BYTES, compute);
}

/** [MS-VHDX] 2.6.1, 2.6.2; which items belong to the virtual disk and are required is given for each. */
function metadata(spec: TargetSpec, layout: VhdxLayout): { readonly table: Uint8Array; readonly items: Uint8Array } {
  const { blockBytes, isFixed, size, sectorBytes, physicalSectorBytes, diskId, parent } = layout;
  const disk = v.ITEM_IS_VIRTUAL_DISK | v.ITEM_IS_REQUIRED;
  const kind = parent !== null ? v.HAS_PARENT : isFixed ? v.LEAVE_BLOCKS_ALLOCATED : 0;
  const list = [
    { id: v.ITEMS.fileParameters, flags: v.ITEM_IS_REQUIRED, content: joined([u32(blockBytes), u32(kind)]) },
    { id: v.ITEMS.virtualDiskSize, flags: disk, content: joined([u32(size % 2 ** 32), u32(Math.floor(size / 2 ** 32))]) },
    { id: v.ITEMS.virtualDiskId, flags: disk, content: diskId ?? guidOf(spec.identity, 3) },
    { id: v.ITEMS.logicalSectorSize, flags: disk, content: u32(sectorBytes) },
    { id: v.ITEMS.physicalSectorSize, flags: disk, content: u32(physicalSectorBytes) },
    ...(parent === null ? [] : [{ id: v.ITEMS.parentLocator, flags: v.ITEM_IS_REQUIRED, content: locatorOf(parent) }]),
  ];
  let offset = v.METADATA_TABLE_BYTES;
  const entries = list.map(({ id, flags, content }) => {
    const entry = v.MetadataEntry.write({ itemId: knownGuid(id), offset, length: content.length, flags, reserved: 0 });
    offset += content.length;
    return entry;
  });
  const head = v.MetadataTable.write({
    signature: v.METADATA_SIGNATURE,
    reserved: 0,
    entryCount: list.length,
    reserved2: new Uint8Array(20),
  });
  return { table: joined([head, ...entries]), items: joined(list.map(({ content }) => content)) };
}

/**
 * [MS-VHDX] 2.6.2.6: the parent's DataWriteGuid, and of the paths the relative one, which is tried first: it lies in the same folder,
 * wherever that is.
 */
function locatorOf({ name, dataWriteGuid }: NonNullable<VhdxLayout["parent"]>): Uint8Array {
  const texts = Object.entries({ parent_linkage: `{${dataWriteGuid}}`, relative_path: `.\\${name}` });
  const head = v.ParentLocator.write({ locatorType: knownGuid(v.LOCATOR_TYPE), reserved: 0, keyValueCount: texts.length });
  let at = v.ParentLocator.bytes + texts.length * v.LocatorEntry.bytes;
  const entries: Uint8Array[] = [];
  const contents: Uint8Array[] = [];
  for (const pair of texts) {
    const [key, value] = pair.map(v.utf16Bytes) as [Uint8Array, Uint8Array];
    const keyOffset = at;
    const valueOffset = at + key.length;
    entries.push(v.LocatorEntry.write({ keyOffset, valueOffset, keyLength: key.length, valueLength: value.length }));
    contents.push(key, value);
    at = valueOffset + value.length;
  }
  return joined([head, ...entries, ...contents]);
}

function u32(value: number): Uint8Array {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value, true);
  return out;
}

/** The structure, padded with zeros to `length`, with its checksum at byte 4. */
function summed(structure: Uint8Array, length: number, compute: Compute): Uint8Array {
  const out = new Uint8Array(length);
  out.set(structure);
  const sum = checksumOf(out, compute);
  out.set(u32(sum), 4);
  return out;
}

function knownGuid(text: string): Uint8Array {
  return guidBytes(text) as Uint8Array;
}

/** A GUID from the seed; `which` tells several of one image apart. */
const guidOf = (identity: Uint8Array, which: number): Uint8Array => guidFrom(identity.map((byte, i) => byte ^ (which * (i + 0x35))));
