import type { ByteSource } from "../core/model.ts";

// A stream in a stream in a stream may grow a few hundred times at each step and none of them stands out: what counts is how many
// bytes of the outermost file stand behind a source.

const GROWTH = new WeakMap<ByteSource, number>();

/** How many bytes of this source come from one byte of the file that the user gave, on the whole. */
export const growthOf = (source: ByteSource): number => GROWTH.get(source) ?? 1;

/** `source` came out of others that had grown `growth` times with it. Returns `source`. */
export function withGrowth<S extends ByteSource>(source: S, growth: number): S {
  GROWTH.set(source, Math.max(1, growth));
  return source;
}
