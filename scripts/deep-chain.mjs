/** A deep chain of qcow2 images over 1 TiB, laid out as QEMU does; for measuring, not for `check`: clusters are not counted. */
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";

const SIZE = 2 ** 40;
const CLUSTER = 65_536;
const TABLE_ENTRIES = CLUSTER / 8;
const TABLE_SPAN = TABLE_ENTRIES * CLUSTER;
const TABLES = SIZE / TABLE_SPAN;
const COPIED = 1n << 63n;

/** Numbers that look random and are the same every time. */
function createRandom(seed) {
  return (below) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
}

/** Cluster numbers of one layer: anywhere, or in a few places where the machine was busy. */
function clustersOf(count, isLocal, random) {
  const wanted = new Set();
  const busy = Array.from({ length: 40 }, () => random(TABLES));
  while (wanted.size < count) {
    const table = isLocal && random(10) > 0 ? busy[random(busy.length)] : random(TABLES);
    wanted.add(table * TABLE_ENTRIES + random(TABLE_ENTRIES));
  }
  return [...wanted].sort((a, b) => a - b);
}

/** A version 3 image as QEMU lays one out, with data in the first sector of each cluster, every tenth cluster explicitly zero. */
function writeLayer(path, backing, clusters, mark) {
  const file = openSync(path, "w");
  const l1At = CLUSTER;
  let next = 2 * CLUSTER;
  const l1 = Buffer.alloc(CLUSTER);
  let table = -1;
  let l2 = Buffer.alloc(CLUSTER);
  const endTable = () => {
    if (table < 0) return;
    l1.writeBigUInt64BE(BigInt(next) | COPIED, table * 8);
    writeSync(file, l2, 0, CLUSTER, next);
    next += CLUSTER;
  };
  for (const [i, cluster] of clusters.entries()) {
    const own = Math.floor(cluster / TABLE_ENTRIES);
    if (own !== table) {
      endTable();
      table = own;
      l2 = Buffer.alloc(CLUSTER);
    }
    const entry = (cluster % TABLE_ENTRIES) * 8;
    if (i % 10 === 9) {
      l2.writeBigUInt64BE(1n, entry);
      continue;
    }
    l2.writeBigUInt64BE(BigInt(next) | COPIED, entry);
    writeSync(file, Buffer.alloc(512, 1 + ((mark * 7 + i) % 255)), 0, 512, next);
    next += CLUSTER;
  }
  endTable();
  writeSync(file, l1, 0, CLUSTER, l1At);
  const header = Buffer.alloc(CLUSTER);
  header.write("QFI\xfb", 0, "latin1");
  header.writeUInt32BE(3, 4);
  const name = Buffer.from(backing ?? "");
  const nameAt = 104 + 8 + 8 + 8;
  if (backing !== null) {
    header.writeBigUInt64BE(BigInt(nameAt), 8);
    header.writeUInt32BE(name.length, 16);
    header.writeUInt32BE(0xe2792aca, 104);
    header.writeUInt32BE(5, 108);
    header.write("qcow2", 112);
    name.copy(header, nameAt);
  }
  header.writeUInt32BE(16, 20);
  header.writeBigUInt64BE(BigInt(SIZE), 24);
  header.writeUInt32BE(TABLES, 36);
  header.writeBigUInt64BE(BigInt(l1At), 40);
  // One refcount table cluster behind everything; nothing here reads the counts.
  header.writeBigUInt64BE(BigInt(next), 48);
  header.writeUInt32BE(1, 56);
  header.writeUInt32BE(4, 96);
  header.writeUInt32BE(104, 100);
  writeSync(file, header, 0, CLUSTER, 0);
  ftruncateSync(file, next + CLUSTER);
  closeSync(file);
}

/**
 * Writes `layers` images with `extents` extents of one cluster between them into `folder`, and returns the top's name. `isLocal`: nine of
 * ten lie in a few places of each layer; otherwise anywhere.
 */
export function makeDeepChain(folder, { layers, extents, isLocal }) {
  const random = createRandom(12345);
  const nameOf = (layer) => `l${layer}.qcow2`;
  for (let layer = 0; layer < layers; layer++) {
    const clusters = clustersOf(Math.floor(extents / layers), isLocal, random);
    writeLayer(join(folder, nameOf(layer)), layer === 0 ? null : nameOf(layer - 1), clusters, layer);
  }
  return nameOf(layers - 1);
}
