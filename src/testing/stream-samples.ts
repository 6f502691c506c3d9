import { expect } from "vitest";
import { DiskError } from "../core/errors.ts";
import type { StreamDecoder } from "../core/ports.ts";
import { type StepSizes, unpackStream } from "./streams.ts";

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
export function noise(length: number, seed = 1): Buffer {
  const next = randomNumbers(seed);
  return Buffer.from(Uint8Array.from({ length }, () => next() >>> 24));
}
/** Words and runs: all kinds of lengths and distances. */
export function words(length: number, seed = 7): Buffer {
  const next = randomNumbers(seed);
  const all = Array.from({ length: 400 }, () => (next() % 36 ** 5).toString(36).slice(0, 1 + (next() % 9)));
  let out = "";
  while (out.length < length) out += next() % 50 ? `${all[next() % (1 + (next() % 400))]} ` : "=".repeat(next() % 400);
  return Buffer.from(out.slice(0, length));
}

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
export function failure(decoder: StreamDecoder, packed: Uint8Array, sizes: StepSizes): DiskError {
  const result = outcome(decoder, packed, sizes);
  if (result instanceof DiskError) return result;
  throw new Error("unpacked what is damaged");
}

/** Decoders at the beginning of a stream; a few that take turns, so that what one leaves behind meets another's stream. */
export function takingTurns(create: () => StreamDecoder): () => StreamDecoder {
  const all = Array.from({ length: 3 }, create);
  const fresh = all[0]!.save();
  let turn = 0;
  return () => {
    const decoder = all[turn++ % all.length]!;
    decoder.restore(fresh);
    return decoder;
  };
}
/** For StepSizes.between: now and then saves, and goes on with another decoder. */
export function sometimesRestored(decoders: () => StreamDecoder, seed: number): (decoder: StreamDecoder) => StreamDecoder {
  const next = randomNumbers(seed);
  return (decoder) => {
    if (next() % 10 > 0) return decoder;
    const state = decoder.save();
    const other = decoders();
    other.restore(state);
    return other;
  };
}
