// The range coder where it reads several bits in a row: lengths and distances. Single bits and literals are decoded in `lzma.ts`
// itself, where the coder's numbers stay in local variables.

import { DISTANCE_ALIGN, DISTANCE_SLOT, DISTANCE_SPECIAL, LENGTH_LONG, LENGTH_MIDDLE, LENGTH_SHORT, STATE } from "./lzma-state";

/** Below it the range takes another byte in. */
export const TOP: u32 = 1 << 24;
/** All of a probability; each bit moves it by a 32nd of what is left. */
export const WHOLE: u32 = 2048;
const MIN_MATCH: u32 = 2;
/** Slots from which on there are bits that are as likely 0 as 1: all but the last four. */
const FIRST_DIRECT_SLOT: u32 = 14;
const ALIGN_BITS: u32 = 4;

export let coderRange: u32 = 0;
export let coderCode: u32 = 0;
/** Place of the next byte. */
export let coderAt: usize = 0;

export function setCoder(range: u32, code: u32, at: usize): void {
  coderRange = range;
  coderCode = code;
  coderAt = at;
}

/** A probability after a bit. Branches on bits in a row are often mispredicted, so what depends on them is selected. */
export function moved(probability: u32, one: bool): u32 {
  return probability - select<u32>(probability >>> 5, ((probability + 31 - WHOLE) as i32) >> 5, one);
}

function decodeBit(slot: usize): u32 {
  if (coderRange < TOP) {
    coderRange <<= 8;
    coderCode = (coderCode << 8) | load<u8>(coderAt++);
  }
  const probability: u32 = load<u16>(slot);
  const bound = (coderRange >>> 11) * probability;
  if (coderCode < bound) {
    coderRange = bound;
    store<u16>(slot, probability + ((WHOLE - probability) >>> 5));
    return 0;
  }
  coderRange -= bound;
  coderCode -= bound;
  store<u16>(slot, probability - (probability >>> 5));
  return 1;
}

/** A number below `leaves`, highest bit first. */
function decodeTree(tree: usize, leaves: u32): u32 {
  let range = coderRange;
  let code = coderCode;
  let at = coderAt;
  let symbol: u32 = 1;
  do {
    if (range < TOP) {
      range <<= 8;
      code = (code << 8) | load<u8>(at++);
    }
    const slot = tree + (symbol << 1);
    const probability: u32 = load<u16>(slot);
    const bound = (range >>> 11) * probability;
    const one = code >= bound;
    range = select<u32>(range - bound, bound, one);
    code = select<u32>(code - bound, code, one);
    store<u16>(slot, moved(probability, one));
    symbol = (symbol << 1) | (one as u32);
  } while (symbol < leaves);
  setCoder(range, code, at);
  return symbol - leaves;
}

/** A number of `bits` bits, lowest bit first. */
function decodeReverse(tree: usize, bits: u32): u32 {
  let range = coderRange;
  let code = coderCode;
  let at = coderAt;
  let symbol: u32 = 1;
  let value: u32 = 0;
  for (let i: u32 = 0; i < bits; i++) {
    if (range < TOP) {
      range <<= 8;
      code = (code << 8) | load<u8>(at++);
    }
    const slot = tree + (symbol << 1);
    const probability: u32 = load<u16>(slot);
    const bound = (range >>> 11) * probability;
    const one = code >= bound;
    range = select<u32>(range - bound, bound, one);
    code = select<u32>(code - bound, code, one);
    store<u16>(slot, moved(probability, one));
    symbol = (symbol << 1) | (one as u32);
    value |= (one as u32) << i;
  }
  setCoder(range, code, at);
  return value;
}

function decodeDirect(value: u32, bits: u32): u32 {
  let range = coderRange;
  let code = coderCode;
  let at = coderAt;
  do {
    if (range < TOP) {
      range <<= 8;
      code = (code << 8) | load<u8>(at++);
    }
    range >>>= 1;
    code -= range;
    const mask = 0 - (code >>> 31);
    code += range & mask;
    value = (value << 1) + (mask + 1);
  } while (--bits > 0);
  setCoder(range, code, at);
  return value;
}

/** A match's length, with the length decoder at `lengths`. */
export function decodeLength(lengths: usize, position: u32): u32 {
  if (!decodeBit(lengths)) return MIN_MATCH + decodeTree(lengths + LENGTH_SHORT + (position << 4), 8);
  if (!decodeBit(lengths + 2)) return MIN_MATCH + 8 + decodeTree(lengths + LENGTH_MIDDLE + (position << 4), 8);
  return MIN_MATCH + 16 + decodeTree(lengths + LENGTH_LONG, 256);
}

/** A match's distance, less one: first its slot, which is its two highest bits and how many follow. */
export function decodeDistance(length: u32): u32 {
  const slot = decodeTree(STATE + DISTANCE_SLOT + ((length < 6 ? length - MIN_MATCH : 3) << 7), 64);
  if (slot < 4) return slot;
  const bits = (slot >>> 1) - 1;
  const high = 2 | (slot & 1);
  if (slot < FIRST_DIRECT_SLOT) {
    const base = high << bits;
    return base + decodeReverse(STATE + DISTANCE_SPECIAL + ((base - slot - 1) << 1), bits);
  }
  return (decodeDirect(high, bits - ALIGN_BITS) << ALIGN_BITS) + decodeReverse(STATE + DISTANCE_ALIGN, ALIGN_BITS);
}
