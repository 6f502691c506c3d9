// The body of a block: groups of 50 symbols, each with one of the block's tables, to runs and move-to-front places, to bytes.

import { longOf, MAX_CODE_LENGTH, ROOT_BITS, rootOf, symbolOf } from "./codes";
import { BIT, BLOCK_LIMIT, BYTES, column, INDEX, input, RECENT, RUN, SELECTOR, SELECTORS, STATE, SYMBOLS, WEIGHT } from "./state";

const GROUP_SYMBOLS: u32 = 50;
/** Bytes of the longest group, and what is loaded beyond. */
export const GROUP_BYTES: u32 = (50 * MAX_CODE_LENGTH) / 8 + 1;

export const GROUP_DONE: i32 = 0;
export const BLOCK_DONE: i32 = 1;
export const DAMAGED: i32 = -1;

/** The bytes of a load in the order of their bits. */
function loadBits(at: usize): u64 {
  return bswap(load<u64>(at));
}

/** ROTATIONS + 16 n: bytes 0 to n of a vector, each one place up and the last one in front. */
const ROTATIONS: usize = memory.data(256, 16);
let ready: bool = false;

function fillRotations(): void {
  for (let n: usize = 0; n < 16; n++)
    for (let i: usize = 0; i < 16; i++) store<u8>(ROTATIONS + (n << 4) + i, i > n ? i : i == 0 ? n : i - 1);
  ready = true;
}

/** Decodes one group; there must be GROUP_BYTES of input, or the caller looks afterwards whether too much was used. */
export function decodeGroup(): i32 {
  if (!ready) fillRotations();
  const group = load<u32>(STATE, INDEX);
  if (group >= load<u32>(STATE, SELECTORS)) return DAMAGED;
  store<u32>(STATE, group + 1, INDEX);
  const table = load<u8>(STATE + group, SELECTOR) as u32;
  const root = rootOf(table);
  const long = longOf(table);
  const last = load<u32>(STATE, SYMBOLS) - 1;
  const recent = STATE + RECENT;
  const start = column;
  const end = column + load<u32>(STATE, BLOCK_LIMIT);
  let out = column + load<u32>(STATE, BYTES);
  let run = load<u32>(STATE, RUN);
  let weight = load<u32>(STATE, WEIGHT);

  const firstBit = load<u32>(STATE, BIT);
  let at = input + (firstBit >>> 3);
  let count = 64 - ((firstBit & 7) as u64);
  let buffer = loadBits(at) << ((firstBit & 7) as u64);
  at += 8;
  let status = GROUP_DONE;

  for (let i: u32 = 0; i < GROUP_SYMBOLS; i++) {
    if (count < 20) {
      // The bits below `count` are zero; whole bytes are added.
      buffer |= loadBits(at) >>> count;
      at += ((63 - count) >> 3) as usize;
      count |= 56;
    }
    const entry = load<u16>(root + (((buffer >>> (64 - ROOT_BITS)) as usize) << 1)) as u32;
    let symbol = entry >>> 5;
    let length = entry & 31;
    if (length == 0) {
      length = ROOT_BITS;
      let found: i32 = -1;
      while (found < 0 && ++length <= MAX_CODE_LENGTH) found = symbolOf(long, (buffer >>> (64 - length)) as i32, length);
      if (found < 0) {
        status = DAMAGED;
        break;
      }
      symbol = found;
    }
    buffer <<= length as u64;
    count -= length as u64;

    if (symbol <= 1) {
      // A digit, 1 or 2, of a run's length; the lowest first.
      run += weight << symbol;
      weight <<= 1;
      if (run > 900_000) {
        status = DAMAGED;
        break;
      }
      continue;
    }
    if (run > 0) {
      if (run > ((end - out) as u32)) {
        status = DAMAGED;
        break;
      }
      memory.fill(out, load<u8>(recent), run);
      out += run;
      run = 0;
      weight = 1;
    }
    if (symbol == last) {
      status = BLOCK_DONE;
      break;
    }
    if (out >= end) {
      status = DAMAGED;
      break;
    }
    let place = (symbol - 1) as usize;
    const byte = load<u8>(recent + place);
    store<u8>(out, byte);
    out++;
    for (; place >= 16; place -= 16) v128.store(recent + place - 15, v128.load(recent + place - 16));
    v128.store(recent, v128.swizzle(v128.load(recent), v128.load(ROTATIONS + (place << 4))));
    store<u8>(recent, byte);
  }
  store<u32>(STATE, (((at - input) as u32) << 3) - (count as u32), BIT);
  store<u32>(STATE, (out - start) as u32, BYTES);
  store<u32>(STATE, run, RUN);
  store<u32>(STATE, weight, WEIGHT);
  return status;
}
