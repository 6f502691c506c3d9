import { ZSTD_ENCODE_BASE64 } from "../../build/zstd-encode.js";
import { DiskError } from "../core/errors.ts";
import { kernelModule } from "./streams/instance.ts";
import { createContentHash, ZstdBlocks } from "./streams/zstd-blocks.ts";
import { addChecksum } from "./streams/zstd-header.ts";
import { findZstdFrame } from "./zstd-frame.ts";

/** Zstandard units of up to 2 MiB. */
export interface Zstd {
  /**
   * The first frame in `packed`, whatever follows it → `output`, which lies elsewhere and is filled exactly; its checksum is verified if it has one.
   * Throws a `corrupt` or `unsupported` DiskError whose `at` is an offset in `packed`.
   */
  decompress(packed: Uint8Array, output: Uint8Array): void;
  /** One frame that states its content size. A view that holds until the next call. The same bytes for the same unit, whatever came before. */
  compress(unit: Uint8Array): Uint8Array;
  /** The same with a checksum of the content, in `output`. */
  compressWithChecksum(unit: Uint8Array, output: Uint8Array): Uint8Array;
}

/** What each does is stated in `assembly/zstd-encode/`; places are offsets into the memory. */
interface EncoderExports {
  heapBase(): number;
  zstdEncode(input: number, length: number, output: number): number;
  zstdRoom(length: number): number;
}

/** May be read behind the unit. */
const SLACK = 16;

const instantiate = kernelModule<EncoderExports>(ZSTD_ENCODE_BASE64);

/** Memory: what the largest unit took, and 1 MiB for each direction that is used. */
export function createZstd(): Zstd {
  let blocks: ZstdBlocks | undefined;
  let encoder: ((unit: Uint8Array) => Uint8Array) | undefined;
  let hash: ((message: Uint8Array) => number) | undefined;
  const compress = (unit: Uint8Array): Uint8Array => {
    encoder ??= createEncoder();
    return encoder(unit);
  };
  return {
    decompress(packed, output) {
      blocks ??= new ZstdBlocks();
      decompress(blocks, packed, output);
    },
    compress,
    compressWithChecksum(unit, output) {
      hash ??= createContentHash();
      const frame = compress(unit);
      output.set(frame);
      return addChecksum(output, frame.length, hash(unit));
    },
  };
}

function createEncoder(): (unit: Uint8Array) => Uint8Array {
  const { exports, base, reserve } = instantiate();
  return (unit) => {
    const output = base + unit.length + SLACK;
    const memory = reserve(unit.length + SLACK + exports.zstdRoom(unit.length));
    memory.set(unit, base);
    return memory.subarray(output, output + exports.zstdEncode(base, unit.length, output));
  };
}

function decompress(decoder: ZstdBlocks, packed: Uint8Array, output: Uint8Array): void {
  const { start, form, blocks, checksum } = findZstdFrame(packed);
  const expected = output.length;
  if (form.contentSize !== null && form.contentSize !== expected)
    throw new DiskError("corrupt", `zstd: Frame_Content_Size is ${form.contentSize}, expected ${expected}`, { at: start });
  decoder.startFrame(form);
  let made = 0;
  for (const { at, type, size, packed: length } of blocks) {
    decoder.take(packed.subarray(at, at + length));
    const damage = decoder.decode(type, size);
    if (damage !== null) throw new DiskError("corrupt", `zstd: ${damage}`, { at });
    if (decoder.pending > expected - made)
      throw new DiskError("corrupt", `zstd: the compressed data holds more than the expected ${expected} bytes`, { at });
    made += decoder.give(output.subarray(made));
  }
  if (made < expected) throw new DiskError("corrupt", `zstd: the compressed data holds ${made} bytes, expected ${expected}`, { at: start });
  if (checksum !== null && checksum.stated !== decoder.checksum)
    throw new DiskError(
      "corrupt",
      `zstd: Content_Checksum is 0x${checksum.stated.toString(16)}, but the content gives 0x${decoder.checksum.toString(16)}`,
      { at: checksum.at },
    );
}
