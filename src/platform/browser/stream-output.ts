import { totalLength } from "../../core/bytes.ts";
import type { Copied } from "../../core/ports.ts";
import { type BlobRange, failed, writeFailed } from "./write-failure.ts";

/**
 * Writes go to the browser in pieces this large: it takes most of a millisecond for each, however small, and copies a large one faster
 * than it is made.
 */
const PIECE = 8 << 20;
/** The browser copies ranges of files by itself; where they are smaller than this on average, their bytes are handed over instead. */
const LEAST_RANGE = 1 << 20;
/** Bytes of all ranges of one write: it cannot be called off, and says nothing of how far it is. */
const RANGES_BYTES = 64 << 20;

/** A stream into a picked file, which gathers what is written one behind the other. */
export interface StreamOutput {
  /** Takes the bytes; they may be on their way when it resolves, but their memory is the caller's again. Throws what an earlier write failed with. */
  write(at: number, parts: readonly Uint8Array[], copied?: readonly Copied[]): Promise<void>;
  close(size: number): Promise<void>;
}

export function streamOutput(stream: FileSystemWritableFileStream, name: string): StreamOutput {
  /** One is filled while the other is on its way; both are made when first needed. */
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  /** What is gathered and not on its way yet: ranges of files, or bytes in a piece; where it belongs, and how much it is. */
  let ranges: BlobRange[] = [];
  let start = 0;
  let length = 0;
  let filling = 0;
  let underWay: Promise<void> = Promise.resolve();
  let turn: Promise<void> = Promise.resolve();

  const gathered = (): Blob | Uint8Array<ArrayBuffer> => {
    const blobs = ranges.map(({ file, at, length: count }) => file.slice(at, at + count));
    if (blobs.length > 0) return blobs.length === 1 ? (blobs[0] as Blob) : new Blob(blobs);
    const piece = pieces[filling] as Uint8Array<ArrayBuffer>;
    filling = 1 - filling;
    // A part is copied out: one engine has ignored where a view ends.
    return length === PIECE ? piece : piece.slice(0, length);
  };
  /** Resolves when the next piece can be filled. */
  const send = async (): Promise<void> => {
    await underWay;
    if (length === 0) return;
    const data = gathered();
    const from = ranges;
    underWay = stream.write({ type: "write", position: start, data }).catch((cause) => writeFailed(name, from, cause));
    underWay.catch(() => {}); // told to whoever comes next
    start += length;
    length = 0;
    ranges = [];
  };
  const takeRanges = async (at: number, count: number, given: readonly BlobRange[]): Promise<void> => {
    if (ranges.length === 0 || at !== start + length || length + count > RANGES_BYTES) {
      await send();
      start = at;
    }
    for (const range of given) {
      const last = ranges[ranges.length - 1];
      if (last !== undefined && last.file === range.file && last.at + last.length === range.at)
        ranges[ranges.length - 1] = { ...last, length: last.length + range.length };
      else ranges.push(range);
    }
    length += count;
  };
  const take = async (at: number, bytes: Uint8Array): Promise<void> => {
    if (ranges.length > 0 || at !== start + length) {
      await send();
      start = at;
    }
    for (let done = 0; done < bytes.length; ) {
      if (length === PIECE) await send();
      pieces[filling] ??= new Uint8Array(PIECE);
      const part = bytes.subarray(done, done + PIECE - length);
      (pieces[filling] as Uint8Array).set(part, length);
      length += part.length;
      done += part.length;
    }
  };
  /** One after another, in the order of the calls; after a failure every further one fails the same way. */
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    turn = turn.then(work);
    turn.catch(() => {}); // told to the caller
    return turn;
  };
  return {
    write(at, parts, copied) {
      const count = totalLength(parts);
      const given = copied === undefined ? [] : rangesOf(copied);
      if (given.length > 0 && count >= LEAST_RANGE * given.length) return inTurn(() => takeRanges(at, count, given));
      return inTurn(async () => {
        let to = at;
        for (const bytes of parts) {
          await take(to, bytes);
          to += bytes.length;
        }
      });
    },
    close: (size) =>
      inTurn(async () => {
        await send();
        await underWay;
        await stream.truncate(size).catch(failed(name));
        pieces.length = 0;
        await stream.close().catch(failed(name));
      }),
  };
}

/** Nothing when one of them does not stand in a file as it is. */
function rangesOf(copied: readonly Copied[]): BlobRange[] {
  const ranges = copied.flatMap(({ source: { name, origin }, at, length }) =>
    origin?.handle instanceof Blob ? [{ name, file: origin.handle, at: origin.at + at, length }] : [],
  );
  return ranges.length === copied.length ? ranges : [];
}
