import type { BlockPool } from "../core/ports.ts";
import { type ConvertPorts, finishHash } from "./convert.ts";
import { attachDisk, type Disk } from "./disk.ts";
import { inOrder } from "./in-order.ts";
import type { Report } from "./progress.ts";
import { blockOrders, HASHES } from "./walk.ts";

/** BLAKE3 of the whole virtual disk, as `b3sum` prints for its raw form. Zeros cost time too: BLAKE3 ties each chunk to its place. */
export async function hashDisk(
  disk: Disk,
  ports: Pick<ConvertPorts, "breathe"> & { readonly pool: BlockPool },
  report: Report,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const attached = attachDisk(disk, ports.pool);
  const hash = ports.pool.hasher.disk(disk.size);
  let position = 0;
  const step = (): void => report({ phase: "hash", done: position, total: disk.size, position });
  try {
    const request = { ...HASHES, start: 0, end: disk.size };
    for await (const { work, result } of inOrder(ports.pool, blockOrders(attached, request, signal), signal)) {
      result.hashAt.forEach((at, i) => void hash.add(at, result.hashes.subarray(i * 32, i * 32 + 32)));
      while (!hash.advance(ZEROS_AT_ONCE)) {
        signal.throwIfAborted();
        await ports.breathe();
      }
      position = work.order.grains[work.order.grains.length - 1] as number;
      step();
    }
  } finally {
    attached.detach();
  }
  return finishHash(hash, ports, signal, step);
}
const ZEROS_AT_ONCE = 64 << 20;
