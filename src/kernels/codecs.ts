import { DiskError, type ErrorPlace } from "../core/errors.ts";
import type { CodecId, Packing } from "../core/model.ts";
import type { Encoding } from "../core/target.ts";
import { INPUT_BYTES, OUTPUT_BYTES } from "./arena.ts";
import { type InflateFailure, type Kernels, NARROW_WINDOW } from "./index.ts";
import { type LazyUnitCodec, loadUnitDecoder, type UnitDecoder } from "./streams/index.ts";
import type { Zstd } from "./zstd.ts";
import { findZstdFrame } from "./zstd-frame.ts";

/** Packed units ↔ plain ones. Results are views that hold until the next call of these codecs or their kernels. */
export interface Codecs {
  /** Makes a codec ready: some load when first asked for. After it, `decode` and `encode` work at once. */
  need(codec: string): Promise<void>;
  /**
   * Exactly `unpacked` bytes (at most 2 MiB; 64 MiB for the codecs that are loaded), or a DiskError: `corrupt` when the stream is damaged, gives another number of
   * bytes or fails its checksum. `packed` may hold more than the stream. The error's `at` is `place.at` plus the offset in `packed`.
   * Overwrites `kernels.input` and `kernels.output`.
   */
  decode(packing: Packing, packed: Uint8Array, place?: ErrorPlace): Uint8Array;
  /**
   * To be called right after `decode` with the same `packed`: its stream as `encode` would hand it over, without packing anew; the
   * caller's own. Null: the encoding is of another kind, wants a smaller stream, or a shorter window than the stream may use.
   */
  repack(encoding: Encoding, packing: Packing, packed: Uint8Array): Uint8Array<ArrayBuffer> | null;
  /** Packs `kernels.input[at..at + length)`. Null: the encoding keeps only units that shrink, and this one does not. */
  encode(encoding: Encoding, at: number, length: number): Uint8Array | null;
}

/** RFC 1950 section 2.2. */
const ZLIB_HEADER_BYTES = 2;
const ADLER32_BYTES = 4;
const CRC32_BYTES = 4;
const CM_DEFLATE = 8;
const FDICT = 0x20;
const FLEVEL_DEFAULT = 2 << 6;
/** VMDK: GrainMarker, up to its data: `lba` u64, `size` u32. */
const GRAIN_HEADER_BYTES = 12;
/** RFC 1951 section 3.2.4. */
const STORED_LIMIT = 65_535;
const STORED_HEADER_BYTES = 5;

const FAILURES: Readonly<Record<InflateFailure, string>> = {
  "bad-stream": "the compressed data is damaged",
  truncated: "the compressed data ends too soon",
  "too-long": "the compressed data holds more than the expected",
  "too-short": "the compressed data holds less than the expected",
};

export function createCodecs(kernels: Kernels): Codecs {
  let zstd: Zstd | null = null;
  const readyZstd = () => {
    if (zstd === null) throw new DiskError("usage", "zstd: the codec was not made ready before its use");
    return zstd;
  };
  const loaded = new Map<string, UnitDecoder>();
  const lazily =
    (codec: LazyUnitCodec) =>
    ({ unpacked }: Packing, packed: Uint8Array): Uint8Array => {
      const decoder = loaded.get(codec);
      if (decoder === undefined) throw new DiskError("usage", `${codec}: the codec was not made ready before its use`);
      return decoder(packed, unpacked);
    };
  const decoders: Readonly<Record<CodecId, (packing: Packing, packed: Uint8Array) => Uint8Array>> = {
    deflate: ({ unpacked }, packed) => inflateStream(kernels, "deflate", packed, 0, unpacked).bytes,
    zlib: ({ unpacked }, packed) => decodeZlib(kernels, packed, 0, unpacked),
    grain: (packing, packed) => decodeGrain(kernels, packing, packed),
    zstd: ({ unpacked }, packed) => decodeZstd(readyZstd(), kernels, packed, unpacked),
    summed: ({ unpacked }, packed) => decodeSummed(kernels, packed, unpacked),
    fill: ({ unpacked }, packed) => fill(kernels, packed, unpacked),
    bzip2: lazily("bzip2"),
    xz: lazily("xz"),
    lzfse: lazily("lzfse"),
    adc: lazily("adc"),
  };
  return {
    async need(codec) {
      if (codec === "zstd") zstd ??= (await import("./zstd.ts")).createZstd();
      if (isLazy(codec) && !loaded.has(codec)) loaded.set(codec, await loadUnitDecoder(codec));
    },
    decode(packing, packed, place = {}) {
      const { codec, unpacked } = packing;
      const most = isLazy(codec) ? LAZY_UNIT_LIMIT : OUTPUT_BYTES;
      if (!Number.isSafeInteger(unpacked) || unpacked < 1 || unpacked > most)
        throw new DiskError("limit", `${codec}: a unit of ${unpacked} bytes, expected 1 to ${most}`, place);
      try {
        return decoders[codec](packing, packed);
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        const at = place.at === undefined ? error.at : place.at + (error.at ?? 0);
        throw new DiskError(error.code, error.message, { ...place, at, cause: error.cause });
      }
    },
    repack: (encoding, packing, packed) => (encoding.small === true ? null : repackUnit(kernels, encoding, packing, packed)),
    encode(encoding, at, length) {
      const room = encoding.keep === "smaller" ? length - 1 : OUTPUT_BYTES;
      if (encoding.codec === "zstd") {
        const unit = kernels.input.subarray(at, at + length);
        // A unit that is always kept is a frame of a file that other programs unpack: they can tell whether it is sound.
        if (encoding.keep !== "smaller") return readyZstd().compressWithChecksum(unit, kernels.output);
        const packed = readyZstd().compress(unit);
        return packed.length > room ? null : packed;
      }
      if (encoding.codec === "zlib") return encodeZlib(kernels, encoding, at, length, room);
      if (encoding.codec === "deflate-part") return encodePart(kernels, encoding, at, length, room);
      const end = encodeDeflate(kernels, encoding, at, length, 0, room);
      return end === null ? null : kernels.output.subarray(0, end);
    },
  };
}

/** Apple's images have chunks of up to some MiB; no more than this is unpacked at once. */
const LAZY_UNIT_LIMIT = 64 << 20;
const LAZY_CODECS: readonly string[] = ["bzip2", "xz", "lzfse", "adc"] satisfies LazyUnitCodec[];
const isLazy = (codec: string): codec is LazyUnitCodec => LAZY_CODECS.includes(codec);

/** Plain bytes and their Adler-32. */
function decodeSummed(kernels: Kernels, packed: Uint8Array, unpacked: number): Uint8Array {
  if (packed.length < unpacked + ADLER32_BYTES) throw new DiskError("corrupt", "the data ends before its Adler-32", { at: packed.length });
  const bytes = packed.subarray(0, unpacked);
  const stated = new DataView(packed.buffer, packed.byteOffset + unpacked, ADLER32_BYTES).getUint32(0, true);
  const actual = kernels.adler32(bytes);
  if (stated === actual) return bytes;
  throw new DiskError("corrupt", `the stated Adler-32 is 0x${stated.toString(16)}, but the data gives 0x${actual.toString(16)}`, {
    at: unpacked,
  });
}

function fill(kernels: Kernels, pattern: Uint8Array, unpacked: number): Uint8Array {
  if (pattern.length === 0) throw new DiskError("corrupt", "fill: the pattern is empty", { at: 0 });
  const bytes = kernels.output.subarray(0, unpacked);
  bytes.set(pattern.subarray(0, unpacked));
  for (let done = pattern.length; done < unpacked; done *= 2) bytes.copyWithin(done, 0, Math.min(done, unpacked - done));
  return bytes;
}

interface Inflated {
  readonly bytes: Uint8Array;
  /** End of the stream in `packed`. */
  readonly end: number;
}

function inflateStream(kernels: Kernels, codec: CodecId, packed: Uint8Array, from: number, unpacked: number): Inflated {
  const length = Math.min(packed.length - from, INPUT_BYTES);
  kernels.input.set(packed.subarray(from, from + length));
  const result = kernels.inflate(length, unpacked);
  if (typeof result !== "string") return { bytes: kernels.output.subarray(0, unpacked), end: from + result.consumed };
  if (result === "truncated" && length < packed.length - from)
    throw new DiskError("limit", `${codec}: the stream is longer than ${INPUT_BYTES} bytes`, { at: from });
  const amount = result === "too-long" || result === "too-short" ? ` ${unpacked} bytes` : "";
  throw new DiskError("corrupt", `${codec}: ${FAILURES[result]}${amount}`, { at: from });
}

/** RFC 1950 section 2.2. */
function decodeZlib(kernels: Kernels, packed: Uint8Array, from: number, unpacked: number): Uint8Array {
  const truncated = (at: number, field: string) => new DiskError("corrupt", `zlib: the data ends before ${field}`, { at });
  if (packed.length < from + ZLIB_HEADER_BYTES) throw truncated(from, "CMF and FLG");
  const cmf = packed[from] as number;
  const flg = packed[from + 1] as number;
  if ((cmf & 15) !== CM_DEFLATE || cmf >>> 4 > 7 || ((cmf << 8) | flg) % 31 !== 0)
    throw new DiskError("corrupt", `zlib: CMF and FLG are 0x${((cmf << 8) | flg).toString(16).padStart(4, "0")}, not a zlib header`, {
      at: from,
    });
  if ((flg & FDICT) !== 0) throw new DiskError("corrupt", "zlib: FDICT is 1, expected a stream without a dictionary", { at: from + 1 });
  const { bytes, end } = inflateStream(kernels, "zlib", packed, from + ZLIB_HEADER_BYTES, unpacked);
  if (packed.length < end + ADLER32_BYTES) throw truncated(end, "ADLER32");
  const stated = new DataView(packed.buffer, packed.byteOffset + end, ADLER32_BYTES).getUint32(0, false);
  const actual = kernels.adler32(bytes);
  if (stated !== actual)
    throw new DiskError("corrupt", `zlib: ADLER32 is 0x${stated.toString(16)}, but the data gives 0x${actual.toString(16)}`, { at: end });
  return bytes;
}

/** VMDK 5.0, "Compressed Grains": GrainMarker. */
function decodeGrain(kernels: Kernels, packing: Packing, packed: Uint8Array): Uint8Array {
  if (packed.length < GRAIN_HEADER_BYTES) throw new DiskError("corrupt", "grain: the data ends inside the grain marker", { at: 0 });
  const view = new DataView(packed.buffer, packed.byteOffset, GRAIN_HEADER_BYTES);
  const lba = view.getBigUint64(0, true);
  if (packing.tag === undefined || lba !== BigInt(packing.tag))
    throw new DiskError("corrupt", `grain: lba is ${lba}, expected ${packing.tag}`, { at: 0 });
  const size = view.getUint32(8, true);
  const room = packed.length - GRAIN_HEADER_BYTES;
  if (size > room) throw new DiskError("corrupt", `grain: size is ${size}, expected at most ${room}`, { at: 8 });
  return decodeZlib(kernels, packed.subarray(0, GRAIN_HEADER_BYTES + size), GRAIN_HEADER_BYTES, packing.unpacked);
}

function decodeZstd(zstd: Zstd, kernels: Kernels, packed: Uint8Array, unpacked: number): Uint8Array {
  const bytes = kernels.output.subarray(0, unpacked);
  zstd.decompress(packed, bytes);
  return bytes;
}

const storedSize = (length: number): number => length + STORED_HEADER_BYTES * Math.max(1, Math.ceil(length / STORED_LIMIT));

/** A raw DEFLATE stream → `output[to..]`; its end, or null when it would need more than `room` bytes. */
function encodeDeflate(
  kernels: Kernels,
  { window, small = false }: Encoding,
  at: number,
  length: number,
  to: number,
  room: number,
): number | null {
  const packed = kernels.deflate(at, length, window, small, Math.min(room, storedSize(length)), to);
  if (packed !== null) return to + packed.length;
  return storedSize(length) <= room ? storeBlocks(kernels, at, length, to, true) : null;
}

/** RFC 1951 section 3.2.4: what does not shrink goes into stored blocks. */
function storeBlocks(kernels: Kernels, at: number, length: number, to: number, last: boolean): number {
  const { input, output } = kernels;
  let done = 0;
  do {
    const step = Math.min(STORED_LIMIT, length - done);
    const final = last && done + step === length ? 1 : 0;
    output.set([final, step & 255, step >>> 8, ~step & 255, (~step >>> 8) & 255], to);
    output.set(input.subarray(at + done, at + done + step), to + STORED_HEADER_BYTES);
    to += STORED_HEADER_BYTES + step;
    done += step;
  } while (done < length);
  return to;
}

const LONGEST_WINDOW = 32_768;

/** Streams keep their kind: one packed with a short window would be larger than what a target with a long one is used to. */
function repackUnit(kernels: Kernels, encoding: Encoding, { codec }: Packing, packed: Uint8Array): Uint8Array<ArrayBuffer> | null {
  if (codec === "zstd" && encoding.codec === "zstd" && encoding.keep === "smaller") {
    const { start, end } = findZstdFrame(packed);
    return new Uint8Array(packed.subarray(start, end));
  }
  const { consumed, isNarrow } = kernels.inflated();
  if (codec === "deflate" && encoding.codec === "deflate")
    return encoding.window < (isNarrow ? NARROW_WINDOW : LONGEST_WINDOW) ? null : new Uint8Array(packed.subarray(0, consumed));
  if ((codec !== "zlib" && codec !== "grain") || encoding.codec !== "zlib" || encoding.window < LONGEST_WINDOW) return null;
  const from = codec === "grain" ? GRAIN_HEADER_BYTES : 0;
  return new Uint8Array(packed.subarray(from, from + ZLIB_HEADER_BYTES + consumed + ADLER32_BYTES));
}

/** RFC 1950 section 2.2; the window is a power of two from 256 to 32768. */
function encodeZlib(kernels: Kernels, encoding: Encoding, at: number, length: number, room: number): Uint8Array | null {
  const extra = ZLIB_HEADER_BYTES + ADLER32_BYTES;
  const end = room < extra ? null : encodeDeflate(kernels, encoding, at, length, ZLIB_HEADER_BYTES, room - extra);
  if (end === null) return null;
  const { output } = kernels;
  const cmf = ((Math.log2(encoding.window) - 8) << 4) | CM_DEFLATE;
  output[0] = cmf;
  output[1] = FLEVEL_DEFAULT + 31 - (((cmf << 8) | FLEVEL_DEFAULT) % 31);
  const sum = kernels.adler32(kernels.input.subarray(at, at + length));
  new DataView(output.buffer, output.byteOffset + end, ADLER32_BYTES).setUint32(0, sum, false);
  return output.subarray(0, end + ADLER32_BYTES);
}

/** DEFLATE blocks that more can follow, then the CRC-32 of the plain bytes. */
function encodePart(kernels: Kernels, { window, small = false }: Encoding, at: number, length: number, room: number): Uint8Array | null {
  const stored = storedSize(length);
  const packed = kernels.deflatePart(at, length, window, small, Math.max(0, Math.min(room - CRC32_BYTES, stored)));
  if (packed === null && stored + CRC32_BYTES > room) return null;
  const end = packed === null ? storeBlocks(kernels, at, length, 0, false) : packed.length;
  const { input, output } = kernels;
  new DataView(output.buffer, output.byteOffset + end, CRC32_BYTES).setUint32(0, kernels.crc32(input.subarray(at, at + length)), true);
  return output.subarray(0, end + CRC32_BYTES);
}
