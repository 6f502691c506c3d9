import type { ByteSource } from "../../core/model.ts";
import type { Header } from "./header.ts";

/** Blocks kept at once; walks of an image touch them nearly in order. */
const KEPT_BYTES = 8 << 20;

/** Entry `index` of a refcount block. [1] Refcount block entry: below a byte, bit 0 is the least significant. */
export function refcountAt(block: DataView, index: number, bits: number): number {
  switch (bits) {
    case 8:
      return block.getUint8(index);
    case 16:
      return block.getUint16(index * 2);
    case 32:
      return block.getUint32(index * 4);
    case 64:
      return Number(block.getBigUint64(index * 8));
    default:
      return (block.getUint8(Math.floor((index * bits) / 8)) >> ((index * bits) % 8)) & (2 ** bits - 1);
  }
}

/** Sets entry `index` of a refcount block; `count` fits in `bits`. */
export function setRefcountAt(block: DataView, index: number, bits: number, count: number): void {
  if (bits === 8) block.setUint8(index, count);
  else if (bits === 16) block.setUint16(index * 2, count);
  else if (bits === 32) block.setUint32(index * 4, count);
  else if (bits === 64) block.setBigUint64(index * 8, BigInt(count));
  else {
    const at = Math.floor((index * bits) / 8);
    block.setUint8(at, block.getUint8(at) | (count << ((index * bits) % 8)));
  }
}

export const refcountBlockEntries = (clusterSize: number, bits: number): number => (clusterSize * 8) / bits;

/** The refcounts as the image states them. */
export interface Refcounts {
  /** Positions of the refcount blocks, by table index; 0: absent; NaN: an entry that cannot be one. */
  readonly blocks: Float64Array;
  /** Clusters that one block counts. */
  readonly perBlock: number;
  /** Block `index` of the table; null when there is none. */
  block(index: number): Promise<DataView | null>;
  /** Refcount of a host cluster; null when its block cannot be read. */
  get(cluster: number): Promise<number | null>;
}

/** Reads the refcount table (at most 8 MiB); blocks are read as asked for. Null when the header's fields for it are bad. */
export async function openRefcounts(file: ByteSource, header: Header): Promise<Refcounts | null> {
  const { clusterSize, refcountBits, refcountTable } = header;
  if (refcountTable.place === null) return null;
  const table = await file.read(refcountTable.place.at, refcountTable.place.length);
  const view = new DataView(table.buffer);
  const blocks = Float64Array.from({ length: table.length / 8 }, (_, i) => {
    const high = view.getUint32(i * 8);
    const low = view.getUint32(i * 8 + 4);
    const at = high * 2 ** 32 + low;
    // [1] Refcount table entry: bits 0–8 are reserved, the block is one aligned cluster.
    return at === 0 || (at % clusterSize === 0 && at + clusterSize <= file.size) ? at : Number.NaN;
  });
  const perBlock = refcountBlockEntries(clusterSize, refcountBits);
  const kept = new Map<number, DataView>();
  const block = async (index: number): Promise<DataView | null> => {
    const at = blocks[index] ?? 0;
    if (!(at > 0)) return null;
    const found = kept.get(index) ?? new DataView((await file.read(at, clusterSize)).buffer);
    kept.delete(index);
    kept.set(index, found);
    if (kept.size * clusterSize > KEPT_BYTES) kept.delete(kept.keys().next().value as number);
    return found;
  };
  return {
    blocks,
    perBlock,
    block,
    async get(cluster) {
      const index = Math.floor(cluster / perBlock);
      if (Number.isNaN(blocks[index])) return null;
      const found = await block(index);
      return found === null ? 0 : refcountAt(found, cluster % perBlock, refcountBits);
    },
  };
}
