// FSE codes (RFC 8878 section 4.1): from counted symbols to probabilities, their description and tables. Symbols of a code that a
// block describes have at least probability 1; "less than 1" occurs in predefined distributions only.

import { spreadSymbols } from "../fse-spread";

/** More than there are in any code. */
export const MAX_SYMBOLS: u32 = 64;
export const MAX_LOG: u32 = 9;
const MIN_LOG: u32 = 5;

// A table: two numbers (u32) for each symbol, then the states (u16), those of each symbol together. A state is 2^log and above.
// From one state to that before it, which gives `symbol`: (state + first number) >> 16 low bits go out; what is left of the state,
// times 2, and the second number are the place of the next one among the states.
export const STEPS: u32 = 4;
export const STATES: u32 = MAX_SYMBOLS * 8;
export const TABLE_BYTES: u32 = STATES + (2 << MAX_LOG);

const NEXT: usize = memory.data(MAX_SYMBOLS * 2, 16);
const SYMBOLS: usize = memory.data(1 << MAX_LOG, 16);
// log2 of 1..512 in 1/256 (u32).
const COST_BITS: u32 = 8;
const LOGARITHMS: usize = memory.data(((1 << MAX_LOG) + 1) * 4, 16);

/** Once per instance. */
export function prepareCosts(): void {
  for (let value: u32 = 1; value <= 1 << MAX_LOG; value++) {
    let logarithm: u32 = 31 - clz(value);
    // 1 to 2, with 30 bits behind the point: each squaring gives one bit of its logarithm.
    let rest = (value as u64) << ((30 - logarithm) as u64);
    for (let bit: u32 = 0; bit < COST_BITS; bit++) {
      rest = (rest * rest) >> 30;
      const isTwo = rest >> 31;
      rest >>= isTwo;
      logarithm = (logarithm << 1) | (isTwo as u32);
    }
    store<u32>(LOGARITHMS + (value << 2), logarithm);
  }
}

/** Accuracy_Log for `total` symbols, the last of which is `symbols` - 1; `most` has room for them all. */
export function chooseLog(total: u32, symbols: u32, most: u32): u32 {
  const fitting: i32 = 29 - (clz(max(total - 1, 1)) as i32);
  return min(max(fitting, max(MIN_LOG, 32 - clz(symbols))) as u32, most);
}

/** Shares 2^log out to the symbols by their counts (u32), at least 1 to each that occurs. There are two such or more. */
export function normalize(counts: usize, symbols: u32, total: u32, log: u32, probabilities: usize): void {
  const scale = ((1 << (log + 16)) as f64) / (total as f64);
  let left: i32 = 1 << log;
  for (let symbol: u32 = 0; symbol < symbols; symbol++) {
    const count = load<u32>(counts + (symbol << 2));
    let share: u32 = 0;
    if (count) {
      const exact = ((count as f64) * scale) as u64;
      share = (exact >> 16) as u32;
      // Up where the logarithm is nearer to that of the next one.
      if (!share || exact * exact > ((share * (share + 1)) as u64) << 32) share++;
      left -= share;
    }
    store<i16>(probabilities + (symbol << 1), share as i16);
  }
  // What is left, or too much, goes where it gains most or costs least.
  const step: i32 = left > 0 ? 1 : -1;
  for (; left; left -= step) {
    let chosen: u32 = 0;
    let best: f64 = step > 0 ? 0 : Infinity;
    for (let symbol: u32 = 0; symbol < symbols; symbol++) {
      const share = load<i16>(probabilities + (symbol << 1)) as i32;
      if (!share || share + step == 0) continue;
      const weight = (load<u32>(counts + (symbol << 2)) as f64) / ((2 * share + step) as f64);
      if (step > 0 ? weight <= best : weight >= best) continue;
      best = weight;
      chosen = symbol;
    }
    const place = probabilities + (chosen << 1);
    store<i16>(place, (load<i16>(place) + step) as i16);
  }
}

/** About how many bits symbols so often take, rounded up. */
export function costOf(counts: usize, symbols: u32, log: u32, probabilities: usize): u32 {
  let cost: u32 = (1 << COST_BITS) - 1;
  for (let symbol: u32 = 0; symbol < symbols; symbol++) {
    const share = max<i32>(1, load<i16>(probabilities + (symbol << 1)));
    cost += load<u32>(counts + (symbol << 2)) * ((log << COST_BITS) - load<u32>(LOGARITHMS + (share << 2)));
  }
  return cost >> COST_BITS;
}

/** Section 4.1.1: writes the description; returns the place behind it. */
export function writeProbabilities(output: usize, probabilities: usize, log: u32): usize {
  let bits: u64 = log - MIN_LOG;
  let held: u32 = 4;
  // One more than what is left to be shared out.
  let remaining: u32 = (1 << log) + 1;
  let threshold: u32 = 1 << log;
  let width: u32 = log + 1;
  while (remaining > 1) {
    const share = load<i16>(probabilities) as u32;
    probabilities += 2;
    // The smaller values take a bit less.
    const short: u32 = 2 * threshold - 1 - remaining;
    let value = share + 1;
    let length = width;
    if (value < short) length--;
    else if (value >= threshold) value += short;
    bits |= (value as u64) << (held as u64);
    held += length;
    remaining -= share;
    if (!share) {
      // How many more there are without any, three at a time.
      let more: u32;
      do {
        more = 0;
        while (more < 3 && !load<i16>(probabilities + (more << 1))) more++;
        probabilities += more << 1;
        bits |= (more as u64) << (held as u64);
        held += 2;
      } while (more == 3);
    }
    while (remaining < threshold) {
      width--;
      threshold >>= 1;
    }
    for (; held >= 8; held -= 8) {
      store<u8>(output++, bits as u8);
      bits >>= 8;
    }
  }
  if (held) store<u8>(output++, bits as u8);
  return output;
}

/** Section 4.1.1, "From normalized distribution to decoding tables", for the way back. */
export function makeTable(table: usize, probabilities: usize, symbols: u32, log: u32): void {
  let first: u32 = 0;
  for (let symbol: u32 = 0; symbol < symbols; symbol++) {
    const share = abs(load<i16>(probabilities + (symbol << 1)) as i32) as u32;
    store<u16>(NEXT + (symbol << 1), first);
    if (share) {
      const bits = log - (share > 1 ? 31 - clz(share - 1) : 0);
      store<u32>(table + (symbol << 3), (bits << 16) - (share << bits));
      store<u32>(table + (symbol << 3), (first - share) << 1, STEPS);
    }
    first += share;
  }
  spreadSymbols(SYMBOLS, probabilities, symbols, log);
  const states: u32 = 1 << log;
  for (let state: u32 = 0; state < states; state++) {
    const next = NEXT + ((load<u8>(SYMBOLS + state) as usize) << 1);
    const index = load<u16>(next) as u32;
    store<u16>(next, index + 1);
    store<u16>(table + (index << 1), states + state, STATES);
  }
}

/** One state without bits, which gives `symbol` (RLE_Mode). */
export function makeSingle(table: usize, symbol: u32): void {
  store<u64>(table + (symbol << 3), 0);
  store<u16>(table, 0, STATES);
}

/** The first state of a symbol. It takes at least one bit to go on from, unless it is the only one. */
export function firstState(table: usize, symbol: u32): u32 {
  const step = table + (symbol << 3);
  const first = load<u32>(step);
  const bits = (first + 0x8000) >> 16;
  return load<u16>(table + ((((bits << 16) - first) >> bits) << 1) + load<u32>(step, STEPS), STATES);
}
