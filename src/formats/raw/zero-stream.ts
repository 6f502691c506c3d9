import { xxh64OfZeros } from "./zero-hash.ts";

// DEFLATE blocks and Zstandard frames that stand for zeros, put together by hand: a disk may be zero for terabytes.

/** Writes bits from the lowest up, as RFC 1951 §3.1.1 packs them. */
class BitWriter {
  readonly #bytes: number[] = [];
  #word = 0;
  #count = 0;

  put(value: number, bits: number): void {
    for (let i = 0; i < bits; i++) {
      this.#word |= ((value >>> i) & 1) << this.#count;
      if (++this.#count === 8) this.align();
    }
  }

  align(): void {
    if (this.#count === 0) return;
    this.#bytes.push(this.#word);
    this.#word = 0;
    this.#count = 0;
  }

  finish(): Uint8Array<ArrayBuffer> {
    this.align();
    return Uint8Array.from(this.#bytes);
  }
}

const LONGEST_MATCH = 258;

/**
 * `length` zeros as one DEFLATE block that is not the last of its stream, then an empty stored block, which ends on a byte (RFC 1951 §3.2.4).
 * The block has a code of its own (§3.2.7): one bit for "258 more zeros", two for a zero and for the end.
 */
export function deflateZeros(length: number): Uint8Array<ArrayBuffer> {
  const out = new BitWriter();
  out.put(0, 1);
  out.put(2, 2);
  out.put(286 - 257, 5); // HLIT: literals and lengths up to code 285
  out.put(0, 5); // HDIST: one distance code
  out.put(18 - 4, 4); // HCLEN: up to code 1 of the order 16 17 18 0 8 7 9 6 10 5 11 4 12 3 13 2 14 1
  const lengths: Readonly<Record<number, number>> = { 18: 1, 1: 2, 2: 2 };
  for (const symbol of [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1]) out.put(lengths[symbol] ?? 0, 3);
  // Canonical codes, first bit lowest here: 18 → 0, 1 → 10, 2 → 11.
  const zeros = (count: number): void => {
    out.put(0, 1);
    out.put(count - 11, 7);
  };
  const one = (): void => out.put(0b01, 2);
  const two = (): void => out.put(0b11, 2);
  two(); // literal 0
  zeros(138);
  zeros(117); // literals 1 to 255
  two(); // end of block
  zeros(28); // lengths 257 to 284
  one(); // length 285: 258 bytes
  one(); // distance 1
  // Canonical codes: 285 → 0, literal 0 → 10, end → 11; the distance is one bit, 0.
  const matches = Math.floor(Math.max(0, length - 1) / LONGEST_MATCH);
  const literals = length - matches * LONGEST_MATCH;
  for (let i = 0; i < literals; i++) out.put(0b01, 2);
  for (let i = 0; i < matches; i++) out.put(0, 2);
  out.put(0b11, 2);
  out.put(0, 3);
  out.align();
  out.put(0, 16);
  out.put(0xffff, 16);
  return out.finish();
}

const ZSTD_MAGIC = 0xfd2fb528;
const LARGEST_BLOCK = 128 << 10;

/** `length` zeros (1 to 8 MiB) as one Zstandard frame of RLE blocks, with its checksum (RFC 8878 §3.1.1). */
export function zstdZeros(length: number): Uint8Array<ArrayBuffer> {
  const blocks = Math.ceil(length / LARGEST_BLOCK);
  const out = new Uint8Array(9 + blocks * 4 + 4);
  const view = new DataView(out.buffer);
  view.setUint32(0, ZSTD_MAGIC, true);
  view.setUint8(4, 0b1010_0100); // content size of four bytes, single segment, checksum
  view.setUint32(5, length, true);
  for (let i = 0; i < blocks; i++) {
    const size = Math.min(LARGEST_BLOCK, length - i * LARGEST_BLOCK);
    const header = (size << 3) | (1 << 1) | (i === blocks - 1 ? 1 : 0);
    view.setUint16(9 + i * 4, header & 0xffff, true);
    view.setUint8(11 + i * 4, header >>> 16);
  }
  view.setUint32(9 + blocks * 4, xxh64OfZeros(length), true);
  return out;
}
