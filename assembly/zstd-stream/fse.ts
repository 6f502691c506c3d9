// FSE tables (RFC 8878 section 4.1): their descriptions, and the tables made from them.
//
// An entry is 64 bits: at 0 the base of the symbol's value, at 32 the base of the next state, at 48 the bits to read for it,
// at 56 the extra bits of the value.

import { spreadSymbols } from "../fse-spread";

const MAX_SYMBOLS: u32 = 256;
const MAX_STATES: i32 = 512;

/** Probabilities of the symbols, i16; -1: less than one. */
export const PROBABILITIES: usize = memory.data(MAX_SYMBOLS * 2, 16);
const NEXT: usize = memory.data(MAX_SYMBOLS * 2, 16);
const SYMBOLS: usize = memory.data(MAX_STATES, 16);

/** What `readProbabilities` found. */
export let accuracyLog: u32 = 0;
export let symbolCount: u32 = 0;

/**
 * Section 4.1.1: reads a description into PROBABILITIES, and what it says of symbols and accuracy. Returns the place behind it, or 0
 * when it is damaged: it is longer than `end`, has more than `maxSymbol`, a higher accuracy than `maxLog`, or does not add up.
 */
export function readProbabilities(input: usize, end: usize, maxSymbol: u32, maxLog: u32): usize {
  if (input >= end) return 0;
  const bitsEnd = ((end - input) << 3) as u32;
  accuracyLog = (load<u8>(input) & 15) + 5;
  if (accuracyLog > maxLog) return 0;
  memory.fill(PROBABILITIES, 0, MAX_SYMBOLS * 2);
  let bit: u32 = 4;
  let symbol: u32 = 0;
  // One more than what is left to be shared out.
  let remaining: u32 = (1 << accuracyLog) + 1;
  let threshold: u32 = 1 << accuracyLog;
  let bits: u32 = accuracyLog + 1;
  while (remaining > 1) {
    if (symbol > maxSymbol || bit > bitsEnd) return 0;
    const word = load<u32>(input + (bit >> 3)) >> (bit & 7);
    // The smaller values take a bit less.
    const short: u32 = 2 * threshold - 1 - remaining;
    let value = word & (threshold - 1);
    if (value < short) {
      bit += bits - 1;
    } else {
      value = word & (2 * threshold - 1);
      if (value >= threshold) value -= short;
      bit += bits;
    }
    const probability = (value as i32) - 1;
    store<i16>(PROBABILITIES + (symbol << 1), probability as i16);
    symbol++;
    remaining -= (probability < 0 ? 1 : probability) as u32;
    if (probability == 0) {
      let zeros: u32 = 3;
      while (zeros == 3) {
        if (symbol > maxSymbol || bit > bitsEnd) return 0;
        zeros = (load<u16>(input + (bit >> 3)) >> (bit & 7)) & 3;
        bit += 2;
        symbol += zeros;
      }
    }
    while (remaining < threshold) {
      bits--;
      threshold >>= 1;
    }
  }
  if (bit > bitsEnd || symbol > maxSymbol + 1) return 0;
  symbolCount = symbol;
  return input + ((bit + 7) >> 3);
}

/** One entry, which stays in its state: a code of a single symbol (RLE_Mode). */
export function buildSingle(table: usize, base: u32, extra: u32): void {
  store<u64>(table, (base as u64) | ((extra as u64) << 56));
}

/**
 * Section 4.1.1, "From normalized distribution to decoding tables": makes 2^log entries from `count` probabilities, which add
 * up. `bases` (u32) and `extras` (u8) hold what the symbols stand for.
 */
export function buildTable(table: usize, log: u32, probabilities: usize, count: u32, bases: usize, extras: usize): void {
  for (let symbol: u32 = 0; symbol < count; symbol++)
    store<u16>(NEXT + (symbol << 1), abs(load<i16>(probabilities + (symbol << 1)) as i32) as u16);
  spreadSymbols(SYMBOLS, probabilities, count, log);
  const states: u32 = 1 << log;
  for (let state: u32 = 0; state < states; state++) {
    const symbol = load<u8>(SYMBOLS + state) as u32;
    const next = load<u16>(NEXT + (symbol << 1)) as u32;
    store<u16>(NEXT + (symbol << 1), next + 1);
    const bits = log - (31 - clz<u32>(next));
    const upper = ((next << bits) - states) | (bits << 16) | ((load<u8>(extras + symbol) as u32) << 24);
    store<u32>(table, load<u32>(bases + (symbol << 2)));
    store<u32>(table, upper, 4);
    table += 8;
  }
}
