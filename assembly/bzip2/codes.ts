// Decoding tables for bzip2's canonical prefix codes, of up to 20 bits, highest bit first. Codes need not be complete: which bits
// are a code is what bzip2 decides, a length after the other, so that both read the same from any table.

import { LENGTHS, LENGTHS_STRIDE, STATE } from "./state";

export const MAX_CODE_LENGTH: u32 = 20;
const MAX_SYMBOLS: usize = 258;
export const ROOT_BITS: u32 = 10;

/** For the next 10 bits: symbol << 5 | code length; 0 when the code is longer. */
const ROOT_BYTES: usize = (1 << ROOT_BITS) * 2;
const ROOTS: usize = memory.data(6 * 1024 * 2, 16);
/** For each code length: the highest code of it (i32, -1 when there is none), and what to take from a code for its place in `ORDER`. */
const LIMIT: usize = 0;
const BASE: usize = 24 * 4;
/** Symbols by their code lengths: u16 each. */
const ORDER: usize = 48 * 4;
const LONG_BYTES: usize = ORDER + 260 * 2;
const LONGS: usize = memory.data(6 * (48 * 4 + 260 * 2), 16);

export function rootOf(table: u32): usize {
  return ROOTS + table * ROOT_BYTES;
}
export function longOf(table: u32): usize {
  return LONGS + table * LONG_BYTES;
}
export function lengthsOf(table: u32): usize {
  return STATE + LENGTHS + table * LENGTHS_STRIDE;
}

export function buildTable(table: u32, symbols: u32): void {
  const lengths = lengthsOf(table);
  const root = rootOf(table);
  const long = longOf(table);
  memory.fill(long, 0, LONG_BYTES);
  let code: i32 = 0;
  let sorted: i32 = 0;
  memory.fill(root, 0, ROOT_BYTES);
  for (let length: u32 = 1; length <= MAX_CODE_LENGTH; length++) {
    const first = sorted;
    for (let symbol: u32 = 0; symbol < symbols; symbol++) {
      if (load<u8>(lengths + symbol) != length) continue;
      store<u16>(long + ((sorted as usize) << 1), symbol, ORDER);
      sorted++;
    }
    store<i32>(long + (length << 2), code - first, BASE);
    code += sorted - first;
    store<i32>(long + (length << 2), code - 1, LIMIT);
    code <<= 1;
  }
  for (let bits: u32 = 0; bits < 1 << ROOT_BITS; bits++) {
    for (let length: u32 = 1; length <= ROOT_BITS; length++) {
      const symbol = symbolOf(long, (bits >>> (ROOT_BITS - length)) as i32, length);
      if (symbol < 0) continue;
      store<u16>(root + (bits << 1), (symbol << 5) | length);
      break;
    }
  }
}

/** The symbol when the first `length` bits are `code` and no shorter code fits; -1: it is longer. */
export function symbolOf(long: usize, code: i32, length: u32): i32 {
  const at = long + (length << 2);
  if (code > load<i32>(at, LIMIT)) return -1;
  const place = code - load<i32>(at, BASE);
  if ((place as u32) >= (MAX_SYMBOLS as u32)) return -1;
  return load<u16>(long + ((place as usize) << 1), ORDER);
}
