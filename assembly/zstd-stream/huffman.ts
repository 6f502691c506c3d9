// Huffman coded literals (RFC 8878 section 4.2). An entry of the table is 16 bits: the symbol, and in the upper half its bits.

import { accuracyLog, buildTable, PROBABILITIES, readProbabilities, symbolCount } from "./fse";
import { bitsOf, HUFFMAN_BITS, HUFFMAN_TABLE, STATE } from "./state";

const MAX_BITS: u32 = 11;
const MAX_WEIGHTS_LOG: u32 = 6;
const MAX_WEIGHTS: u32 = 255; // the last symbol's is not stored
const DIRECT: u32 = 128; // from this header byte on, weights are stored as they are
const FOUR_STREAMS_MIN: usize = 6;
const JUMP_TABLE_BYTES: usize = 6;

const TABLE: usize = STATE + HUFFMAN_TABLE;
const WEIGHTS: usize = memory.data(MAX_WEIGHTS + 1 + 16, 16);
const PLACES: usize = memory.data((MAX_BITS + 2) * 4, 16);
const WEIGHTS_TABLE: usize = memory.data(8 << MAX_WEIGHTS_LOG, 16);
// A weight stands for itself and has no extra bits.
const SAME: usize = memory.data((MAX_BITS + 1) * 4, 16);
const NO_EXTRA: usize = memory.data(MAX_BITS + 1, 16);

let weightCount: u32 = 0;

/** Section 4.2.1: makes the table from the description at `input`. Returns the place behind it, or 0: it is damaged. */
export function readHuffmanTable(input: usize, end: usize): usize {
  store<u32>(STATE, 0, HUFFMAN_BITS);
  if (input >= end) return 0;
  const header = load<u8>(input++) as u32;
  const after = input + (header < DIRECT ? header : (header - DIRECT + 2) >> 1);
  if (after > end) return 0;
  if (header >= DIRECT) {
    weightCount = header - DIRECT + 1;
    for (let i: u32 = 0; i < weightCount; i += 2) {
      const pair = load<u8>(input++) as u32;
      store<u8>(WEIGHTS + i, pair >> 4);
      store<u8>(WEIGHTS + i, pair & 15, 1);
    }
  } else if (!readCodedWeights(input, after)) {
    return 0;
  }
  return buildFromWeights() ? after : 0;
}

/** Section 4.2.1.2: two states take turns, until the bits are used up. */
function readCodedWeights(input: usize, end: usize): bool {
  const stream = readProbabilities(input, end, MAX_BITS, MAX_WEIGHTS_LOG);
  if (!stream) return false;
  for (let weight: u32 = 0; weight <= MAX_BITS; weight++) store<u32>(SAME + (weight << 2), weight);
  buildTable(WEIGHTS_TABLE, accuracyLog, PROBABILITIES, symbolCount, SAME, NO_EXTRA);
  let left = bitsOf(stream, end) - 2 * (accuracyLog as i32);
  if (left < 0) return false;
  const states = load<u32>(stream + (left >> 3)) >> (left & 7);
  const mask: u32 = (1 << accuracyLog) - 1;
  let state = (states >> accuracyLog) & mask;
  let other = states & mask;
  weightCount = 0;
  while (weightCount < MAX_WEIGHTS) {
    const entry = load<u64>(WEIGHTS_TABLE + (state << 3));
    store<u8>(WEIGHTS + weightCount++, entry as u8);
    const bits = ((entry >> 48) & 0xff) as i32;
    left -= bits;
    if (left < 0) {
      if (weightCount == MAX_WEIGHTS) return false;
      store<u8>(WEIGHTS + weightCount++, load<u8>(WEIGHTS_TABLE + (other << 3)));
      return true;
    }
    const read = (load<u32>(stream + (left >> 3)) >> (left & 7)) & ((1 << bits) - 1);
    state = other;
    other = ((entry >> 32) as u32 & 0xffff) + read;
  }
  return false;
}

/** Section 4.2.1.3; the last symbol's weight makes the sum a power of two. */
function buildFromWeights(): bool {
  memory.fill(PLACES, 0, (MAX_BITS + 2) * 4);
  let sum: u32 = 0;
  for (let i: u32 = 0; i < weightCount; i++) {
    const weight = load<u8>(WEIGHTS + i) as u32;
    if (weight > MAX_BITS) return false;
    sum += (1 << weight) >> 1;
    count(weight);
  }
  if (!sum) return false;
  const bits: u32 = 32 - clz<u32>(sum);
  const rest = ((1 as u32) << bits) - sum;
  if (bits > MAX_BITS || popcnt<u32>(rest) != 1) return false;
  const last = ctz<u32>(rest) + 1;
  store<u8>(WEIGHTS + weightCount, last);
  count(last);
  // The longest codes come in pairs.
  const longest = load<u32>(PLACES + 4);
  if (longest < 2 || longest & 1) return false;
  fillTable(bits);
  store<u32>(STATE, bits, HUFFMAN_BITS);
  return true;
}

function count(weight: u32): void {
  const place = PLACES + (weight << 2);
  store<u32>(place, load<u32>(place) + 1);
}

function fillTable(bits: u32): void {
  let at: u32 = 0;
  for (let weight: u32 = 1; weight <= bits; weight++) {
    const symbols = load<u32>(PLACES + (weight << 2));
    store<u32>(PLACES + (weight << 2), at);
    at += symbols << (weight - 1);
  }
  for (let symbol: u32 = 0; symbol <= weightCount; symbol++) {
    const weight = load<u8>(WEIGHTS + symbol) as u32;
    if (!weight) continue;
    const entry = symbol | ((bits + 1 - weight) << 8);
    const first = load<u32>(PLACES + (weight << 2));
    const entries = ((1 as u32) << weight) >> 1;
    store<u32>(PLACES + (weight << 2), first + entries);
    let place = TABLE + (first << 1);
    if (weight >= 4) {
      const eight = v128.splat<u16>(entry as u16);
      for (const end = place + (entries << 1); place < end; place += 16) v128.store(place, eight);
    } else {
      for (const end = place + (entries << 1); place < end; place += 2) store<u16>(place, entry);
    }
  }
}

/** One stream over `input`..`end`, which gives `output`..`outputEnd` exactly and is then used up; false: it is damaged. */
export function readStream(input: usize, end: usize, output: usize, outputEnd: usize): bool {
  const left = bitsOf(input, end);
  return left >= 0 && finishStream(input, left, output, outputEnd);
}

function finishStream(stream: usize, left: i32, output: usize, end: usize): bool {
  const shift = (64 - load<u32>(STATE, HUFFMAN_BITS)) as u64;
  while (output < end && left >= 0) {
    let bits = load<u64>(stream + ((left + 7) >> 3) - 8) << (((0 - left) & 7) as u64);
    for (const pause = min(output + 5, end); output < pause; output++) {
      const entry = load<u16>(TABLE + (((bits >> shift) as usize) << 1)) as u32;
      store<u8>(output, entry);
      bits <<= (entry >> 8) as u64;
      left -= (entry >> 8) as i32;
    }
  }
  return left == 0 && output == end;
}

/** Section 3.1.1.3.1.6: the jump table, and four streams that each give a quarter of the output (the last one what remains). */
export function readFourStreams(input: usize, end: usize, output: usize, outputEnd: usize): bool {
  const quarter = (outputEnd - output + 3) >> 2;
  if (outputEnd - output < FOUR_STREAMS_MIN || input + JUMP_TABLE_BYTES > end) return false;
  const stream0 = input + JUMP_TABLE_BYTES;
  const stream1 = stream0 + load<u16>(input);
  const stream2 = stream1 + load<u16>(input, 2);
  const stream3 = stream2 + load<u16>(input, 4);
  if (stream3 > end) return false;
  let left0 = bitsOf(stream0, stream1);
  let left1 = bitsOf(stream1, stream2);
  let left2 = bitsOf(stream2, stream3);
  let left3 = bitsOf(stream3, end);
  let at0 = output;
  let at1 = output + quarter;
  let at2 = at1 + quarter;
  let at3 = at2 + quarter;
  const end0 = at1;
  const end1 = at2;
  const end2 = at3;
  const shift = (64 - load<u32>(STATE, HUFFMAN_BITS)) as u64;
  // Five codes are at most 55 bits; a load gives 57 or more. A stream that ends too soon is noticed in the next round.
  while (at3 + 5 <= outputEnd && (left0 | left1 | left2 | left3) >= 0) {
    let bits0 = load<u64>(stream0 + ((left0 + 7) >> 3) - 8) << (((0 - left0) & 7) as u64);
    let bits1 = load<u64>(stream1 + ((left1 + 7) >> 3) - 8) << (((0 - left1) & 7) as u64);
    let bits2 = load<u64>(stream2 + ((left2 + 7) >> 3) - 8) << (((0 - left2) & 7) as u64);
    let bits3 = load<u64>(stream3 + ((left3 + 7) >> 3) - 8) << (((0 - left3) & 7) as u64);
    for (const pause = at0 + 5; at0 < pause; at0++) {
      const entry0 = load<u16>(TABLE + (((bits0 >> shift) as usize) << 1)) as u32;
      const entry1 = load<u16>(TABLE + (((bits1 >> shift) as usize) << 1)) as u32;
      const entry2 = load<u16>(TABLE + (((bits2 >> shift) as usize) << 1)) as u32;
      const entry3 = load<u16>(TABLE + (((bits3 >> shift) as usize) << 1)) as u32;
      store<u8>(at0, entry0);
      store<u8>(at1++, entry1);
      store<u8>(at2++, entry2);
      store<u8>(at3++, entry3);
      bits0 <<= (entry0 >> 8) as u64;
      bits1 <<= (entry1 >> 8) as u64;
      bits2 <<= (entry2 >> 8) as u64;
      bits3 <<= (entry3 >> 8) as u64;
      left0 -= (entry0 >> 8) as i32;
      left1 -= (entry1 >> 8) as i32;
      left2 -= (entry2 >> 8) as i32;
      left3 -= (entry3 >> 8) as i32;
    }
  }
  return (
    finishStream(stream0, left0, at0, end0) &&
    finishStream(stream1, left1, at1, end1) &&
    finishStream(stream2, left2, at2, end2) &&
    finishStream(stream3, left3, at3, outputEnd)
  );
}
