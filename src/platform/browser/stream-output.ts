import { failed } from "./write-failure.ts";

/**
 * Writes go to the browser in pieces this large: it takes most of a millisecond for each, however small, and copies a large one faster
 * than it is made.
 */
const PIECE = 8 << 20;

/** A stream into a picked file, which gathers what is written one behind the other. */
export interface StreamOutput {
  /** Takes the bytes; they may be on their way when it resolves, but their memory is the caller's again. Throws what an earlier write failed with. */
  write(at: number, bytes: Uint8Array): Promise<void>;
  close(size: number): Promise<void>;
}

export function streamOutput(stream: FileSystemWritableFileStream, name: string): StreamOutput {
  /** One is filled while the other is on its way; both are made when first needed. */
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let start = 0;
  let length = 0;
  let filling = 0;
  let underWay: Promise<void> = Promise.resolve();
  let turn: Promise<void> = Promise.resolve();

  /** Resolves when the other piece can be filled. */
  const send = async (): Promise<void> => {
    await underWay;
    if (length === 0) return;
    const piece = pieces[filling] as Uint8Array<ArrayBuffer>;
    // A part is copied out: one engine has ignored where a view ends.
    const data = length === PIECE ? piece : piece.slice(0, length);
    underWay = stream.write({ type: "write", position: start, data }).catch(failed(name));
    underWay.catch(() => {}); // told to whoever comes next
    start += length;
    length = 0;
    filling = 1 - filling;
  };
  const take = async (at: number, bytes: Uint8Array): Promise<void> => {
    if (at !== start + length) {
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
    write: (at, bytes) => inTurn(() => take(at, bytes)),
    close: (size) =>
      inTurn(async () => {
        await send();
        await underWay;
        await stream.truncate(size).catch(failed(name));
        await stream.close().catch(failed(name));
      }),
  };
}
