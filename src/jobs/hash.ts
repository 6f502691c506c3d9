import type { BlockPool } from "../core/ports.ts";
import { attachDisk, type Disk } from "./disk.ts";
import { inOrder } from "./in-order.ts";
import type { Report } from "./progress.ts";
import { blockOrders, HASHES } from "./walk.ts";
import { finishHash, hashZeros } from "./zeros.ts";

/** BLAKE3 of the whole virtual disk, as `b3sum` prints for its raw form. Zeros cost time too: BLAKE3 ties each chunk to its place. */
export async function hashDisk(disk: Disk, pool: BlockPool, report: Report, signal: AbortSignal): Promise<Uint8Array> {
  const attached = attachDisk(disk, pool);
  const hash = pool.hasher.disk(disk.size);
  let done = 0;
  const step = (bytes: number, position: number): void => {
    done += bytes;
    report({ phase: "hash", done: Math.min(done, disk.size), total: disk.size, position });
  };
  try {
    const request = { ...HASHES, start: 0, end: disk.size };
    for await (const { work, result } of inOrder(pool, blockOrders(attached, request, signal), signal)) {
      result.hashAt.forEach((at, i) => void hash.add(at, result.hashes.subarray(i * 32, i * 32 + 32)));
      const position = work.order.grains[work.order.grains.length - 1] as number;
      step(work.dataBytes, position);
      await hashZeros(hash, "many", disk, pool, signal, (bytes) => step(bytes, position));
    }
  } finally {
    attached.detach();
  }
  const before = done;
  const rest: Report = ({ done: zeros, position }) => {
    done = before;
    step(zeros, position);
  };
  return finishHash(hash, disk, pool, rest, signal);
}
