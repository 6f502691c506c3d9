import { DiskError } from "../../core/errors.ts";
import { decodeBase64 } from "../base64.ts";
import { createMemory, PAGE } from "../memory.ts";

/** What `scripts/build-kernels.mjs` has every module ask for. */
const INITIAL_PAGES = 16;

/** A module of `assembly/NAME/` with a memory of its own: static data up to `base`, the caller's from there on. */
export interface KernelInstance<Exports> {
  readonly exports: Exports;
  readonly base: number;
  /** The whole memory, after it was made large enough for `bytes` from `base` on. Views made before may be dead. */
  reserve(bytes: number): Uint8Array<ArrayBuffer>;
}

/** `base64`: a module as the build step wrote it. Compiled once, instantiated for each decoder. */
export function kernelModule<Exports extends { heapBase(): number }>(base64: string): () => KernelInstance<Exports> {
  const module = new WebAssembly.Module(decodeBase64(base64));
  return () => {
    const memory = createMemory(INITIAL_PAGES);
    const exports = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Exports;
    const base = Math.ceil(exports.heapBase() / 16) * 16;
    return {
      exports,
      base,
      reserve(bytes) {
        const missing = base + bytes - memory.buffer.byteLength;
        if (missing > 0) grow(memory, Math.ceil(missing / PAGE));
        return new Uint8Array(memory.buffer);
      },
    };
  };
}

function grow(memory: WebAssembly.Memory, pages: number): void {
  try {
    memory.grow(pages);
  } catch (cause) {
    throw new DiskError("limit", `there is no memory for ${pages * PAGE} bytes more`, { cause });
  }
}
