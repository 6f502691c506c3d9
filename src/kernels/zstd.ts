import { decodeBase64 } from "./base64.ts";

/**
 * Zstandard by the reference implementation, compiled to WASM (@bokuweb/zstd-wasm). It has a memory of its own: 16.1 MiB,
 * which is enough for units of 2 MiB both ways (measured), and never more than MEMORY_LIMIT. Results are views into it and hold until the next call.
 */
export interface Zstd {
  /** One whole frame → its content; null when it is damaged or does not give exactly `unpacked` bytes. */
  decompress(frame: Uint8Array, unpacked: number): Uint8Array | null;
  /** One frame that states its content size. The same bytes for the same input, whatever came before. */
  compress(bytes: Uint8Array): Uint8Array;
}

const LEVEL = 3;
const PAGE = 1 << 16;
const MEMORY_LIMIT = 64 << 20;
const NO_DICTIONARY = 0;

/** The package exports its functions under one-letter names; their C names follow. */
interface Exports {
  /** memory */
  readonly f: WebAssembly.Memory;
  /** __wasm_call_ctors */
  g(): void;
  /** ZSTD_isError */
  h(code: number): number;
  /** ZSTD_compressBound */
  i(size: number): number;
  /** ZSTD_createCCtx */
  j(): number;
  /** ZSTD_compress_usingDict */
  l(
    context: number,
    to: number,
    room: number,
    from: number,
    length: number,
    dictionary: number,
    dictionaryLength: number,
    level: number,
  ): number;
  /** ZSTD_createDCtx */
  n(): number;
  /** ZSTD_decompress_usingDict */
  q(context: number, to: number, room: number, from: number, length: number, dictionary: number, dictionaryLength: number): number;
  /** malloc */
  s(size: number): number;
  /** free */
  t(place: number): void;
}

function instantiate(bytes: Uint8Array<ArrayBuffer>): Exports {
  const stop = () => {
    throw new Error("zstd: the library aborted");
  };
  let memory: WebAssembly.Memory;
  const resizeHeap = (wanted: number): number => {
    const size = wanted >>> 0;
    if (size > MEMORY_LIMIT) return 0;
    memory.grow(Math.ceil((size - memory.buffer.byteLength) / PAGE));
    return 1;
  };
  // proc_exit, runtime_keepalive_clear, abort, setitimer, emscripten_resize_heap; the timer is part of exit() and never set.
  const a = { a: stop, b: () => undefined, c: stop, d: () => 0, e: resizeHeap };
  const exports = new WebAssembly.Instance(new WebAssembly.Module(bytes), { a }).exports as unknown as Exports;
  memory = exports.f;
  exports.g();
  return exports;
}

/**
 * Fetches nothing: the library is part of the program, in a module of its own that loads when first asked for.
 * It is packed there; `inflate`: a raw DEFLATE stream → exactly so many bytes, the caller's own.
 */
export async function loadZstd(inflate: (packed: Uint8Array, bytes: number) => Uint8Array<ArrayBuffer>): Promise<Zstd> {
  const { ZSTD_BASE64, ZSTD_BYTES } = await import("../../build/zstd.js");
  return createZstd(instantiate(inflate(decodeBase64(ZSTD_BASE64), ZSTD_BYTES)));
}

interface Buffer {
  place: number;
  size: number;
}

function createZstd(zstd: Exports): Zstd {
  const checked = (place: number): number => {
    if (place === 0) throw new Error("zstd: out of memory");
    return place;
  };
  const source: Buffer = { place: 0, size: 0 };
  const target: Buffer = { place: 0, size: 0 };
  /** Kept between calls, and grown to the next power of two when too small. */
  const reserve = (buffer: Buffer, size: number): number => {
    if (buffer.size < size) {
      if (buffer.size > 0) zstd.t(buffer.place);
      buffer.size = 0;
      const rounded = 2 ** Math.ceil(Math.log2(Math.max(size, PAGE)));
      buffer.place = checked(zstd.s(rounded));
      buffer.size = rounded;
    }
    return buffer.place;
  };
  const load = (bytes: Uint8Array): number => {
    const place = reserve(source, bytes.length);
    new Uint8Array(zstd.f.buffer).set(bytes, place);
    return place;
  };
  let compressor = 0;
  let decompressor = 0;

  return {
    decompress(frame, unpacked) {
      if (decompressor === 0) decompressor = checked(zstd.n());
      const from = load(frame);
      const to = reserve(target, unpacked);
      const made = zstd.q(decompressor, to, unpacked, from, frame.length, NO_DICTIONARY, 0) >>> 0;
      return zstd.h(made) !== 0 || made !== unpacked ? null : new Uint8Array(zstd.f.buffer, to, made);
    },
    compress(bytes) {
      if (compressor === 0) compressor = checked(zstd.j());
      const room = zstd.i(bytes.length);
      const from = load(bytes);
      const to = reserve(target, room);
      const made = zstd.l(compressor, to, room, from, bytes.length, NO_DICTIONARY, 0, LEVEL) >>> 0;
      if (zstd.h(made) !== 0) throw new Error("zstd: compression failed");
      return new Uint8Array(zstd.f.buffer, to, made);
    },
  };
}
