/**
 * How long the output of a zlib stream is, without making it (RFC 1950, RFC 1951). Only the last grain of a disk needs this:
 * some writers compress what lies inside the disk, others the whole grain, and nothing but the stream itself says which.
 */

const LENGTH_BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const LONGEST_CODE = 15;
const ZLIB_HEADER_BYTES = 2;

/** A canonical Huffman code: how many codes each length has, and the symbols in code order (RFC 1951 §3.2.2). */
interface Huffman {
  readonly counts: Uint16Array;
  readonly symbols: Uint16Array;
}

class Damaged extends Error {}

class BitReader {
  readonly #bytes: Uint8Array;
  #bit: number;
  constructor(bytes: Uint8Array, from: number) {
    this.#bytes = bytes;
    this.#bit = from * 8;
  }
  /** RFC 1951 §3.1.1: numbers begin with their lowest bit. */
  take(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++, this.#bit++) {
      const byte = this.#bytes[this.#bit >> 3];
      if (byte === undefined) throw new Damaged();
      value |= ((byte >> (this.#bit & 7)) & 1) << i;
    }
    return value;
  }
  symbol({ counts, symbols }: Huffman): number {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length <= LONGEST_CODE; length++) {
      code |= this.take(1);
      const count = counts[length] as number;
      if (code - first < count) return symbols[index + code - first] as number;
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw new Damaged();
  }
  /** The length of a stored block, whose bytes are skipped (§3.2.4). */
  stored(): number {
    this.#bit = Math.ceil(this.#bit / 8) * 8;
    const length = this.take(16);
    if (this.take(16) !== (~length & 0xffff)) throw new Damaged();
    this.#bit += length * 8;
    return length;
  }
}

function huffman(lengths: readonly number[]): Huffman {
  const counts = new Uint16Array(LONGEST_CODE + 1);
  for (const length of lengths) if (length > 0) counts[length] = (counts[length] as number) + 1;
  const symbols = lengths
    .map((length, symbol) => ({ length, symbol }))
    .filter(({ length }) => length > 0)
    .sort((a, b) => a.length - b.length || a.symbol - b.symbol);
  return { counts, symbols: Uint16Array.from(symbols, ({ symbol }) => symbol) };
}

/** §3.2.6 */
const FIXED_LENGTHS = huffman(Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8)));
const FIXED_DISTANCES = huffman(Array.from({ length: 30 }, () => 5));

/** §3.2.7 */
function dynamicCodes(bits: BitReader): [lengths: Huffman, distances: Huffman] {
  const literals = bits.take(5) + 257;
  const distances = bits.take(5) + 1;
  const codeLengths = new Array<number>(CODE_ORDER.length).fill(0);
  const used = bits.take(4) + 4;
  for (let i = 0; i < used; i++) codeLengths[CODE_ORDER[i] as number] = bits.take(3);
  const code = huffman(codeLengths);
  const lengths: number[] = [];
  while (lengths.length < literals + distances) {
    const symbol = bits.symbol(code);
    if (symbol < 16) lengths.push(symbol);
    else {
      const value = symbol === 16 ? lengths.at(-1) : 0;
      if (value === undefined) throw new Damaged();
      let repeat = symbol === 16 ? 3 + bits.take(2) : symbol === 17 ? 3 + bits.take(3) : 11 + bits.take(7);
      while (repeat-- > 0) lengths.push(value);
    }
  }
  return [huffman(lengths.slice(0, literals)), huffman(lengths.slice(literals, literals + distances))];
}

function compressedBlock(bits: BitReader, [lengths, distances]: [Huffman, Huffman], limit: number): number {
  let total = 0;
  while (total <= limit) {
    const symbol = bits.symbol(lengths);
    if (symbol === 256) return total;
    if (symbol < 256) total++;
    else {
      const extra = LENGTH_BITS[symbol - 257];
      if (extra === undefined) throw new Damaged();
      total += (LENGTH_BASE[symbol - 257] as number) + bits.take(extra);
      const distance = bits.symbol(distances);
      bits.take(distance < 4 ? 0 : (distance >> 1) - 1);
    }
  }
  return total;
}

/** The output length of the zlib stream at `from`; null when the stream is damaged or gives more than `limit` bytes. */
export function inflatedLength(bytes: Uint8Array, from: number, limit: number): number | null {
  const bits = new BitReader(bytes, from + ZLIB_HEADER_BYTES);
  let total = 0;
  try {
    for (let last = false; !last; ) {
      last = bits.take(1) === 1;
      const type = bits.take(2);
      if (type === 3) return null;
      if (type === 0) total += bits.stored();
      else total += compressedBlock(bits, type === 1 ? [FIXED_LENGTHS, FIXED_DISTANCES] : dynamicCodes(bits), limit - total);
      if (total > limit) return null;
    }
  } catch (error) {
    if (error instanceof Damaged) return null;
    throw error;
  }
  return total;
}
