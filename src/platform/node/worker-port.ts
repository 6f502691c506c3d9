import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { lazyPort } from "../../blocks/lazy-port.ts";
import { MAX_WORKERS } from "../../blocks/pool.ts";
import type { FromWorker, WorkerPort } from "../../blocks/protocol.ts";

/** One block worker thread per core, started when there is work for it. `entry` is the built `block-worker.js`. */
export function startWorkerPorts(entry: URL, count = Math.min(availableParallelism(), MAX_WORKERS)): WorkerPort[] {
  return Array.from({ length: count }, () => lazyPort(() => startWorker(entry)));
}

function startWorker(entry: URL): WorkerPort {
  const worker = new Worker(entry);
  return {
    post: (message, transfer) => worker.postMessage(message, [...transfer]),
    onMessage: (handler) => worker.on("message", (message: FromWorker) => handler(message)),
    onDeath: (handler) => worker.on("error", handler),
    end: () => void worker.terminate(),
  };
}
