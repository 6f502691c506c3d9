import type { ByteSource } from "../../core/model.ts";
import type { ClusterTally } from "./check-tally.ts";
import type { Header } from "./header.ts";
import * as q from "./spec.ts";

/** Largest directory and table of QEMU. */
const MOST_DIRECTORY_BYTES = q.MAX_BITMAPS * (q.BITMAP.bytes + 1024);
const MOST_TABLE_ENTRIES = 0x8000000;

/** [1] Bitmaps: counts the clusters of the directory, the tables and the data. Bitmaps out of date own nothing, as for QEMU. */
export async function checkBitmaps(file: ByteSource, header: Header, tally: ClusterTally): Promise<void> {
  const { bitmaps } = header.extensions;
  if (bitmaps === null || !header.bitmapsConsistent) return;
  const { bitmap_directory_offset: offset, bitmap_directory_size: size, nb_bitmaps: count } = bitmaps;
  const bad = (text: string) => tally.corruption(`bitmaps: ${text}`, Number(offset));
  const aligned = (value: bigint) => value > 0n && value % BigInt(header.clusterSize) === 0n;
  if (count > q.MAX_BITMAPS || size > BigInt(MOST_DIRECTORY_BYTES) || !aligned(offset) || offset + size > BigInt(file.size))
    return bad(`a directory of ${size} bytes for ${count} bitmaps cannot be at ${q.hex(offset)}`);
  tally.use(Number(offset), Number(size), "the bitmap directory", 1);
  const directory = await file.read(Number(offset), Number(size));
  let read = 0;
  for (let i = 0, at = 0; i < count; i++) {
    if (at + q.BITMAP.bytes > directory.length) return bad(`entry ${i} of the directory runs past its end`);
    const entry = q.BITMAP.read(directory, at);
    at += Math.ceil((q.BITMAP.bytes + entry.extra_data_size + entry.name_size) / 8) * 8;
    const length = entry.bitmap_table_size * 8;
    read += length;
    const inside = entry.bitmap_table_offset + BigInt(length) <= BigInt(file.size);
    if (entry.bitmap_table_size > MOST_TABLE_ENTRIES || !aligned(entry.bitmap_table_offset) || !inside || read > file.size)
      bad(`table ${i} of ${entry.bitmap_table_size} entries cannot be at ${q.hex(entry.bitmap_table_offset)}`);
    else if (length > 0) await countTable(file, header, tally, Number(entry.bitmap_table_offset), length);
  }
}

async function countTable(file: ByteSource, header: Header, tally: ClusterTally, tableAt: number, length: number): Promise<void> {
  tally.use(tableAt, length, "a bitmap table", 1);
  for (let from = 0; from < length; from += 1 << 20) {
    const part = await file.read(tableAt + from, Math.min(1 << 20, length - from));
    const view = new DataView(part.buffer);
    for (let i = 0; i < part.length; i += 8) {
      const at = q.offsetOf(view.getUint32(i), view.getUint32(i + 4));
      if (at === 0) continue;
      if (at % header.clusterSize !== 0) tally.corruption(`bitmaps: data at ${q.hex(at)} is not aligned`, tableAt + from + i);
      else tally.use(at, header.clusterSize, "bitmap data", 1);
    }
  }
}
