import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { FromWorker, WorkerPort } from "../../blocks/protocol.ts";

/** More threads than this gain nothing: reading and writing become the limit. */
const MAX_WORKERS = 8;

/** One block worker thread per core. `entry` is the built `block-worker.js`. */
export function startWorkerPorts(entry: URL, count = Math.min(availableParallelism(), MAX_WORKERS)): WorkerPort[] {
  return Array.from({ length: count }, () => {
    const worker = new Worker(entry);
    return {
      post: (message, transfer) => worker.postMessage(message, [...transfer]),
      onMessage: (handler) => worker.on("message", (message: FromWorker) => handler(message)),
      onDeath: (handler) => worker.on("error", handler),
      end: () => void worker.terminate(),
    };
  });
}
