import { DiskError, fromPlainError, toPlainError } from "../core/errors.ts";
import type { ByteSource } from "../core/model.ts";
import type { BlockOrder, BlockPool, Hasher } from "../core/ports.ts";
import type { FromWorker, Supply, ToWorker, WorkerPort } from "./protocol.ts";
import { footprint, orderReads } from "./reads.ts";

/** So many workers with their orders stay within 300 MiB (see `planConvert`); reading and writing become the limit before that. */
export const MAX_WORKERS = 5;
/** Orders in flight per worker: one being worked on, one waiting, so that a worker never idles between them. */
const ORDERS_PER_WORKER = 2;
/** Browsers read and write 8 MiB at a time faster than 4, but only so many workers may hold as much within those 300 MiB. */
const FEW_WORKERS = 3;
const [LARGE_ORDER, SMALL_ORDER] = [8 << 20, 4 << 20];

type Answer = Exclude<FromWorker, { type: "failed" }>;
interface Pending {
  readonly worker: number;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

/** Workers are ended by `end()`; orders still in flight are then rejected. */
export interface WorkerPool extends BlockPool {
  /** A worker has died: every further order fails. */
  readonly isDead: boolean;
  end(): void;
}

/** Spreads orders over workers, each to the least busy one. */
export function createPool(ports: readonly WorkerPort[], hasher: Hasher): WorkerPool {
  const sources = new Map<number, ByteSource>();
  const pending = new Map<number, Pending>();
  const load = ports.map(() => 0);
  let lastSource = 0;
  let lastJob = 0;
  let dead: unknown = null;

  const settle = (message: FromWorker): void => {
    const job = pending.get(message.job);
    if (job === undefined) return;
    pending.delete(message.job);
    load[job.worker] = (load[job.worker] as number) - 1;
    if (message.type === "failed") job.reject(fromPlainError(message.error));
    else job.resolve(message);
  };
  const die = (error: unknown): void => {
    dead ??= error;
    for (const job of pending.values()) job.reject(error);
    pending.clear();
  };
  /** Gives the work to the least busy worker. */
  const hand = <A extends Answer>(work: (job: number) => ToWorker, transfer: readonly ArrayBuffer[]): Promise<A> => {
    const worker = load.indexOf(Math.min(...load));
    load[worker] = (load[worker] as number) + 1;
    const job = ++lastJob;
    return new Promise<Answer>((resolve, reject) => {
      pending.set(job, { worker, resolve, reject });
      (ports[worker] as WorkerPort).post(work(job), transfer);
    }) as Promise<A>;
  };
  for (const port of ports) {
    port.onMessage(settle);
    port.onDeath((cause) => {
      const why = cause instanceof Error ? cause.message : String(cause ?? "out of memory?");
      die(new DiskError("io", `a block worker ended unexpectedly: ${why}`, { cause }));
    });
  }

  return {
    credits: ports.length * ORDERS_PER_WORKER,
    orderBytes: ports.length <= FEW_WORKERS ? LARGE_ORDER : SMALL_ORDER,
    hasher,
    get isDead() {
      return dead !== null;
    },
    attach(source) {
      const id = ++lastSource;
      sources.set(id, source);
      const { name, size, origin } = source;
      for (const port of ports) port.post({ type: "attach", id, name, size, origin }, []);
      return id;
    },
    detach(id) {
      for (const port of ports) port.post({ type: "detach", id }, []);
      sources.delete(id);
    },
    async process(order, signal) {
      signal.throwIfAborted();
      if (dead !== null) throw dead;
      const supplies = await supply(order, sources, signal);
      if (dead !== null) throw dead;
      const transfer = supplies.flatMap(({ content }) => (content instanceof Uint8Array ? [content.buffer] : []));
      const { result } = await hand<Extract<Answer, { type: "done" }>>((job) => ({ type: "order", job, order, supplies }), transfer);
      return result;
    },
    async hashZeros(order, signal) {
      signal.throwIfAborted();
      if (dead !== null) throw dead;
      const { hashes } = await hand<Extract<Answer, { type: "hashed" }>>((job) => ({ type: "zeros", job, order }), []);
      return hashes;
    },
    release(buffer) {
      const port = ports[load.indexOf(Math.min(...load))];
      if (buffer.byteLength > 0) port?.post({ type: "buffer", buffer }, [buffer]);
    },
    end() {
      for (const port of ports) port.end();
      die(new DiskError("io", "the block workers were ended"));
    },
  };
}

/** Reads here what only this thread can read. */
async function supply(order: BlockOrder, sources: ReadonlyMap<number, ByteSource>, signal: AbortSignal): Promise<Supply[]> {
  const isHere = (id: number): boolean => sources.get(id)?.origin === null;
  if (!order.extents.some(({ file }) => isHere(file))) return [];
  // In the order of the file: what is packed as a whole is gone through once.
  const here = orderReads(order)
    .reads.filter(({ source }) => isHere(source))
    .sort((a, b) => a.source - b.source || a.at - b.at);
  const supplies: Supply[] = [];
  const read = async (id: number, at: number, length: number): Promise<void> => {
    supplies.push({ source: id, at, length, content: await (sources.get(id) as ByteSource).read(at, length, signal) });
  };
  for (const { source, at, length, extents } of here) {
    try {
      await read(source, at, length);
    } catch (error) {
      if (!order.salvage) throw error;
      for (const extent of extents) {
        const fail = (cause: unknown): void =>
          void supplies.push({ source, at: extent.at, length: footprint(extent), content: toPlainError(cause) });
        await read(source, extent.at, footprint(extent)).catch(fail);
      }
    }
  }
  return supplies;
}
