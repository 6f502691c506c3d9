import { checkRange } from "../core/bytes.ts";
import { fromPlainError, toPlainError } from "../core/errors.ts";
import type { Origin } from "../core/model.ts";
import { createProcessor, type Room, type Sources } from "./processor.ts";
import type { FromWorker, Supply, ToWorker } from "./protocol.ts";

/** A file that a worker has opened for itself. `read` gives exactly the bytes asked for, which lie inside the file; in `room(length)` where it can. */
export interface WorkerFile {
  read(at: number, length: number, room: Room): Promise<Uint8Array<ArrayBuffer>>;
  close(): void;
}
/** Turns an origin's handle into a file, or throws a DiskError; the platform's part of a block worker. */
export type OpenHandle = (handle: unknown, name: string) => WorkerFile;

interface Attached {
  readonly name: string;
  readonly size: number;
  readonly origin: Origin | null;
  /** Opened when first read. */
  file: WorkerFile | null;
}

/** The body of a block worker: answers messages one at a time, in the order in which they come. */
export function serveBlocks(
  openHandle: OpenHandle,
  post: (message: FromWorker, transfer: readonly ArrayBuffer[]) => void,
): (message: ToWorker) => void {
  const processor = createProcessor();
  const attached = new Map<number, Attached>();
  let queue: Promise<void> = Promise.resolve();

  const reader = (supplies: readonly Supply[]): Sources => ({
    nameOf: (source) => attached.get(source)?.name,
    async read(source, at, length, room) {
      const entry = attached.get(source);
      if (entry === undefined) throw new Error(`source ${source} is not attached`);
      if (entry.origin === null) return supplied(supplies, source, at, length, room);
      checkRange(entry, at, length);
      entry.file ??= openHandle(entry.origin.handle, entry.name);
      return entry.file.read(entry.origin.at + at, length, room);
    },
  });
  const carryOut = async (message: Extract<ToWorker, { type: "order" }>): Promise<void> => {
    try {
      const result = await processor.process(message.order, reader(message.supplies));
      post({ type: "done", job: message.job, result }, [result.buffer]);
    } catch (error) {
      post({ type: "failed", job: message.job, error: toPlainError(error) }, []);
    }
  };
  return (message) => {
    switch (message.type) {
      case "attach":
        attached.set(message.id, { name: message.name, size: message.size, origin: message.origin, file: null });
        break;
      case "detach":
        queue = queue.then(() => {
          attached.get(message.id)?.file?.close();
          attached.delete(message.id);
        });
        break;
      case "buffer":
        processor.recycle(message.buffer);
        break;
      case "order":
        queue = queue.then(() => carryOut(message));
    }
  };
}

function supplied(supplies: readonly Supply[], source: number, at: number, length: number, room: Room): Uint8Array<ArrayBuffer> {
  const supply = supplies.find((s) => s.source === source && s.at <= at && at + length <= s.at + s.length);
  if (supply === undefined) throw new Error(`bytes ${at}+${length} of source ${source} were not supplied`);
  if (!(supply.content instanceof Uint8Array)) throw fromPlainError(supply.content);
  const bytes = room(length);
  bytes.set(supply.content.subarray(at - supply.at, at - supply.at + length));
  return bytes;
}
