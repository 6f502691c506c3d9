// Decoding tables of the DEFLATE decoder (RFC 1951 §3.2.2): from code lengths to look-up tables.

import {
  DISTANCE_BASE,
  DISTANCE_SYMBOLS,
  distanceExtra,
  END_OF_BLOCK,
  FIRST_LENGTH_SYMBOL,
  FIXED_DISTANCE_SYMBOLS,
  FIXED_LITERAL_SYMBOLS,
  LENGTH_BASE,
  LENGTH_CODE_SYMBOLS,
  LENGTH_EXTRA,
  LENGTH_SYMBOLS,
  MAX_CODE_LENGTH,
  MAX_LENGTH_CODE_LENGTH,
  reverseBits,
} from "./deflate-format";

const COMPLETE_CODE: u32 = 1 << MAX_CODE_LENGTH; // all of the code space, in codes of the greatest length
const FIRST_EXTRA_SYMBOL: u32 = 265; // of the length symbols, 265 to 284 have extra bits
const LAST_EXTRA_SYMBOL: u32 = 284;

// Decoding tables: the next bits of the stream index a root table. Codes longer than the root point to a second table
// with room for the longest code, so that there are never more than two look-ups. A second table is shared by at least
// two codes (complete codes only, see buildTable), which bounds their number by half the alphabet.
export const LITERAL_ROOT_BITS: u32 = 11;
export const LITERAL_SUB_BITS: u32 = MAX_CODE_LENGTH - LITERAL_ROOT_BITS;
export const DISTANCE_ROOT_BITS: u32 = 9;
export const DISTANCE_SUB_BITS: u32 = MAX_CODE_LENGTH - DISTANCE_ROOT_BITS;
export const LENGTH_CODE_BITS: u32 = MAX_LENGTH_CODE_LENGTH;
export const LITERAL_TABLE: usize = memory.data(((1 << LITERAL_ROOT_BITS) + (FIXED_LITERAL_SYMBOLS / 2) * (1 << LITERAL_SUB_BITS)) * 4, 16);
export const DISTANCE_TABLE: usize = memory.data(
  ((1 << DISTANCE_ROOT_BITS) + (FIXED_DISTANCE_SYMBOLS / 2) * (1 << DISTANCE_SUB_BITS)) * 4,
  16,
);
export const LENGTH_CODE_TABLE: usize = memory.data((1 << LENGTH_CODE_BITS) * 4, 16);

// Table entries, 32 bits. The low six bits always hold the number of stream bits that the entry uses up: wasm shifts
// take their count modulo 64, so an entry can be a shift count as it is.
//
// Entries of the literal/length table:
//   literal    bit 31 set | literal at bit 8
//   length     match length at bit 16, its extra bits already included in the table index
//   special    value below 1 << 16: kind at bit 6 (0: no such code, or a symbol that must not occur), payload at bit 8
// Entries of the distance table:
//   distance   base at bit 16 | length of the code alone, plus 2 for the bits of no meaning in decodeSymbols, at bit 6
//   special    as above
const LITERAL_FLAG: u32 = 1 << 31;
export const LITERAL_SHIFT: u32 = 8;
export const LENGTH_SHIFT: u32 = 16;
export const DISTANCE_CODE_SHIFT: u32 = 6;
export const DISTANCE_BASE_SHIFT: u32 = 16;
export const KIND_SHIFT: u32 = 6;
export const PAYLOAD_SHIFT: u32 = 8;
export const KIND_END: u32 = 1; // end of block
export const KIND_SUBTABLE: u32 = 2; // payload: number of the second table
export const KIND_LENGTH: u32 = 3; // payload: length symbol − 257, extra bits still in the stream
const INVALID_ENTRY: u32 = 1; // uses one bit: enough to notice a stream that ends inside the bad code

// Entries of every symbol but for the code length, which is added when a table is built: `bits` times 1, or in the
// distance table, which holds it twice, times DISTANCE_BITS.
const LITERAL_TEMPLATES: usize = memory.data(FIXED_LITERAL_SYMBOLS * 4, 16);
const DISTANCE_TEMPLATES: usize = memory.data(FIXED_DISTANCE_SYMBOLS * 4, 16);
const LENGTH_CODE_TEMPLATES: usize = memory.data(LENGTH_CODE_SYMBOLS * 4, 16);
const SINGLE_BITS: u32 = 1;
const DISTANCE_BITS: u32 = 1 + (1 << DISTANCE_CODE_SHIFT);

// Working storage of one table.
const LENGTH_COUNTS: usize = memory.data(16 * 2, 16);
const SORTED_AT: usize = memory.data(16 * 2, 16);
const STREAM_CODES: usize = memory.data(FIXED_LITERAL_SYMBOLS * 2, 16); // reversed, as the stream has them
const SORTED_SYMBOLS: usize = memory.data(FIXED_LITERAL_SYMBOLS * 2, 16);

/** Builds LITERAL_TABLE from `count` code lengths (u8 each). False if the code is not allowed. */
export function buildLiteralTable(lengths: usize, count: u32): bool {
  if (!isUsable(sortSymbols(lengths, count))) return false;
  fillTable(LITERAL_TABLE, LITERAL_ROOT_BITS, LITERAL_TEMPLATES, SINGLE_BITS);
  foldExtraBits(lengths, count);
  return true;
}

/** The same for distances. */
export function buildDistanceTable(lengths: usize, count: u32): bool {
  if (!isUsable(sortSymbols(lengths, count))) return false;
  fillTable(DISTANCE_TABLE, DISTANCE_ROOT_BITS, DISTANCE_TEMPLATES, DISTANCE_BITS);
  return true;
}

/** The same for the code length code, which must be complete. */
export function buildLengthCodeTable(lengths: usize): bool {
  if (sortSymbols(lengths, LENGTH_CODE_SYMBOLS) != COMPLETE_CODE) return false;
  fillTable(LENGTH_CODE_TABLE, LENGTH_CODE_BITS, LENGTH_CODE_TEMPLATES, SINGLE_BITS);
  return true;
}

/**
 * Besides complete codes every decoder in use accepts a code without any symbol, and a single symbol with a code of one
 * bit. Meeting one of the codes that are missing is then an error of the stream.
 */
function isUsable(codeSpace: u32): bool {
  return codeSpace == COMPLETE_CODE || codeSpace == 0 || (codeSpace == COMPLETE_CODE / 2 && load<u16>(LENGTH_COUNTS + 2) == 1);
}

/**
 * Sorts the symbols in use by code length, then by value: the order of their codes (RFC 1951 §3.2.2).
 * Returns how much of the code space they take, COMPLETE_CODE for a complete code, more if it is over-subscribed.
 */
function sortSymbols(lengths: usize, count: u32): u32 {
  const zero = v128.splat<u8>(0);
  v128.store(LENGTH_COUNTS, zero);
  v128.store(LENGTH_COUNTS, zero, 16);
  for (let i: u32 = 0; i < count; i++) {
    const slot = LENGTH_COUNTS + ((load<u8>(lengths + i) as usize) << 1);
    store<u16>(slot, load<u16>(slot) + 1);
  }
  let codeSpace: u32 = 0;
  let sorted: u32 = 0;
  for (let length: u32 = 1; length <= MAX_CODE_LENGTH; length++) {
    const ofLength = load<u16>(LENGTH_COUNTS + (length << 1)) as u32;
    store<u16>(SORTED_AT + (length << 1), sorted);
    sorted += ofLength;
    codeSpace += ofLength << (MAX_CODE_LENGTH - length);
  }
  for (let i: u32 = 0; i < count; i++) {
    const length = load<u8>(lengths + i) as usize;
    if (!length) continue;
    const slot = SORTED_AT + (length << 1);
    const at = load<u16>(slot) as usize;
    store<u16>(slot, at + 1);
    store<u16>(SORTED_SYMBOLS + (at << 1), i);
  }
  return codeSpace;
}

/**
 * Fills a decoding table with the symbols that sortSymbols left. A table of n bits serves codes up to n bits; doubling
 * it and adding the codes of n + 1 bits makes the next one. What no code reaches stays invalid.
 */
function fillTable(table: usize, rootBits: u32, templates: usize, bitsFactor: u32): void {
  let code: u32 = 0;
  let next = SORTED_SYMBOLS;
  store<u32>(table, INVALID_ENTRY);
  for (let length: u32 = 1; length <= rootBits; length++) {
    const half: usize = 4 << (length - 1);
    for (let i: usize = 0; i < half; i += 16) v128.store(table + half + i, v128.load(table + i));
    code <<= 1;
    const end = code + load<u16>(LENGTH_COUNTS + (length << 1));
    for (; code < end; code++) {
      const symbol = load<u16>(next) as usize;
      const streamCode = reverseBits(code, length);
      next += 2;
      store<u16>(STREAM_CODES + (symbol << 1), streamCode);
      store<u32>(table + (streamCode << 2), load<u32>(templates + (symbol << 2)) + length * bitsFactor);
    }
  }
  fillSubtables(table, rootBits, templates, bitsFactor, code, next);
}

/** The codes longer than the root: from `code` on, their symbols from `next` on. */
function fillSubtables(table: usize, rootBits: u32, templates: usize, bitsFactor: u32, code: u32, next: usize): void {
  let subtable: usize = 0;
  let root: u32 = 0;
  let subtables: u32 = 0;
  for (let length = rootBits + 1; length <= MAX_CODE_LENGTH; length++) {
    code <<= 1;
    const bits = length - rootBits;
    const end = code + load<u16>(LENGTH_COUNTS + (length << 1));
    for (; code < end; code++) {
      if (!subtables || code >> bits != root) {
        root = code >> bits;
        store<u32>(table + (reverseBits(root, rootBits) << 2), (subtables << PAYLOAD_SHIFT) | (KIND_SUBTABLE << KIND_SHIFT) | rootBits);
        subtable = subtableOf(table, rootBits, subtables);
        subtables++;
      }
      const entry = load<u32>(templates + ((load<u16>(next) as usize) << 2)) + bits * bitsFactor;
      next += 2;
      for (let i = reverseBits(code, length) >> rootBits; i < 1 << (MAX_CODE_LENGTH - rootBits); i += 1 << bits) {
        store<u32>(subtable + (i << 2), entry);
      }
    }
  }
}

/** Place of the second table with a number. */
export function subtableOf(table: usize, rootBits: u32, number: u32): usize {
  return table + (((1 << rootBits) + (number << (MAX_CODE_LENGTH - rootBits))) << 2);
}

/**
 * Where a length symbol's code and its extra bits fit into the table index together, replaces its entries by entries of
 * the final length, so that most matches need no separate step for the extra bits.
 */
function foldExtraBits(lengths: usize, count: u32): void {
  for (let symbol = FIRST_EXTRA_SYMBOL; symbol < count && symbol <= LAST_EXTRA_SYMBOL; symbol++) {
    const length = load<u8>(lengths + symbol) as u32;
    const index = symbol - FIRST_LENGTH_SYMBOL;
    const bits = length + load<u8>(LENGTH_EXTRA + index);
    if (length == 0 || bits > LITERAL_ROOT_BITS) continue;
    const base = load<u16>(LENGTH_BASE + (index << 1)) as u32;
    const mask = (1 << (bits - length)) - 1;
    for (let i = load<u16>(STREAM_CODES + (symbol << 1)) as u32; i < 1 << LITERAL_ROOT_BITS; i += 1 << length) {
      store<u32>(LITERAL_TABLE + (i << 2), ((base + ((i >> length) & mask)) << LENGTH_SHIFT) | bits);
    }
  }
}

/** Fills the templates; once per instance. */
export function prepareTemplates(): void {
  for (let symbol: u32 = 0; symbol < FIXED_LITERAL_SYMBOLS; symbol++) {
    store<u32>(LITERAL_TEMPLATES + (symbol << 2), literalTemplate(symbol));
  }
  for (let symbol: u32 = 0; symbol < DISTANCE_SYMBOLS; symbol++) {
    const extra = distanceExtra(symbol);
    const base = load<u16>(DISTANCE_BASE + (symbol << 1)) as u32;
    store<u32>(DISTANCE_TEMPLATES + (symbol << 2), (base << DISTANCE_BASE_SHIFT) | (2 << DISTANCE_CODE_SHIFT) | extra);
  }
  for (let symbol: u32 = 0; symbol < LENGTH_CODE_SYMBOLS; symbol++) {
    store<u32>(LENGTH_CODE_TEMPLATES + (symbol << 2), symbol << PAYLOAD_SHIFT);
  }
}

/** Symbols that must not occur (§3.2.6: 286 and 287, distances 30 and 31) keep a template of 0, which is kind 0. */
function literalTemplate(symbol: u32): u32 {
  if (symbol < END_OF_BLOCK) return LITERAL_FLAG | (symbol << LITERAL_SHIFT);
  if (symbol == END_OF_BLOCK) return KIND_END << KIND_SHIFT;
  const index = symbol - FIRST_LENGTH_SYMBOL;
  if (index >= LENGTH_SYMBOLS) return 0;
  if (load<u8>(LENGTH_EXTRA + index)) return (index << PAYLOAD_SHIFT) | (KIND_LENGTH << KIND_SHIFT);
  return (load<u16>(LENGTH_BASE + (index << 1)) as u32) << LENGTH_SHIFT;
}
