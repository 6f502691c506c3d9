import { DiskError } from "../core/errors.ts";

/** Of a WASM memory, in bytes. */
export const PAGE = 1 << 16;

/**
 * Pages of 64 KiB. Throws `limit` where there are none to be had: engines set some 10 GB of addresses aside for each memory, which a limit
 * on them (`ulimit -v`) may not allow.
 */
export function createMemory(initial: number, maximum?: number): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial, ...(maximum !== undefined && { maximum }) });
  } catch (cause) {
    const needed = (initial * PAGE) / 2 ** 20;
    throw new DiskError("limit", `the system gives no memory: ${needed} MiB are needed, with 10 GB of addresses set aside for them`, {
      cause,
    });
  }
}
