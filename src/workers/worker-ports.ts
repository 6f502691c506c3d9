import { MAX_WORKERS } from "../blocks/pool.ts";
import type { FromWorker, WorkerPort } from "../blocks/protocol.ts";

/** One block worker per core, started from the engine so that the page's main thread is not in their path. */
export function startWorkerPorts(count = Math.min(navigator.hardwareConcurrency, MAX_WORKERS)): WorkerPort[] {
  return Array.from({ length: count }, (_, i) => {
    const worker = new Worker(new URL("./block.worker.ts", import.meta.url), { type: "module", name: `block-${i}` });
    return {
      post: (message, transfer) => worker.postMessage(message, [...transfer]),
      onMessage: (handler) => {
        worker.onmessage = ({ data }: MessageEvent<FromWorker>) => handler(data);
      },
      onDeath: (handler) => {
        worker.onerror = (event) => handler(event.message);
        worker.onmessageerror = () => handler("a message could not be read");
      },
      end: () => worker.terminate(),
    };
  });
}
