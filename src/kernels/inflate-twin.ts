/**
 * Raw DEFLATE decoder in plain TypeScript, bit by bit, straight from RFC 1951 (section numbers are its own): what the
 * kernel is tested against. Slow.
 */
export interface TwinResult {
  /** 0, or the kernel's error codes: -1 not a valid stream, -2 more than `limit` bytes, -3 the input ended too early. */
  readonly status: 0 | -1 | -2 | -3;
  /** What was decoded until the end or the error; the caller's own. */
  readonly bytes: Uint8Array;
  /** Input bytes used, the last one perhaps in part. */
  readonly consumed: number;
}

/** Section 3.2.5. */
const LENGTH_BASE = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_EXTRA = Array.from({ length: 30 }, (_, symbol) => (symbol < 4 ? 0 : (symbol >> 1) - 1));
const DISTANCE_BASE = DISTANCE_EXTRA.map((_, symbol) => DISTANCE_EXTRA.slice(0, symbol).reduce((sum, extra) => sum + 2 ** extra, 1));
/** Section 3.2.7. */
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const END_OF_BLOCK = 256;
const MAX_BITS = 15;

/** Why decoding stopped; caught in `inflateTwin`. */
class Stop extends Error {
  readonly status: -1 | -2 | -3;
  constructor(status: -1 | -2 | -3) {
    super(`inflate stopped with ${status}`);
    this.status = status;
  }
}

/** Symbols by `length << 16 | code` (section 3.2.2), with the longest length in use. */
interface PrefixCode {
  readonly symbols: ReadonlyMap<number, number>;
  readonly longest: number;
}

export function inflateTwin(packed: Uint8Array, limit: number): TwinResult {
  const output: number[] = [];
  let bitsUsed = 0;

  function bit(): number {
    const byte = packed[bitsUsed >> 3];
    if (byte === undefined) throw new Stop(-3);
    return (byte >> (bitsUsed++ & 7)) & 1;
  }
  /** Section 3.1.1: numbers start with their least significant bit. */
  function bits(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++) value += bit() * 2 ** i;
    return value;
  }
  /** Section 3.1.1: codes start with their most significant bit. */
  function symbol(code: PrefixCode): number {
    let value = 0;
    for (let length = 1; length <= Math.max(code.longest, 1); length++) {
      value = value * 2 + bit();
      const found = code.symbols.get((length << 16) | value);
      if (found !== undefined) return found;
    }
    throw new Stop(-1);
  }
  function put(byte: number): void {
    if (output.length === limit) throw new Stop(-2);
    output.push(byte);
  }

  /** Section 3.2.4. */
  function stored(): void {
    bitsUsed = (bitsUsed + 7) & ~7;
    const length = bits(16);
    if (bits(16) !== (length ^ 0xffff)) throw new Stop(-1);
    const from = bitsUsed >> 3;
    if (from + length > packed.length) throw new Stop(-3);
    bitsUsed += length * 8;
    for (let i = 0; i < length; i++) put(packed[from + i] as number);
  }
  /** Section 3.2.3, the loop over the symbols of a block. */
  function compressed(literals: PrefixCode, distances: PrefixCode): void {
    for (;;) {
      const value = symbol(literals);
      if (value === END_OF_BLOCK) return;
      if (value < END_OF_BLOCK) {
        put(value);
        continue;
      }
      const length = withExtra(value - END_OF_BLOCK - 1, LENGTH_BASE, LENGTH_EXTRA);
      const distance = withExtra(symbol(distances), DISTANCE_BASE, DISTANCE_EXTRA);
      if (distance > output.length) throw new Stop(-1);
      for (let i = 0; i < length; i++) put(output[output.length - distance] as number);
    }
  }
  function withExtra(index: number, bases: readonly number[], extras: readonly number[]): number {
    const base = bases[index];
    if (base === undefined) throw new Stop(-1);
    return base + bits(extras[index] as number);
  }
  /** Section 3.2.7. */
  function dynamicCodes(): [PrefixCode, PrefixCode] {
    const literalCount = bits(5) + 257;
    const distanceCount = bits(5) + 1;
    const codeLengthCount = bits(4) + 4;
    if (literalCount > 286 || distanceCount > 30) throw new Stop(-1);
    const codeLengths = new Array<number>(19).fill(0);
    for (const place of CODE_LENGTH_ORDER.slice(0, codeLengthCount)) codeLengths[place] = bits(3);
    const lengthCode = prefixCode(codeLengths, false);

    const lengths: number[] = [];
    while (lengths.length < literalCount + distanceCount) {
      const value = symbol(lengthCode);
      if (value < 16) {
        lengths.push(value);
        continue;
      }
      const repeat = value === 16 ? 3 + bits(2) : value === 17 ? 3 + bits(3) : 11 + bits(7);
      const repeated = value === 16 ? lengths.at(-1) : 0;
      if (repeated === undefined || lengths.length + repeat > literalCount + distanceCount) throw new Stop(-1);
      for (let i = 0; i < repeat; i++) lengths.push(repeated);
    }
    if (lengths[END_OF_BLOCK] === 0) throw new Stop(-1);
    return [prefixCode(lengths.slice(0, literalCount), true), prefixCode(lengths.slice(literalCount), true)];
  }
  function block(): boolean {
    const isFinal = bit() === 1;
    const type = bits(2);
    if (type === 0) stored();
    else if (type === 1) compressed(FIXED_LITERALS, FIXED_DISTANCES);
    else if (type === 2) compressed(...dynamicCodes());
    else throw new Stop(-1);
    return isFinal;
  }

  let status: TwinResult["status"] = 0;
  try {
    while (!block());
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    status = error.status;
  }
  return { status, bytes: Uint8Array.from(output), consumed: (bitsUsed + 7) >> 3 };
}

/** Section 3.2.2. `partial`: the empty code and a single code of one bit are allowed too. */
function prefixCode(lengths: readonly number[], partial: boolean): PrefixCode {
  const symbols = new Map<number, number>();
  let code = 0;
  let longest = 0;
  for (let length = 1; length <= MAX_BITS; length++) {
    code *= 2;
    for (const [symbol, own] of lengths.entries()) {
      if (own !== length) continue;
      symbols.set((length << 16) | code, symbol);
      code++;
      longest = length;
    }
    if (code > 2 ** length) throw new Stop(-1);
  }
  if (code !== 2 ** MAX_BITS && !(partial && longest <= 1)) throw new Stop(-1);
  return { symbols, longest };
}

/** Section 3.2.6. */
const FIXED_LITERALS = prefixCode(
  Array.from({ length: 288 }, (_, symbol) => (symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8)),
  false,
);
const FIXED_DISTANCES = prefixCode(new Array<number>(32).fill(5), false);
