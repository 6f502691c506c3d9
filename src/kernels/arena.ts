import { KERNELS_BASE64 } from "../../build/kernels.js";
import { DiskError } from "../core/errors.ts";
import { decodeBase64 } from "./base64.ts";
import { createMemory, PAGE } from "./memory.ts";

/** Places are offsets into the memory, `length`s are bytes; what each does is stated in `assembly/`. Counts and codes come back as i32. */
export interface KernelExports {
  heapBase(): number;
  adler32(at: number, length: number, seed: number): number;
  blake3Digest(at: number, length: number, out: number): void;
  blake3Parents(at: number, pairs: number, out: number): void;
  blake3Pieces(at: number, length: number, firstChunk: number, out: number): number;
  blake3Root(at: number, out: number): void;
  blake3ZeroPieces(length: number, firstChunk: number, out: number): number;
  compare(a: number, b: number, length: number): number;
  crc32(at: number, length: number, seed: number): number;
  crc32c(at: number, length: number, seed: number): number;
  deflate(from: number, length: number, to: number, room: number, window: number, effort: number): number;
  deflatePart(from: number, length: number, to: number, room: number, window: number, effort: number): number;
  inflate(from: number, length: number, to: number, expected: number): number;
  inflateConsumed(): number;
  inflateReachesFar(): number;
  mergeLayers(
    ends: number,
    cursors: number,
    layers: number,
    start: number,
    end: number,
    owners: number,
    indices: number,
    stops: number,
  ): number;
  sha1Init(state: number): void;
  sha1Update(state: number, at: number, blocks: number): void;
  sha1Final(state: number, at: number, length: number, total: number, out: number): void;
  sha256Init(state: number): void;
  sha256Update(state: number, at: number, blocks: number): void;
  sha256Final(state: number, at: number, length: number, total: number, out: number): void;
  tableRuns(at: number, entries: number, first: number, parameters: number, kinds: number, firsts: number, positions: number): number;
  zeroUnits(at: number, length: number, unit: number, out: number): number;
}

const MIB = 1 << 20;

/** The largest unit of any format is 2 MiB; the rest is room for streams that grew. */
export const INPUT_BYTES = 2 * MIB + PAGE;
export const OUTPUT_BYTES = 2 * MIB + PAGE;
export const SCRATCH_BYTES = MIB / 2;
export const RESULT_BYTES = PAGE;
/** Kernels may read 16 bytes past their input and write 320 past their output; the gap after a region holds both. */
const SLACK = 512;

/** One instance of the kernels with its memory, cut into fixed regions. The memory never grows, so views stay good. */
export interface Arena {
  readonly kernels: KernelExports;
  readonly memory: Uint8Array<ArrayBuffer>;
  /** Places of the regions in `memory`: multiples of 512. */
  readonly input: number;
  readonly output: number;
  /** Copies of callers' bytes. */
  readonly scratch: number;
  /** What kernels hand back. */
  readonly result: number;
}

let compiled: WebAssembly.Module | undefined;

export function createArena(): Arena {
  compiled ??= new WebAssembly.Module(decodeBase64(KERNELS_BASE64));
  const regions = INPUT_BYTES + OUTPUT_BYTES + SCRATCH_BYTES + RESULT_BYTES + 4 * SLACK;
  // Static data comes first and its size is known only to the instance: 1 MiB is set aside, and checked.
  const pages = Math.ceil((MIB + regions) / PAGE);
  const memory = createMemory(pages, pages);
  const kernels = new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as KernelExports;
  const input = Math.ceil(kernels.heapBase() / PAGE) * PAGE;
  const output = input + INPUT_BYTES + SLACK;
  const scratch = output + OUTPUT_BYTES + SLACK;
  const result = scratch + SCRATCH_BYTES + SLACK;
  if (result + RESULT_BYTES + SLACK > memory.buffer.byteLength) throw new Error("kernels: static data outgrew the room set aside for it");
  return { kernels, memory: new Uint8Array(memory.buffer), input, output, scratch, result };
}

/** A length that a caller states must lie inside the region it speaks of. */
export function checkRoom(what: string, bytes: number, room: number): void {
  if (!Number.isSafeInteger(bytes) || bytes < 0 || bytes > room)
    throw new DiskError("limit", `kernels: ${what} is ${bytes}, expected at most ${room} bytes`);
}

/** Calls `use` for consecutive parts of `bytes` at places in the arena: bytes that lie there already are not copied. */
export function inArena(arena: Arena, bytes: Uint8Array, use: (place: number, length: number) => void): void {
  if (bytes.buffer === arena.memory.buffer) {
    use(bytes.byteOffset, bytes.length);
    return;
  }
  for (let at = 0; at < bytes.length; at += SCRATCH_BYTES) {
    const part = bytes.subarray(at, at + SCRATCH_BYTES);
    arena.memory.set(part, arena.scratch);
    use(arena.scratch, part.length);
  }
}
