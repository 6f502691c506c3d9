import { checkRange } from "../core/bytes.ts";
import { fromPlainError, toPlainError } from "../core/errors.ts";
import type { Origin } from "../core/model.ts";
import type { BlockOrder } from "../core/ports.ts";
import { createProcessor, type Room, type Sources } from "./processor.ts";
import type { FromWorker, Supply, ToWorker } from "./protocol.ts";
import { type PlannedRead, planReads } from "./reads.ts";

/** A file that a worker has opened for itself. `read` gives exactly the bytes asked for, which lie inside the file; in `room(length)` where it can. */
export interface WorkerFile {
  read(at: number, length: number, room: Room): Promise<Uint8Array<ArrayBuffer>>;
  close(): void;
  /** Reads take their time without the processor: one may be begun before its turn, into memory of its own. */
  readonly readsAhead?: true;
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

/** Reads of an order that are begun before they are asked for. */
interface Ahead {
  /** Begins reads until so many are waiting. */
  begin(most: number): void;
  /** The bytes, if this is a read that was begun; the next one is then begun. */
  take(source: number, at: number, length: number): Promise<Uint8Array<ArrayBuffer>> | null;
}
/** Besides the one that is asked for. */
const READS_AHEAD = 2;

const fresh: Room = (bytes) => new Uint8Array(bytes);

/** The body of a block worker: answers messages one at a time, in the order in which they come. */
export function serveBlocks(
  openHandle: OpenHandle,
  post: (message: FromWorker, transfer: readonly ArrayBuffer[]) => void,
): (message: ToWorker) => void {
  const processor = createProcessor();
  const attached = new Map<number, Attached>();
  let queue: Promise<void> = Promise.resolve();

  const openFile = (entry: Attached, { handle }: Origin): WorkerFile => {
    entry.file ??= openHandle(handle, entry.name);
    return entry.file;
  };
  /** A browser takes its time for each read: the next ones go on while the one before is worked on. */
  const readAhead = (order: BlockOrder): Ahead => {
    const plan = planReads(order).values();
    const begun: { readonly read: PlannedRead; readonly bytes: Promise<Uint8Array<ArrayBuffer>> }[] = [];
    const begin = (most: number): void => {
      while (begun.length < most) {
        const { value: read } = plan.next();
        const entry = read && attached.get(read.source);
        if (read === undefined || entry === undefined || entry.origin === null || read.at + read.length > entry.size) return;
        const file = openFile(entry, entry.origin);
        if (file.readsAhead !== true) return;
        const bytes = file.read(entry.origin.at + read.at, read.length, fresh);
        bytes.catch(() => {}); // told when it is asked for
        begun.push({ read, bytes });
      }
    };
    return {
      begin,
      take(source, at, length) {
        const [first] = begun;
        if (first === undefined || first.read.source !== source || first.read.at !== at || first.read.length !== length) return null;
        begun.shift();
        begin(READS_AHEAD);
        return first.bytes;
      },
    };
  };
  const reader = (supplies: readonly Supply[], ahead: Ahead): Sources => ({
    nameOf: (source) => attached.get(source)?.name,
    async read(source, at, length, room) {
      const entry = attached.get(source);
      if (entry === undefined) throw new Error(`source ${source} is not attached`);
      if (entry.origin === null) return supplied(supplies, source, at, length, room);
      checkRange(entry, at, length);
      return ahead.take(source, at, length) ?? openFile(entry, entry.origin).read(entry.origin.at + at, length, room);
    },
  });
  const carryOut = async (message: Extract<ToWorker, { type: "order" }>, ahead: Ahead): Promise<void> => {
    try {
      const result = await processor.process(message.order, reader(message.supplies, ahead));
      post({ type: "done", job: message.job, result }, [result.buffer]);
    } catch (error) {
      post({ type: "failed", job: message.job, error: toPlainError(error) }, []);
    }
  };
  const hashZeros = ({ job, order }: Extract<ToWorker, { type: "zeros" }>): void => {
    try {
      const hashes = processor.hashZeros(order);
      post({ type: "hashed", job, hashes }, [hashes.buffer]);
    } catch (error) {
      post({ type: "failed", job, error: toPlainError(error) }, []);
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
      case "zeros":
        queue = queue.then(() => hashZeros(message));
        break;
      case "order": {
        const ahead = readAhead(message.order);
        ahead.begin(1);
        queue = queue.then(() => carryOut(message, ahead));
      }
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
