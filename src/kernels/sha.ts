import type { RunningHash } from "../core/ports.ts";
import { type Arena, inArena } from "./arena.ts";

const BLOCK = 64;

/** What differs between the hashes. The state is as long as the digest, at most 32 bytes. */
interface Kernel {
  readonly stateBytes: number;
  init(state: number): void;
  update(state: number, at: number, blocks: number): void;
  final(state: number, at: number, length: number, total: number, out: number): void;
}

export const createSha1 = (arena: Arena): RunningHash => {
  const { sha1Init, sha1Update, sha1Final } = arena.kernels;
  return createHash(arena, { stateBytes: 20, init: sha1Init, update: sha1Update, final: sha1Final });
};

export const createSha256 = (arena: Arena): RunningHash => {
  const { sha256Init, sha256Update, sha256Final } = arena.kernels;
  return createHash(arena, { stateBytes: 32, init: sha256Init, update: sha256Update, final: sha256Final });
};

function createHash(arena: Arena, kernel: Kernel): RunningHash {
  const { memory, result } = arena;
  const { stateBytes } = kernel;
  const out = result + 32;
  const rest = new Uint8Array(BLOCK);
  let held = 0;
  let total = 0;
  kernel.init(result);
  let state = memory.slice(result, result + stateBytes);

  /** The state lives here between calls, as other kernels use the result region too. */
  const run = (place: number, blocks: number) => {
    memory.set(state, result);
    kernel.update(result, place, blocks);
    state = memory.slice(result, result + stateBytes);
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
      kernel.final(result, arena.scratch, held, total, out);
      return memory.slice(out, out + stateBytes);
    },
  };
}
