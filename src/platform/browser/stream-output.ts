import { totalLength } from "../../core/bytes.ts";
import type { Copied } from "../../core/ports.ts";
import { failed, writeFailed } from "./write-failure.ts";

/**
 * Writes go to the browser in pieces this large: it takes most of a millisecond for each, however small, and copies a large one faster
 * than it is made.
 */
const PIECE = 8 << 20;
/** The browser copies a range of a file by itself; less than this is gathered with what lies beside it. */
const LEAST_SLICE = 1 << 20;
const MOST_SLICE = 64 << 20;

/** A stream into a picked file, which gathers what is written one behind the other. */
export interface StreamOutput {
  /** Takes the bytes; they may be on their way when it resolves, but their memory is the caller's again. Throws what an earlier write failed with. */
  write(at: number, parts: readonly Uint8Array[], copied?: Copied): Promise<void>;
  close(size: number): Promise<void>;
}

/** What is gathered and not on its way yet: bytes in a piece, or a range of a file. */
interface Slice {
  readonly name: string;
  readonly file: Blob;
  readonly at: number;
}

export function streamOutput(stream: FileSystemWritableFileStream, name: string): StreamOutput {
  /** One is filled while the other is on its way; both are made when first needed. */
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let slice: Slice | null = null;
  let start = 0;
  let length = 0;
  let filling = 0;
  let underWay: Promise<void> = Promise.resolve();
  let turn: Promise<void> = Promise.resolve();

  const gathered = (): Blob | Uint8Array<ArrayBuffer> => {
    if (slice !== null) return slice.file.slice(slice.at, slice.at + length);
    const piece = pieces[filling] as Uint8Array<ArrayBuffer>;
    filling = 1 - filling;
    // A part is copied out: one engine has ignored where a view ends.
    return length === PIECE ? piece : piece.slice(0, length);
  };
  /** Resolves when the next piece can be filled. */
  const send = async (): Promise<void> => {
    await underWay;
    if (length === 0) return;
    const source = slice?.name ?? "";
    const data = gathered();
    underWay = stream.write({ type: "write", position: start, data }).catch((cause) => writeFailed(name, data, source, cause));
    underWay.catch(() => {}); // told to whoever comes next
    start += length;
    length = 0;
    slice = null;
  };
  const takeSlice = async (at: number, count: number, { file, at: from, name: source }: Slice): Promise<void> => {
    const follows = slice !== null && at === start + length && file === slice.file && from === slice.at + length;
    if (!follows || length >= MOST_SLICE) {
      await send();
      slice = { name: source, file, at: from };
      start = at;
    }
    length += count;
  };
  const take = async (at: number, bytes: Uint8Array): Promise<void> => {
    if (slice !== null || at !== start + length) {
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
      const file = copied?.source.origin?.handle;
      const from = copied?.source.origin?.at;
      if (file instanceof Blob && copied !== undefined && from !== undefined && count >= LEAST_SLICE)
        return inTurn(() => takeSlice(at, count, { name: copied.source.name, file, at: from + copied.at }));
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
