import { isZero } from "../core/bytes.ts";
import type { Write } from "../core/target.ts";

/** Neighbours in a file, to be written in one go; the parts follow each other. */
export interface JoinedWrite {
  readonly file: number;
  readonly at: number;
  readonly parts: readonly Uint8Array[];
  readonly length: number;
}

/** Parts this large are written by themselves: joining gains nothing, and a sink may know a way of its own to copy them. */
const LARGE = 1 << 20;
/** Parts from different buffers are joined up to so many bytes; the last of them may still grow, up to an order's size. */
const LIMIT = 4 << 20;

/** Joins writes that follow each other in a file. Neighbours in one buffer become one part; nothing is copied. Order is kept. */
export function* coalesce(writes: Iterable<Write>): Generator<JoinedWrite> {
  let parts: Uint8Array[] = [];
  let [file, at, length] = [0, 0, 0];
  for (const write of writes) {
    const { bytes } = write;
    if (bytes.length === 0) continue;
    const last = parts[parts.length - 1];
    const follows = last !== undefined && write.file === file && write.at === at + length;
    if (follows && adjoins(last, bytes)) {
      const larger = new Uint8Array(last.buffer, last.byteOffset, last.length + bytes.length);
      length += bytes.length;
      if (parts.length > 1 && larger.length >= LARGE) {
        const before = length - larger.length;
        yield { file, at, parts: parts.slice(0, -1), length: before };
        parts = [larger];
        [at, length] = [at + before, larger.length];
      } else parts[parts.length - 1] = larger;
      continue;
    }
    const joins = follows && length + bytes.length <= LIMIT && last.length < LARGE && bytes.length < LARGE;
    if (!joins) {
      if (parts.length > 0) yield { file, at, parts, length };
      parts = [];
      [file, at, length] = [write.file, write.at, 0];
    }
    parts.push(bytes);
    length += bytes.length;
  }
  if (parts.length > 0) yield { file, at, parts, length };
}

const adjoins = (a: Uint8Array, b: Uint8Array): boolean => a.buffer === b.buffer && a.byteOffset + a.length === b.byteOffset;

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
