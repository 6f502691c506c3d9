import type { BlockPool } from "../core/ports.ts";
import type { AttachedDisk } from "./disk.ts";
import { inOrder } from "./in-order.ts";
import { blockOrders, MIN_GRAIN } from "./walk.ts";

/** Bytes of a disk, decoded; for small pieces (a partition table, a differing block). Past the end of the disk is cut off. */
export async function readDisk(
  attached: AttachedDisk,
  pool: BlockPool,
  start: number,
  length: number,
  signal: AbortSignal,
  salvage = false,
): Promise<Uint8Array> {
  const end = Math.min(start + length, attached.disk.size);
  const out = new Uint8Array(Math.max(0, end - start));
  const onLost = salvage ? () => {} : null;
  const request = { unit: MIN_GRAIN, encoding: null, hash: false, units: true, salvage, start, end, onLost };
  for await (const { result } of inOrder(pool, blockOrders(attached, request, signal), signal)) {
    result.index.forEach((index, i) => {
      const at = index * MIN_GRAIN;
      const from = Math.max(at, start);
      const to = Math.min(at + MIN_GRAIN, end);
      const offset = result.offset[i] as number;
      if (from < to) out.set(new Uint8Array(result.buffer, offset + from - at, to - from), from - start);
    });
    pool.release(result.buffer);
  }
  return out;
}
