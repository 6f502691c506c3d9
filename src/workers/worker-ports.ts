import { lazyPort } from "../blocks/lazy-port.ts";
import { MAX_WORKERS } from "../blocks/pool.ts";
import type { FromWorker, WorkerPort } from "../blocks/protocol.ts";

/** One block worker per core, started when there is work for it; by the engine, so that the page's main thread is not in their path. */
export function startWorkerPorts(count = Math.min(navigator.hardwareConcurrency, MAX_WORKERS)): WorkerPort[] {
  return Array.from({ length: count }, (_, i) => lazyPort(() => startWorker(`block-${i}`)));
}

function startWorker(name: string): WorkerPort {
  // The script that this engine was started with (see entry.worker.ts).
  const worker = new Worker(self.location.href, { type: "module", name });
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
}
