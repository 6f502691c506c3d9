import { totalLength } from "../../core/bytes.ts";
import type { Copied } from "../../core/ports.ts";
import { failed, writeFailed } from "./write-failure.ts";

/**
 * Writes go to the browser in pieces this large: it takes most of a millisecond for each, however small, and copies a large one faster
 * than it is made.
 */
const PIECE = 8 << 20;
/** The browser copies ranges of files by itself; where they are smaller than this on average, their bytes are handed over instead. */
const LEAST_SLICE = 1 << 20;
const MOST_SLICES = 64 << 20;

/** A stream into a picked file, which gathers what is written one behind the other. */
export interface StreamOutput {
  /** Takes the bytes; they may be on their way when it resolves, but their memory is the caller's again. Throws what an earlier write failed with. */
  write(at: number, parts: readonly Uint8Array[], copied?: readonly Copied[]): Promise<void>;
  close(size: number): Promise<void>;
}

interface Slice {
  readonly name: string;
  readonly file: Blob;
  readonly at: number;
  length: number;
}

export function streamOutput(stream: FileSystemWritableFileStream, name: string): StreamOutput {
  /** One is filled while the other is on its way; both are made when first needed. */
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  /** What is gathered and not on its way yet: ranges of files, or bytes in a piece; where it belongs, and how much it is. */
  let slices: Slice[] = [];
  let start = 0;
  let length = 0;
  let filling = 0;
  let underWay: Promise<void> = Promise.resolve();
  let turn: Promise<void> = Promise.resolve();

  const gathered = (): Blob | Uint8Array<ArrayBuffer> => {
    const ranges = slices.map(({ file, at, length: count }) => file.slice(at, at + count));
    if (ranges.length > 0) return ranges.length === 1 ? (ranges[0] as Blob) : new Blob(ranges);
    const piece = pieces[filling] as Uint8Array<ArrayBuffer>;
    filling = 1 - filling;
    // A part is copied out: one engine has ignored where a view ends.
    return length === PIECE ? piece : piece.slice(0, length);
  };
  /** Resolves when the next piece can be filled. */
  const send = async (): Promise<void> => {
    await underWay;
    if (length === 0) return;
    const source = slices[0]?.name ?? "";
    const data = gathered();
    underWay = stream.write({ type: "write", position: start, data }).catch((cause) => writeFailed(name, data, source, cause));
    underWay.catch(() => {}); // told to whoever comes next
    start += length;
    length = 0;
    slices = [];
  };
  const takeSlices = async (at: number, given: readonly Slice[]): Promise<void> => {
    const count = given.reduce((sum, slice) => sum + slice.length, 0);
    if (slices.length === 0 || at !== start + length || length + count > MOST_SLICES) {
      await send();
      start = at;
    }
    for (const slice of given) {
      const last = slices[slices.length - 1];
      if (last !== undefined && last.file === slice.file && last.at + last.length === slice.at) last.length += slice.length;
      else slices.push(slice);
    }
    length += count;
  };
  const take = async (at: number, bytes: Uint8Array): Promise<void> => {
    if (slices.length > 0 || at !== start + length) {
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
      const ranges = copied === undefined ? [] : slicesOf(copied);
      if (ranges.length > 0 && totalLength(parts) >= LEAST_SLICE * ranges.length) return inTurn(() => takeSlices(at, ranges));
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
        await stream.close().catch(failed(name));
      }),
  };
}

/** Nothing when one of them does not stand in a file as it is. */
function slicesOf(copied: readonly Copied[]): Slice[] {
  const slices = copied.flatMap(({ source: { name, origin }, at, length }) =>
    origin?.handle instanceof Blob ? [{ name, file: origin.handle, at: origin.at + at, length }] : [],
  );
  return slices.length === copied.length ? slices : [];
}
