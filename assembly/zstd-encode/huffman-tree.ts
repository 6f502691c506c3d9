// The Huffman code of literals and its description (RFC 8878 section 4.2.1).

import { increment } from "./counts";
import { chooseLog, firstState, makeTable, normalize, STATES, STEPS, TABLE_BYTES, writeProbabilities } from "./fse";

export const MAX_BITS: u32 = 11;
const MAX_WEIGHTS_LOG: u32 = 6;
// Headers: below, the bytes of coded weights; from here on, weights as they are, one more than that.
const DIRECT: u32 = 128;
const MAX_DIRECT: u32 = 128;

/** Code lengths of the bytes (u8). */
export const LENGTHS: usize = memory.data(256, 16);
/** Of each byte the code, in the uppermost bits of a u64, and its length in the lowest four. */
export const CODES: usize = memory.data(256 * 8, 16);

const WEIGHT_KINDS: u32 = MAX_BITS + 1;
const WEIGHTS: usize = memory.data(256 + 1, 16);
const WEIGHT_COUNTS: usize = memory.data(WEIGHT_KINDS * 4, 16);
const PROBABILITIES: usize = memory.data(WEIGHT_KINDS * 2, 16);
const TABLE: usize = memory.data(TABLE_BYTES, 16);
const PLACES: usize = memory.data(WEIGHT_KINDS * 4, 16);

/**
 * Makes CODES from LENGTHS, of which that of byte `last` is the last that is not 0, and writes the description, at most 256 bytes:
 * the place behind it, or 0 when such a code has none.
 */
export function writeTree(output: usize, last: u32): usize {
  let longest: u32 = 0;
  for (let symbol: u32 = 0; symbol <= last; symbol++) longest = max(longest, load<u8>(LENGTHS + symbol));
  memory.fill(WEIGHT_COUNTS, 0, WEIGHT_KINDS * 4);
  for (let symbol: u32 = 0; symbol <= last; symbol++) {
    const length = load<u8>(LENGTHS + symbol) as u32;
    const weight = length ? longest + 1 - length : 0;
    store<u8>(WEIGHTS + symbol, weight);
    increment(WEIGHT_COUNTS, weight);
  }
  makeCodes(last, longest);

  // The last weight follows from the others and is not written.
  const lastCount = WEIGHT_COUNTS + ((load<u8>(WEIGHTS + last) as u32) << 2);
  store<u32>(lastCount, load<u32>(lastCount) - 1);
  const coded = writeCoded(output + 1, last);
  const size = (coded - output - 1) as u32;
  if (coded && size < DIRECT && (last > MAX_DIRECT || size <= (last + 1) >> 1)) {
    store<u8>(output, size);
    return coded;
  }
  return last > MAX_DIRECT ? 0 : writeDirect(output, last);
}

/** Section 4.2.1.3: the longest codes come first, those of equal length in the order of their bytes. */
function makeCodes(last: u32, longest: u32): void {
  let place: u32 = 0;
  for (let weight: u32 = 1; weight <= longest; weight++) {
    store<u32>(PLACES + (weight << 2), place);
    place += load<u32>(WEIGHT_COUNTS + (weight << 2)) << (weight - 1);
  }
  for (let symbol: u32 = 0; symbol <= last; symbol++) {
    const weight = load<u8>(WEIGHTS + symbol) as u32;
    if (!weight) continue;
    const next = PLACES + (weight << 2);
    const first = load<u32>(next);
    store<u32>(next, first + (1 << (weight - 1)));
    const length = longest + 1 - weight;
    store<u64>(CODES + (symbol << 3), (((first >> (weight - 1)) as u64) << ((64 - length) as u64)) | (length as u64));
  }
}

/** Section 4.2.1.1: two weights in a byte. */
function writeDirect(output: usize, count: u32): usize {
  store<u8>(output++, DIRECT - 1 + count);
  store<u8>(WEIGHTS + count, 0);
  for (let i: u32 = 0; i < count; i += 2) store<u8>(output++, (load<u8>(WEIGHTS + i) << 4) | load<u8>(WEIGHTS + i + 1));
  return output;
}

/** Section 4.2.1.2: two states take turns. Returns 0 if there is only one weight, or only one kind of it. */
function writeCoded(output: usize, count: u32): usize {
  let kinds: u32 = 0;
  for (let weight: u32 = 0; weight < WEIGHT_KINDS; weight++) kinds += u32(load<u32>(WEIGHT_COUNTS + (weight << 2)) != 0);
  if (kinds < 2) return 0;
  const log = chooseLog(count, WEIGHT_KINDS, MAX_WEIGHTS_LOG);
  normalize(WEIGHT_COUNTS, WEIGHT_KINDS, count, log, PROBABILITIES);
  makeTable(TABLE, PROBABILITIES, WEIGHT_KINDS, log);
  output = writeProbabilities(output, PROBABILITIES, log);
  let other = firstState(TABLE, load<u8>(WEIGHTS + count - 1));
  let state = firstState(TABLE, load<u8>(WEIGHTS + count - 2));
  let bits: u64 = 0;
  let held: u32 = 0;
  for (let i: i32 = count - 3; i >= 0; i--) {
    const step = TABLE + ((load<u8>(WEIGHTS + i) as u32) << 3);
    const length = (other + load<u32>(step)) >> 16;
    bits |= ((other & ((1 << length) - 1)) as u64) << (held as u64);
    held += length;
    const next = load<u16>(TABLE + ((other >> length) << 1) + load<u32>(step, STEPS), STATES);
    other = state;
    state = next;
    for (; held >= 8; held -= 8) {
      store<u8>(output++, bits as u8);
      bits >>= 8;
    }
  }
  const mask: u32 = (1 << log) - 1;
  bits |= ((other & mask) as u64) << (held as u64);
  bits |= ((state & mask) as u64) << ((held + log) as u64);
  held += 2 * log;
  bits |= (1 as u64) << (held as u64); // the end of what is read backwards
  store<u32>(output, bits as u32);
  return output + (held >> 3) + 1;
}
