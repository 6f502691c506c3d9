import { expect } from "vitest";

const CANARY = 0x5c;

/** Calls a kernel, with canaries in these ranges of its memory, none of which it may touch. */
export function withCanaries<T>(memory: Uint8Array, ranges: readonly (readonly [from: number, to: number])[], call: () => T): T {
  for (const [from, to] of ranges) memory.fill(CANARY, from, to);
  const result = call();
  for (const [from, to] of ranges) expect(memory.subarray(from, to).every((byte) => byte === CANARY)).toBe(true);
  return result;
}
