import { createPool, type WorkerPool } from "../blocks/pool.ts";
import type { FromWorker, WorkerPort } from "../blocks/protocol.ts";
import { serveBlocks } from "../blocks/worker.ts";
import { createHasher } from "../kernels/disk-hash.ts";
import { createKernels } from "../kernels/index.ts";

/** The real pool over the real worker body, on this thread: messages are cloned and buffers detached as between threads. */
export function localPool(workers = 2): WorkerPool {
  return createPool(
    Array.from({ length: workers }, () => localPort()),
    createHasher(createKernels()),
  );
}

function localPort(): WorkerPort {
  let deliver: (message: FromWorker) => void = () => {};
  const openHandle = (): never => {
    throw new Error("local workers have no files of their own: sources are supplied with the orders");
  };
  const receive = serveBlocks(openHandle, (message, transfer) => {
    const clone = structuredClone(message, { transfer: [...transfer] });
    setImmediate(() => deliver(clone));
  });
  return {
    post: (message, transfer) => {
      const clone = structuredClone(message, { transfer: [...transfer] });
      setImmediate(() => receive(clone));
    },
    onMessage: (handler) => {
      deliver = handler;
    },
    onDeath: () => {},
    end: () => {},
  };
}
