/** A qcow2 of 1 TiB, wholly allocated, in a million pieces: 16 clusters of 64 KiB lie together, and no piece follows the one before it. */
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";

const CLUSTER = 65_536;
const SIZE = 2 ** 40;
const ENTRIES = CLUSTER / 8;
const TABLES = SIZE / (CLUSTER * ENTRIES);
const PIECE = 16;
const PIECES = SIZE / CLUSTER / PIECE;
/** Odd, so that stepping by it visits every piece once. */
const STEP = 514_229;
const FIRST_TABLE = 2;
const FIRST_DATA = FIRST_TABLE + TABLES;

/** Only the tables are written; the data are holes. Refcounts are left out, as no reader of data needs them. */
export function makeFragmented(path) {
  const file = openSync(path, "w");
  const l1 = Buffer.alloc(CLUSTER);
  const copied = (buffer, index, cluster) => buffer.writeBigUInt64BE((1n << 63n) | BigInt(cluster * CLUSTER), index * 8);
  for (let t = 0; t < TABLES; t++) {
    const table = Buffer.alloc(CLUSTER);
    for (let i = 0; i < ENTRIES; i++) {
      const cluster = t * ENTRIES + i;
      const piece = (Math.floor(cluster / PIECE) * STEP) % PIECES;
      copied(table, i, FIRST_DATA + piece * PIECE + (cluster % PIECE));
    }
    writeSync(file, table, 0, CLUSTER, (FIRST_TABLE + t) * CLUSTER);
    copied(l1, t, FIRST_TABLE + t);
  }
  writeSync(file, l1, 0, CLUSTER, CLUSTER);
  const end = FIRST_DATA + SIZE / CLUSTER;
  const header = Buffer.alloc(104);
  header.write("QFI\xfb", 0, "latin1");
  header.writeUInt32BE(3, 4); // version
  header.writeUInt32BE(16, 20); // cluster_bits
  header.writeBigUInt64BE(BigInt(SIZE), 24);
  header.writeUInt32BE(TABLES, 36); // l1_size
  header.writeBigUInt64BE(BigInt(CLUSTER), 40); // l1_table_offset
  header.writeBigUInt64BE(BigInt(end * CLUSTER), 48); // refcount_table_offset
  header.writeUInt32BE(1, 56); // refcount_table_clusters
  header.writeUInt32BE(4, 96); // refcount_order
  header.writeUInt32BE(104, 100); // header_length
  writeSync(file, header, 0, header.length, 0);
  ftruncateSync(file, (end + 1) * CLUSTER);
  closeSync(file);
  return path;
}
