import type { MergeLayers, ScanTable } from "../core/model.ts";
import type { RunningHash } from "../core/ports.ts";
import { checkRoom, createArena, INPUT_BYTES, inArena, type KernelExports, OUTPUT_BYTES, RESULT_BYTES, SCRATCH_BYTES } from "./arena.ts";
import { layerMerge } from "./layer-merge.ts";
import { createSha1, createSha256 } from "./sha.ts";
import { tableScan } from "./table-scan.ts";

/** The window of qcow2's streams. */
export const NARROW_WINDOW = 4096;
/** Bytes of a BLAKE3 piece: 64 chunks, the unit in which a disk is hashed. */
export const PIECE_BYTES = 65_536;
/** Bytes of a BLAKE3 chaining value or digest. */
export const HASH_BYTES = 32;
/** The most zeros that one call of `blake3ZeroPieces` hashes. */
export const ZERO_BYTES_LIMIT = (RESULT_BYTES / HASH_BYTES) * PIECE_BYTES;

/**
 * `bad-stream`: not DEFLATE. `truncated`: the stream needs more input. `too-long`, `too-short`: it is well formed, but gives
 * more or less than expected.
 */
export type InflateFailure = "bad-stream" | "truncated" | "too-long" | "too-short";

/**
 * The kernels with an arena of their own: one set per thread, about 5.8 MiB. Synchronous, not reentrant.
 *
 * The arena belongs to the kernels. A caller fills `input`; a result of type Uint8Array is a view into the arena and holds
 * until the next call of any method, except where a method says that it is the caller's own. `bytes` arguments may be views
 * into `input` or `output` (they are then not copied) or any other memory. A length past a region is a `limit` DiskError.
 */
export interface Kernels {
  /** 2 MiB + 64 KiB, for the caller to fill; no kernel writes here, but `Codecs.decode` puts its packed bytes here. */
  readonly input: Uint8Array<ArrayBuffer>;
  /** 2 MiB + 64 KiB: what `inflate` and `deflate` make. */
  readonly output: Uint8Array<ArrayBuffer>;
  /** One byte per unit of `input[0..length)`: 1 = all zero. The last unit may be short. `unit` is at least 64 bytes. */
  zeroUnits(length: number, unit: number): Uint8Array;
  /**
   * BLAKE3 chaining values, 32 bytes each, of the 64 KiB pieces of `input[at..at + length)`; the last piece may be short.
   * `firstChunk`: the number of the first 1024-byte chunk in the whole message, a multiple of 64.
   * The only piece of a message is its root, which is not a chaining value: see `pieceHashes` in disk-hash.ts.
   */
  blake3Pieces(at: number, length: number, firstChunk: number): Uint8Array;
  /** The same for `length` zeros (at most ZERO_BYTES_LIMIT), which need not be anywhere. */
  blake3ZeroPieces(length: number, firstChunk: number): Uint8Array;
  /** Two chaining values, 64 bytes → their parent's. */
  blake3Parent(pair: Uint8Array): Uint8Array;
  /** The last two chaining values of a tree, 64 bytes → the digest. */
  blake3Root(pair: Uint8Array): Uint8Array;
  /** Plain BLAKE3 of a message of at most 512 KiB (2 MiB for a view into the arena). */
  blake3Digest(message: Uint8Array): Uint8Array;
  /** Raw DEFLATE (RFC 1951) of `input[0..packedLength)` → `output`, which must come to exactly `expected` bytes; bytes may follow the stream. */
  inflate(packedLength: number, expected: number): { readonly produced: number; readonly consumed: number } | InflateFailure;
  /** Of the last `inflate` that succeeded: bytes of its stream, and whether no match reached back farther than NARROW_WINDOW. */
  inflated(): { readonly consumed: number; readonly isNarrow: boolean };
  /**
   * `input[at..at + length)` → a raw DEFLATE stream at `output[to..]`. Matches reach back at most `window` bytes.
   * `small`: look longer for a smaller stream. Null: it does not fit in `room` bytes.
   */
  deflate(at: number, length: number, window: number, small: boolean, room?: number, to?: number): Uint8Array | null;
  /** The same as blocks that end on a byte, none of them the last of its stream. */
  deflatePart(at: number, length: number, window: number, small: boolean, room?: number, to?: number): Uint8Array | null;
  adler32(bytes: Uint8Array): number;
  /** `seed`: the CRC of the bytes before. */
  crc32(bytes: Uint8Array, seed?: number): number;
  crc32c(bytes: Uint8Array, seed?: number): number;
  /** Index of the first difference, -1 if there is none. When one is the beginning of the other, they differ where it ends. */
  compare(a: Uint8Array, b: Uint8Array): number;
  /** Running hashes; any number of them may be under way at once. */
  sha1(): RunningHash;
  sha256(): RunningHash;
  /** The result is the caller's own. */
  readonly scanTable: ScanTable;
  /** The result is the caller's own. Overwrites `input` and `output`. */
  readonly mergeLayers: MergeLayers;
}

const MIN_UNIT = 64;
const DIGEST_LIMIT = 2 << 20;
const INFLATE_FAILURES: Readonly<Record<number, InflateFailure>> = { [-1]: "bad-stream", [-2]: "too-long", [-3]: "truncated" };

export function createKernels(): Kernels {
  const arena = createArena();
  const { kernels, memory, scratch, result } = arena;
  const view = (place: number, length: number) => memory.subarray(place, place + length);
  const hashes = (n: number) => view(result, n * HASH_BYTES);

  const checksum = (kernel: (place: number, length: number, seed: number) => number, bytes: Uint8Array, seed: number): number => {
    let sum = seed;
    inArena(arena, bytes, (place, length) => {
      sum = kernel(place, length, sum);
    });
    return sum >>> 0;
  };

  type Deflate = Kernels["deflate"];
  const deflate =
    (kernel: KernelExports["deflate"]): Deflate =>
    (at, length, window, small, room = length, to = 0) => {
      checkRoom("at", at, INPUT_BYTES);
      checkRoom("length", length, INPUT_BYTES - at);
      checkRoom("to", to, OUTPUT_BYTES);
      checkRoom("room", room, OUTPUT_BYTES - to);
      const packed = kernel(arena.input + at, length, arena.output + to, room, window, small ? 1 : 0);
      return packed < 0 ? null : view(arena.output + to, packed);
    };

  return {
    input: view(arena.input, INPUT_BYTES),
    output: view(arena.output, OUTPUT_BYTES),
    zeroUnits(length, unit) {
      checkRoom("length", length, INPUT_BYTES);
      checkRoom("the least unit", MIN_UNIT, unit);
      return view(result, kernels.zeroUnits(arena.input, length, unit, result));
    },
    blake3Pieces(at, length, firstChunk) {
      checkRoom("at", at, INPUT_BYTES);
      checkRoom("length", length, INPUT_BYTES - at);
      return hashes(kernels.blake3Pieces(arena.input + at, length, firstChunk, result));
    },
    blake3ZeroPieces(length, firstChunk) {
      checkRoom("length", length, ZERO_BYTES_LIMIT);
      return hashes(kernels.blake3ZeroPieces(length, firstChunk, result));
    },
    blake3Parent(pair) {
      memory.set(pair.subarray(0, 2 * HASH_BYTES), scratch);
      kernels.blake3Parents(scratch, 1, result);
      return hashes(1);
    },
    blake3Root(pair) {
      memory.set(pair.subarray(0, 2 * HASH_BYTES), scratch);
      kernels.blake3Root(scratch, result);
      return hashes(1);
    },
    blake3Digest(message) {
      checkRoom("message length", message.length, message.buffer === memory.buffer ? DIGEST_LIMIT : SCRATCH_BYTES);
      if (message.length === 0) kernels.blake3Digest(scratch, 0, result);
      inArena(arena, message, (place, length) => kernels.blake3Digest(place, length, result));
      return hashes(1);
    },
    inflate(packedLength, expected) {
      checkRoom("packedLength", packedLength, INPUT_BYTES);
      checkRoom("expected", expected, OUTPUT_BYTES);
      const produced = kernels.inflate(arena.input, packedLength, arena.output, expected);
      if (produced < 0) return INFLATE_FAILURES[produced] ?? "bad-stream";
      return produced < expected ? "too-short" : { produced, consumed: kernels.inflateConsumed() };
    },
    inflated: () => ({ consumed: kernels.inflateConsumed(), isNarrow: kernels.inflateReachesFar() === 0 }),
    deflate: deflate(kernels.deflate),
    deflatePart: deflate(kernels.deflatePart),
    adler32: (bytes) => checksum(kernels.adler32, bytes, 1),
    crc32: (bytes, seed = 0) => checksum(kernels.crc32, bytes, seed),
    crc32c: (bytes, seed = 0) => checksum(kernels.crc32c, bytes, seed),
    compare(a, b) {
      const length = Math.min(a.length, b.length);
      const half = SCRATCH_BYTES / 2;
      for (let at = 0; at < length; at += half) {
        const step = Math.min(half, length - at);
        memory.set(a.subarray(at, at + step), scratch);
        memory.set(b.subarray(at, at + step), scratch + half);
        const difference = kernels.compare(scratch, scratch + half, step);
        if (difference >= 0) return at + difference;
      }
      return a.length === b.length ? -1 : length;
    },
    sha1: () => createSha1(arena),
    sha256: () => createSha256(arena),
    scanTable: tableScan(arena),
    mergeLayers: layerMerge(arena),
  };
}
