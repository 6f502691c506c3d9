import { hexText } from "../../core/hex.ts";
import type { ByteSource } from "../../core/model.ts";
import type { BlockTable } from "./block-table.ts";
import type { ImageHeader } from "./header.ts";
import { DirtyBitmap, EXTENSION_MAGIC, ExtensionHeader, FEATURE_DIRTY_BITMAP, FEATURE_END, Feature, SECTOR } from "./spec.ts";

export interface BitmapInfo {
  readonly id: string;
  /** Sectors per bit. */
  readonly granularity: number;
}
export interface Extension {
  readonly bitmaps: readonly BitmapInfo[];
  /** Features that are not known, by their number. */
  readonly unknown: readonly string[];
  /** Why it could not be read to its end; null: it could. The disk's data do not depend on it. */
  readonly problem: string | null;
}

const MOST_FEATURES = 1000;
/** Of an extension cluster that is larger than this, only as much is read. */
const MOST_BYTES = 4 << 20;

/**
 * The format extension, null when there is none; what it uses of the file is claimed in `table`. Its MD5 sum is not compared:
 * nothing of the disk is read by what it says. [IMAGE] Format Extension
 */
export async function readExtension(file: ByteSource, header: ImageHeader, table: BlockTable): Promise<Extension | null> {
  if (header.extensionAt === 0n) return null;
  const bitmaps: BitmapInfo[] = [];
  const unknown: string[] = [];
  const ended = (problem: string | null): Extension => ({ bitmaps, unknown, problem });
  const at = Number(header.extensionAt);
  if (header.extensionAt + BigInt(header.unit) > BigInt(file.size))
    return ended(`ext_off puts it at byte ${header.extensionAt}, past the end of the file`);
  if (!table.claim(at)) return ended(`ext_off puts it at byte ${at}, which is no cluster of the data area`);
  const cluster = await file.read(at, Math.min(header.unit, MOST_BYTES));
  if (cluster.length < ExtensionHeader.bytes || ExtensionHeader.read(cluster).magic !== EXTENSION_MAGIC) return ended("it has no magic");
  for (let next = ExtensionHeader.bytes; bitmaps.length + unknown.length < MOST_FEATURES; ) {
    if (next + Feature.bytes > cluster.length) return ended("its last feature is missing");
    const feature = Feature.read(cluster, next);
    if (feature.magic === FEATURE_END) return ended(null);
    const dataAt = next + Feature.bytes;
    next = dataAt + Math.ceil(feature.data_size / 8) * 8;
    if (next > cluster.length) return ended(`the feature at byte ${at + dataAt - Feature.bytes} does not fit into it`);
    if (feature.magic !== FEATURE_DIRTY_BITMAP) {
      unknown.push(`0x${feature.magic.toString(16)}`);
      continue;
    }
    const bitmap = readBitmap(cluster.subarray(dataAt, dataAt + feature.data_size), table);
    if (bitmap === null) return ended(`the dirty bitmap at byte ${at + dataAt} is damaged`);
    bitmaps.push(bitmap);
  }
  return ended(`it has more than ${MOST_FEATURES} features`);
}

/** [IMAGE] Dirty bitmaps feature: L1 entries of 0 and 1 stand for bits all alike, others are sectors. */
function readBitmap(data: Uint8Array, table: BlockTable): BitmapInfo | null {
  if (data.length < DirtyBitmap.bytes) return null;
  const { id, granularity, l1_size: entries } = DirtyBitmap.read(data);
  if (DirtyBitmap.bytes + entries * 8 > data.length) return null;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let i = 0; i < entries; i++) {
    const sector = view.getBigUint64(DirtyBitmap.bytes + i * 8, true);
    if (sector > 1n && !table.claim(Number(sector) * SECTOR)) return null;
  }
  return { id: hexText(id), granularity };
}
