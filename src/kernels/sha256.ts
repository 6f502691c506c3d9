import { type Arena, inArena } from "./arena.ts";

const BLOCK = 64;

/** A running SHA-256; any number of them may be under way at once. */
export interface Sha256 {
  /** Bytes of any length; not kept. */
  update(bytes: Uint8Array): void;
  /** 32 bytes, the caller's own. Ends the hash. */
  digest(): Uint8Array<ArrayBuffer>;
}

export function createSha256(arena: Arena): Sha256 {
  const { kernels, memory, result } = arena;
  const out = result + 32;
  const rest = new Uint8Array(BLOCK);
  let held = 0;
  let total = 0;
  kernels.sha256Init(result);
  let state = memory.slice(result, result + 32);

  /** The state lives here between calls, as other kernels use the result region too. */
  const run = (place: number, blocks: number) => {
    memory.set(state, result);
    kernels.sha256Update(result, place, blocks);
    state = memory.slice(result, result + 32);
  };

  return {
    update(bytes) {
      total += bytes.length;
      let from = 0;
      if (held > 0) {
        from = Math.min(BLOCK - held, bytes.length);
        rest.set(bytes.subarray(0, from), held);
        held += from;
        if (held < BLOCK) return;
        inArena(arena, rest, (place) => run(place, 1));
      }
      const whole = Math.floor((bytes.length - from) / BLOCK) * BLOCK;
      inArena(arena, bytes.subarray(from, from + whole), (place, length) => run(place, length / BLOCK));
      rest.set(bytes.subarray(from + whole));
      held = bytes.length - from - whole;
    },
    digest() {
      memory.set(rest.subarray(0, held), arena.scratch);
      memory.set(state, result);
      kernels.sha256Final(result, arena.scratch, held, total, out);
      return memory.slice(out, out + 32);
    },
  };
}
