import type { FromWorker, WorkerPort } from "../blocks/protocol.ts";

/** More workers than this gain nothing: the browser process that hands out file bytes becomes the limit. */
const MAX_WORKERS = 8;

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
      },
      end: () => worker.terminate(),
    };
  });
}
