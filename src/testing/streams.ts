import { expect } from "vitest";
import { DiskError } from "../core/errors.ts";
import type { StreamDecoder } from "../core/ports.ts";

/** What a decoder may leave untaken although its output is not full (core/ports.ts `StreamDecoder`). */
const UNTAKEN_LIMIT = 1 << 16;

export interface Unpacked {
  readonly bytes: Uint8Array;
  /** Bytes of the packed stream that were taken. */
  readonly end: number;
  readonly remark: string | null;
}
export interface StepSizes {
  /** Bytes of input added when the decoder asks for more; bytes of room in the output. */
  readonly input: number;
  readonly output: number;
  /** After each step; what it returns takes the place of the decoder. */
  readonly between?: (decoder: StreamDecoder) => StreamDecoder;
}

/** The whole stream, in steps of given sizes, as the callers of a decoder take them; throws where the decoder breaks its contract. */
export function unpackStream(first: StreamDecoder, packed: Uint8Array, sizes: StepSizes): Unpacked {
  let decoder = first;
  const parts: Uint8Array[] = [];
  let at = 0;
  let seen = 0;
  const output = new Uint8Array(sizes.output);
  for (;;) {
    seen = Math.min(packed.length, Math.max(seen, at + 1));
    const input = packed.subarray(at, seen);
    const last = seen === packed.length;
    const { taken, given, ended, remark } = decoder.step(input, last, output);
    if (taken > input.length || given > output.length)
      throw new Error(`took ${taken} of ${input.length}, gave ${given} of ${output.length}`);
    if (given > 0) parts.push(output.slice(0, given));
    at += taken;
    if (ended) return { bytes: Buffer.concat(parts), end: at, remark };
    if (given < output.length && input.length - taken > UNTAKEN_LIMIT) throw new Error(`${input.length - taken} bytes were left untaken`);
    if (given === 0 && taken === 0) {
      if (last) throw new Error("neither the end nor an error");
      seen += sizes.input;
    } else if (at === seen) seen += sizes.input;
    if (sizes.between !== undefined) decoder = sizes.between(decoder);
  }
}

export const WHOLE: StepSizes = { input: 1 << 20, output: 1 << 20 };

export const sameBytes = (actual: Uint8Array, expected: Uint8Array): void => expect(Buffer.compare(actual, expected)).toBe(0);

/** The bytes, or the DiskError; any other error is thrown. */
export function outcome(decoder: StreamDecoder, packed: Uint8Array, sizes: StepSizes): Uint8Array | DiskError {
  try {
    return unpackStream(decoder, packed, sizes).bytes;
  } catch (error) {
    if (error instanceof DiskError) return error;
    throw error;
  }
}
/** How the decoder refuses the stream. */
export function failure(decoder: StreamDecoder, packed: Uint8Array, sizes = WHOLE): DiskError {
  const result = outcome(decoder, packed, sizes);
  if (result instanceof DiskError) return result;
  throw new Error("unpacked what is damaged");
}

/** Decoders at the beginning of a stream; a few that take turns, so that what one leaves behind in its memory meets another's stream. */
export function decoders(create: () => StreamDecoder): () => StreamDecoder {
  const all = Array.from({ length: 3 }, create);
  const fresh = (all[0] as StreamDecoder).save();
  let turn = 0;
  return () => {
    const decoder = all[turn++ % all.length] as StreamDecoder;
    decoder.restore(fresh);
    return decoder;
  };
}
/** For StepSizes.between: now and then saves, and goes on with another decoder. */
export function sometimesRestored(create: () => StreamDecoder, seed: number): (decoder: StreamDecoder) => StreamDecoder {
  const next = randomNumbers(seed);
  return (decoder) => {
    if (next() % 10 > 0) return decoder;
    const state = decoder.save();
    const other = create();
    other.restore(state);
    return other;
  };
}

/** A reproducible sequence of numbers below 2^32 (xorshift). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
export const noise = (length: number, seed = 1): Buffer => {
  const next = randomNumbers(seed);
  return Buffer.from(Uint8Array.from({ length }, () => next() >>> 24));
};
/** Words and runs: all kinds of lengths and distances. */
export function text(length: number, seed = 7): Buffer {
  const next = randomNumbers(seed);
  const words = Array.from({ length: 400 }, () => (next() % 36 ** 5).toString(36).slice(0, 1 + (next() % 9)));
  let out = "";
  while (out.length < length) out += next() % 50 ? `${words[next() % (1 + (next() % 400))]} ` : "=".repeat(next() % 400);
  return Buffer.from(out.slice(0, length));
}
