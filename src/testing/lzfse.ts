/** An encoder for LZFSE streams as tests want them: blocks of given parts. It finds no matches by itself. */

/** L literals, then M bytes from D bytes back. */
export interface Triple {
  readonly literals: Uint8Array;
  readonly match: number;
  /** 0: the same as before. */
  readonly distance: number;
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
};
export const END_OF_STREAM = Buffer.from("bvx$");
export const uncompressed = (bytes: Uint8Array): Buffer => Buffer.concat([Buffer.from("bvx-"), u32(bytes.length), bytes]);
export const lzvnBlock = (payload: Uint8Array, size: number): Buffer =>
  Buffer.concat([Buffer.from("bvxn"), u32(size), u32(payload.length), payload]);

/** What the triples stand for, after `before`. */
export function unpacked(triples: readonly Triple[], before: Uint8Array = Buffer.alloc(0)): Buffer {
  const bytes = [...before];
  let last = 0;
  for (const { literals, match, distance } of triples) {
    bytes.push(...literals);
    if (distance > 0) last = distance;
    for (let i = 0; i < match; i++) bytes.push(bytes[bytes.length - last] as number);
  }
  return Buffer.from(bytes.slice(before.length));
}

/** Extra bits of the symbols of each alphabet. */
const L_EXTRA = [...new Array<number>(16).fill(0), 2, 3, 5, 8];
const M_EXTRA = [...new Array<number>(16).fill(0), 3, 5, 8, 11];
const D_EXTRA = Array.from({ length: 64 }, (_, symbol) => symbol >> 2);
const LITERAL_EXTRA = new Array<number>(256).fill(0);

/** Bits, the first at the lowest place. */
class Bits {
  #value = 0n;
  length = 0;
  put(value: number, bits: number): void {
    this.#value |= BigInt(value) << BigInt(this.length);
    this.length += bits;
  }
  /** Whole bytes; the highest bits of the last one are zero. */
  bytes(): Buffer {
    const size = Math.ceil(this.length / 8);
    return size === 0 ? Buffer.alloc(0) : Buffer.from(this.#value.toString(16).padStart(2 * size, "0"), "hex").reverse();
  }
  /** As the headers have it: 0 to -7. */
  get unused(): number {
    return this.length - 8 * Math.ceil(this.length / 8);
  }
}

/** A code by its decoding table: for each state its symbol, and from which state on how many follow it. */
class Code {
  readonly frequencies: number[];
  state = 0;
  readonly #extra: readonly number[];
  readonly #table: { symbol: number; bits: number; delta: number }[] = [];

  constructor(states: number, extra: readonly number[], values: readonly number[]) {
    this.#extra = extra;
    const counts = new Array<number>(extra.length).fill(0);
    for (const value of values) counts[this.#symbol(value)]!++;
    this.frequencies = counts.map((count) => (count === 0 ? 0 : Math.max(1, Math.floor((count * states) / values.length))));
    const sum = (): number => this.frequencies.reduce((total, frequency) => total + frequency, 0);
    while (values.length > 0 && sum() !== states) {
      const largest = this.frequencies.indexOf(Math.max(...this.frequencies));
      this.frequencies[largest]! += sum() < states ? states - sum() : -1;
    }
    for (const [symbol, frequency] of this.frequencies.entries())
      for (let i = frequency; i < 2 * frequency; i++) {
        // State i of frequency..2 * frequency stands for the states from i << bits on, counted from `states`.
        let bits = 0;
        while (i << bits < states) bits++;
        this.#table.push({ symbol, bits, delta: (i << bits) - states });
      }
  }

  #base(symbol: number): number {
    return this.#extra.slice(0, symbol).reduce((base, bits) => base + (1 << bits), 0);
  }
  #symbol(value: number): number {
    return this.#extra.findIndex((bits, symbol) => value < this.#base(symbol) + (1 << bits));
  }

  /** Puts what has the decoder give `value` and come to the present state; then the state is the one before. */
  put(bits: Bits, value: number): void {
    const symbol = this.#symbol(value);
    const from = this.#table.findIndex(
      (entry) => entry.symbol === symbol && entry.delta <= this.state && this.state < entry.delta + (1 << entry.bits),
    );
    const entry = this.#table[from]!;
    const extra = this.#extra[symbol] as number;
    bits.put(((this.state - entry.delta) << extra) | (value - this.#base(symbol)), entry.bits + extra);
    this.state = from;
  }
}

/** A compressed block; `bvx1` holds the frequencies as they are. */
export function lmdBlock(triples: readonly Triple[], kind: "bvx1" | "bvx2", before: Uint8Array = Buffer.alloc(0)): Buffer {
  const literals = triples.flatMap((triple) => [...triple.literals]);
  while (literals.length % 4 > 0) literals.push(literals[0] as number);
  const literalCode = new Code(1024, LITERAL_EXTRA, literals);
  const l = new Code(
    64,
    L_EXTRA,
    triples.map((triple) => triple.literals.length),
  );
  const m = new Code(
    64,
    M_EXTRA,
    triples.map((triple) => triple.match),
  );
  const d = new Code(
    256,
    D_EXTRA,
    triples.map((triple) => triple.distance),
  );

  const literalBits = new Bits();
  const states = [0, 0, 0, 0];
  for (let i = literals.length - 1; i >= 0; i--) {
    literalCode.state = states[i & 3] as number;
    literalCode.put(literalBits, literals[i] as number);
    states[i & 3] = literalCode.state;
  }
  // Apple's encoder begins this stream with eight zero bytes, which 7-Zip insists on.
  const lmdBits = new Bits();
  lmdBits.put(0, 64);
  for (const { literals: run, match, distance } of triples.toReversed()) {
    d.put(lmdBits, distance);
    m.put(lmdBits, match);
    l.put(lmdBits, run.length);
  }
  const raw = unpacked(triples, before).length;
  const [literalBytes, lmdBytes] = [literalBits.bytes(), lmdBits.bytes()];
  const frequencies = [l, m, d, literalCode].flatMap((code) => code.frequencies);
  const start = Buffer.concat([Buffer.from(kind), u32(raw)]);
  if (kind === "bvx1") {
    const header = Buffer.alloc(772 - 8);
    for (const [i, value] of [
      literalBytes.length + lmdBytes.length,
      literals.length,
      triples.length,
      literalBytes.length,
      lmdBytes.length,
    ].entries())
      header.writeUInt32LE(value, 4 * i);
    header.writeInt32LE(literalBits.unused, 20);
    for (const [i, state] of states.entries()) header.writeUInt16LE(state, 24 + 2 * i);
    header.writeInt32LE(lmdBits.unused, 32);
    for (const [i, code] of [l, m, d].entries()) header.writeUInt16LE(code.state, 36 + 2 * i);
    for (const [i, frequency] of frequencies.entries()) header.writeUInt16LE(frequency, 42 + 2 * i);
    return Buffer.concat([start, header, literalBytes, lmdBytes]);
  }
  const packed = packFrequencies(frequencies);
  const fields = new Bits();
  fields.put(literals.length, 20);
  fields.put(literalBytes.length, 20);
  fields.put(triples.length, 20);
  fields.put(literalBits.unused + 7, 4);
  for (const state of states) fields.put(state, 10);
  fields.put(lmdBytes.length, 20);
  fields.put(lmdBits.unused + 7, 4);
  fields.put(32 + packed.length, 32);
  for (const code of [l, m, d]) fields.put(code.state, 10);
  fields.put(0, 2);
  const header = Buffer.alloc(24);
  fields.bytes().copy(header);
  return Buffer.concat([start, header, packed, literalBytes, lmdBytes]);
}

/** 0 and 1: 00, 10; 2 and 3: 001, 101; 4 to 7: two bits, 011; 8 to 23: four bits, 0111; 24 to 1047: ten bits, 1111. */
function packFrequencies(frequencies: readonly number[]): Buffer {
  const bits = new Bits();
  for (const frequency of frequencies) {
    if (frequency < 2) bits.put(frequency << 1, 2);
    else if (frequency < 4) bits.put(1 | ((frequency - 2) << 2), 3);
    else if (frequency < 8) bits.put(3 | ((frequency - 4) << 3), 5);
    else if (frequency < 24) bits.put(7 | ((frequency - 8) << 4), 8);
    else bits.put(15 | ((frequency - 24) << 4), 14);
  }
  return bits.bytes();
}
