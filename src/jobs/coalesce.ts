import { isZero } from "../core/bytes.ts";
import type { Write } from "../core/target.ts";

/** Pieces this large are not copied together: the call costs less than the copy. */
const LARGE = 1 << 20;
/** Gathered writes never grow past this. */
const LIMIT = 4 << 20;

/**
 * Joins writes that follow each other in a file into few large ones. Neighbours in one buffer are joined without a copy;
 * small neighbours from different buffers are gathered into a new one. Order is kept.
 */
export function* coalesce(writes: Iterable<Write>): Generator<Write> {
  let run: Write[] = [];
  let length = 0;
  for (const write of writes) {
    if (write.bytes.length === 0) continue;
    const last = run[run.length - 1];
    const follows = last !== undefined && write.file === last.file && write.at === last.at + last.bytes.length;
    if (last !== undefined && follows && adjoins(last.bytes, write.bytes)) {
      run[run.length - 1] = {
        ...last,
        bytes: new Uint8Array(last.bytes.buffer, last.bytes.byteOffset, last.bytes.length + write.bytes.length),
      };
      length += write.bytes.length;
      continue;
    }
    const gathers =
      follows && length + write.bytes.length <= LIMIT && last !== undefined && last.bytes.length < LARGE && write.bytes.length < LARGE;
    if (!gathers && run.length > 0) {
      yield gather(run, length);
      run = [];
      length = 0;
    }
    run.push(write);
    length += write.bytes.length;
  }
  if (run.length > 0) yield gather(run, length);
}

const adjoins = (a: Uint8Array, b: Uint8Array): boolean => a.buffer === b.buffer && a.byteOffset + a.length === b.byteOffset;

function gather(run: readonly Write[], length: number): Write {
  const first = run[0] as Write;
  if (run.length === 1) return first;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const write of run) {
    bytes.set(write.bytes, at);
    at += write.bytes.length;
  }
  return { ...first, bytes };
}

/** Zeros are looked for in pieces of this many bytes. */
const PIECE = 64 << 10;

/**
 * Leaves out the pieces of large writes that are all zero: where nothing is written a fresh file has a hole, which reads as zero.
 * A large block with little in it then costs only what is in it. Not for sequential outputs, which can have no holes.
 */
export function* withoutZeros(writes: Iterable<Write>): Generator<Write> {
  for (const write of writes) {
    const { at, bytes } = write;
    if (bytes.length <= PIECE) {
      yield write;
      continue;
    }
    let start = 0;
    for (let from = 0; from < bytes.length; from += PIECE) {
      const end = Math.min(from + PIECE, bytes.length);
      if (!isZero(bytes, from, end)) continue;
      if (from > start) yield { ...write, at: at + start, bytes: bytes.subarray(start, from) };
      start = end;
    }
    if (start < bytes.length) yield { ...write, at: at + start, bytes: bytes.subarray(start) };
  }
}
