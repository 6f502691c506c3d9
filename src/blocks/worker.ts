import { checkRange } from "../core/bytes.ts";
import { fromPlainError, toPlainError } from "../core/errors.ts";
import type { Origin } from "../core/model.ts";
import { createProcessor, type Room, type Sources } from "./processor.ts";
import type { FromWorker, Supply, ToWorker } from "./protocol.ts";
import { NOTHING_AHEAD, type ReadAhead, type ReadRanges, readAhead } from "./read-ahead.ts";
import { type FileRange, totalBytes } from "./reads.ts";

/** A file that a worker has opened for itself. `read` gives exactly the bytes asked for, which lie inside the file; in `room(length)` where it can. */
export interface WorkerFile {
  read(at: number, length: number, room: Room): Promise<Uint8Array<ArrayBuffer>>;
  close(): void;
}
/** Turns an origin's handle into a file, or throws a DiskError; the platform's part of a block worker. */
export type OpenHandle = (handle: unknown, name: string) => WorkerFile;
/** Reads several ranges in one call, one behind the other, in memory of their own: where a call costs much, and takes its time without the processor. */
export type ReadTogether = (handle: unknown, name: string, ranges: readonly FileRange[]) => Promise<Uint8Array<ArrayBuffer>>;

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
  readTogether: ReadTogether | null = null,
): (message: ToWorker) => void {
  const processor = createProcessor();
  const attached = new Map<number, Attached>();
  let queue: Promise<void> = Promise.resolve();

  const openFile = (entry: Attached, { handle }: Origin): WorkerFile => {
    entry.file ??= openHandle(handle, entry.name);
    return entry.file;
  };
  const together = (read: ReadTogether, source: number): ReadRanges | null => {
    const entry = attached.get(source);
    if (!entry?.origin) return null;
    const { handle, at: base } = entry.origin;
    return (ranges) =>
      read(
        handle,
        entry.name,
        ranges.map(({ at, length }) => ({ at: base + at, length })),
      );
  };
  const reader = (supplies: readonly Supply[], ahead: ReadAhead): Sources => ({
    nameOf: (source) => attached.get(source)?.name,
    async read(source, ranges, room) {
      const entry = attached.get(source);
      if (entry === undefined) throw new Error(`source ${source} is not attached`);
      const { origin } = entry;
      if (origin !== null) for (const { at, length } of ranges) checkRange(entry, at, length);
      // Read together, a failure does not say where it was: then they are read one by one.
      const begun = await ahead.take(source, ranges)?.catch(() => null);
      if (begun) return begun;
      const [only, ...others] = ranges;
      const one = async ({ at, length }: FileRange, own: Room): Promise<Uint8Array<ArrayBuffer>> =>
        origin === null ? supplied(supplies, source, at, length, own) : openFile(entry, origin).read(origin.at + at, length, own);
      if (only !== undefined && others.length === 0) return one(only, room);
      const bytes = room(totalBytes(ranges));
      let to = 0;
      for (const range of ranges) {
        const place = bytes.subarray(to, to + range.length);
        const read = await one(range, () => place);
        if (read.buffer !== bytes.buffer) place.set(read);
        to += range.length;
      }
      return bytes;
    },
  });
  const carryOut = async (message: Extract<ToWorker, { type: "order" }>, ahead: ReadAhead): Promise<void> => {
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
        const ahead = readTogether === null ? NOTHING_AHEAD : readAhead(message.order, (source) => together(readTogether, source));
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
