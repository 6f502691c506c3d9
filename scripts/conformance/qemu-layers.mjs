/** Layers in QEMU's own formats, from their descriptions: docs/interop/qcow2.txt, block/qcow.c (QCowHeader), docs/interop/qed_spec.rst. */
import { FileBytes } from "./file-bytes.mjs";

const CLUSTER = 4096;
const placeOf = (cluster) => cluster * CLUSTER;

/**
 * The two levels of tables that all three have, each of `tableClusters`, from cluster `first` on: L1, L2 tables and data, which lies in
 * the opposite order of the disk. `entryOf` has what an entry for data at a place is, `zero` that for zeros; null where there is none.
 */
function putTables(file, { size, unitsOf }, first, tableClusters, entryOf, zero) {
  const entries = (tableClusters * CLUSTER) / 8;
  const tables = Math.ceil(size / CLUSTER / entries);
  const tableAt = [];
  let next = first + tableClusters;
  file.grow(placeOf(next));
  for (const { index, bytes } of unitsOf(CLUSTER, zero !== null).reverse()) {
    const table = Math.floor(index / entries);
    if (tableAt[table] === undefined) {
      tableAt[table] = placeOf(next);
      next += tableClusters;
      file.grow(placeOf(next));
      file.u64(placeOf(first) + table * 8, entryOf(tableAt[table]));
    }
    const entryAt = tableAt[table] + (index % entries) * 8;
    if (bytes === null) file.u64(entryAt, zero);
    else {
      file.u64(entryAt, entryOf(placeOf(next)));
      file.put(placeOf(next++), bytes);
    }
  }
  return { tables, clusters: next };
}

/** Version 3: entries of 1 are zero clusters. */
function qcow2(layer) {
  const { name, size, parent } = layer;
  const file = new FileBytes("BE");
  const { tables, clusters } = putTables(file, layer, 3, 1, (at) => BigInt(at) | (1n << 63n), 1n);
  file.u32(0, 0x514649fb, 3);
  file.u32(20, 12);
  file.u64(24, size);
  file.u32(36, tables);
  file.u64(40, placeOf(3), placeOf(1));
  file.u32(56, 1);
  file.u32(96, 4, 104);
  // Every cluster is used once: one block of 2048 counts.
  if (clusters > CLUSTER / 2) throw new Error("more clusters than one refcount block counts");
  file.u64(placeOf(1), placeOf(2));
  for (let i = 0; i < clusters; i++) file.put(placeOf(2) + i * 2, [0, 1]);
  if (parent !== null) {
    const format = parent.format.padEnd(8, "\0");
    file.u32(104, 0xe2792aca, parent.format.length);
    file.text(112, format);
    file.text(1024, parent.name);
    file.u64(8, 1024);
    file.u32(16, parent.name.length);
  }
  return [{ name, bytes: file.bytes }];
}

/** Version 1 has no zero clusters. */
function qcow(layer) {
  const { name, size, parent } = layer;
  const file = new FileBytes("BE");
  putTables(file, layer, 1, 1, (at) => at, null);
  file.u32(0, 0x514649fb, 1);
  file.u64(24, size);
  file.put(32, [12, 9]);
  file.u64(40, placeOf(1));
  if (parent !== null) {
    file.text(48, parent.name);
    file.u64(8, 48);
    file.u32(16, parent.name.length);
  }
  return [{ name, bytes: file.bytes }];
}

/** Tables of two clusters: QEMU refuses those of one, though its own description allows them. */
function qed(layer) {
  const { name, size, parent } = layer;
  const file = new FileBytes("LE");
  putTables(file, layer, 1, 2, (at) => at, 1n);
  file.text(0, "QED\0");
  file.u32(4, CLUSTER, 2, 1);
  file.u64(40, placeOf(1), size);
  if (parent !== null) {
    file.text(64, parent.name);
    file.u64(16, 1);
    file.u32(56, 64, parent.name.length);
  }
  return [{ name, bytes: file.bytes }];
}

export const QEMU_LAYERS = { qcow2, qcow, qed };
