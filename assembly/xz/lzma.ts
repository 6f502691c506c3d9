// LZMA as LZMA2 uses it ("LZMA specification", I. Pavlov; the .xz file format, section 5.3.1): chunks whose lengths are known.
//
// A chunk's packed bytes lie whole in memory; what it gives comes in as many calls as the caller likes. The dictionary's buffer
// is circular and MARGIN bytes longer than the dictionary: copies of 16 bytes may run over what no match can reach any more.

import { copyMatch } from "./copy-match";
import {
  CHUNK_LEFT,
  CODE,
  INPUT_AT,
  IS_MATCH,
  IS_REP,
  IS_REP0,
  IS_REP0_LONG,
  IS_REP1,
  IS_REP2,
  KIND,
  LITERAL_BYTES,
  LITERAL_CONTEXT_BITS,
  LITERAL_POSITION_MASK,
  LITERALS,
  MATCH_LENGTH,
  PENDING,
  POSITION,
  POSITION_MASK,
  RANGE,
  REACH,
  REP_LENGTH,
  REP0,
  REP1,
  REP2,
  REP3,
  resetState,
  STATE,
  TOTAL,
} from "./lzma-state";
import { coderAt, coderCode, coderRange, decodeDistance, decodeLength, moved, setCoder, TOP, WHOLE } from "./range-coder";

export const ERROR_STREAM: i32 = -1;
/** Bytes by which the dictionary's buffer is longer than the dictionary, and that may be touched past its end and the input's. */
const MARGIN: u32 = 64;
const RANGE_CODER_BYTES: u32 = 5;
const FIRST_MATCH_KIND: u32 = 7;

export function lzmaResetState(): void {
  resetState();
}

/** LZMA2's properties byte: (pb * 5 + lp) * 9 + lc. The state is reset too. 0, or ERROR_STREAM. */
export function lzmaProperties(byte: u32): i32 {
  if (byte >= 9 * 5 * 5) return ERROR_STREAM;
  const literalContext = byte % 9;
  const literalPosition = (byte / 9) % 5;
  const position = byte / 45;
  if (literalContext + literalPosition > 4) return ERROR_STREAM;
  store<u32>(STATE, literalContext, LITERAL_CONTEXT_BITS);
  store<u32>(STATE, (1 << literalPosition) - 1, LITERAL_POSITION_MASK);
  store<u32>(STATE, (1 << position) - 1, POSITION_MASK);
  resetState();
  return 0;
}

export function lzmaResetDictionary(): void {
  store<u32>(STATE, 0, POSITION);
  store<u32>(STATE, 0, REACH);
  store<u32>(STATE, 0, TOTAL);
}

/** Begins a chunk of `packed` bytes at `input`, which gives `unpacked`. 0, or ERROR_STREAM. */
export function lzmaBegin(input: usize, packed: u32, unpacked: u32): i32 {
  if (packed < RANGE_CODER_BYTES || load<u8>(input) != 0) return ERROR_STREAM;
  store<u32>(STATE, 0xffffffff, RANGE);
  store<u32>(STATE, bswap(load<u32>(input, 1)), CODE);
  store<u32>(STATE, RANGE_CODER_BYTES, INPUT_AT);
  store<u32>(STATE, unpacked, CHUNK_LEFT);
  store<u32>(STATE, 0, PENDING);
  return 0;
}

/** Where the next byte goes in the dictionary's buffer; what a call gave lies before it. */
export function lzmaPosition(): u32 {
  return load<u32>(STATE, POSITION);
}
/** The dictionary's bytes were moved so that the next one goes to `position`. */
export function lzmaMoved(position: u32): void {
  store<u32>(STATE, position, POSITION);
}
/** How far back matches can reach. */
export function lzmaReach(): u32 {
  return load<u32>(STATE, REACH);
}
/** Bytes of the chunk that were used. */
export function lzmaInputAt(): u32 {
  return load<u32>(STATE, INPUT_AT);
}

/** The place for the next byte; the buffer of a dictionary of `size` bytes begins again where it ends. */
function startOfRoom(size: u32): u32 {
  const position = load<u32>(STATE, POSITION);
  return position == size + MARGIN ? 0 : position;
}
function advance(position: u32, given: u32, size: u32): void {
  store<u32>(STATE, position + given, POSITION);
  store<u32>(STATE, load<u32>(STATE, TOTAL) + given, TOTAL);
  const reach = (load<u32>(STATE, REACH) as u64) + given;
  store<u32>(STATE, reach < size ? (reach as u32) : size, REACH);
}

/** Plain bytes, as far as there is room before the buffer's end: how many. */
export function lzmaStored(from: usize, length: u32, dictionary: usize, size: u32): u32 {
  const position = startOfRoom(size);
  const room = size + MARGIN - position;
  const given = length < room ? length : room;
  memory.copy(dictionary + position, from, given);
  advance(position, given, size);
  return given;
}

/**
 * Gives up to `room` bytes of the chunk that lies at `input`, `packed` bytes; fewer at the chunk's end and at the buffer's end.
 * Their number, or ERROR_STREAM. With the chunk's last byte its end is verified.
 *
 * A symbol takes at most 48 bits of at most a byte each, so input that was not overrun before it is not overrun by more.
 */
export function lzmaDecode(input: usize, packed: u32, dictionary: usize, size: u32, room: u32): i32 {
  const first = dictionary;
  const last = dictionary + size + MARGIN;
  const inputEnd = input + packed;
  const begin = dictionary + startOfRoom(size);
  const chunkEnd = begin + load<u32>(STATE, CHUNK_LEFT);
  let limit = begin + room;
  if (limit > last) limit = last;
  if (limit > chunkEnd) limit = chunkEnd;

  const reachBefore = load<u32>(STATE, REACH);
  const totalBefore = load<u32>(STATE, TOTAL);
  const positionMask = load<u32>(STATE, POSITION_MASK);
  const literalContextBits = load<u32>(STATE, LITERAL_CONTEXT_BITS);
  const literalContextShift = 8 - literalContextBits;
  const literalPositionMask = load<u32>(STATE, LITERAL_POSITION_MASK);
  let at = input + load<u32>(STATE, INPUT_AT);
  let range = load<u32>(STATE, RANGE);
  let code = load<u32>(STATE, CODE);
  let kind = load<u32>(STATE, KIND);
  let rep0 = load<u32>(STATE, REP0);
  let rep1 = load<u32>(STATE, REP1);
  let rep2 = load<u32>(STATE, REP2);
  let rep3 = load<u32>(STATE, REP3);
  let length = load<u32>(STATE, PENDING);
  let out = begin;
  let before: u32 = 0;
  if (reachBefore > 0) before = load<u8>(begin > first ? begin - 1 : last - 1);
  let slot: usize;
  let probability: u32;
  let bound: u32;

  while (true) {
    if (length > 0) {
      if (out + length > chunkEnd) return ERROR_STREAM;
      const room = (limit - out) as u32;
      const step = length < room ? length : room;
      if (step > 0) {
        copyMatch(out, rep0 + 1, step, first, last);
        out += step;
        length -= step;
        before = load<u8>(out - 1);
      }
    }
    if (out >= limit) break;
    if (at > inputEnd) return ERROR_STREAM;
    const place = totalBefore + ((out - begin) as u32);
    const position = place & positionMask;

    // Literal or match.
    slot = STATE + (((kind << 4) + position) << 1);
    if (range < TOP) {
      range <<= 8;
      code = (code << 8) | load<u8>(at++);
    }
    probability = load<u16>(slot, IS_MATCH);
    bound = (range >>> 11) * probability;
    if (code < bound) {
      range = bound;
      store<u16>(slot, probability + ((WHOLE - probability) >>> 5), IS_MATCH);
      const context = ((place & literalPositionMask) << literalContextBits) + (before >>> literalContextShift);
      const tree = STATE + LITERALS + context * LITERAL_BYTES;
      let symbol: u32 = 1;
      if (kind < FIRST_MATCH_KIND) {
        do {
          if (range < TOP) {
            range <<= 8;
            code = (code << 8) | load<u8>(at++);
          }
          slot = tree + (symbol << 1);
          probability = load<u16>(slot);
          bound = (range >>> 11) * probability;
          const one = code >= bound;
          range = select<u32>(range - bound, bound, one);
          code = select<u32>(code - bound, code, one);
          store<u16>(slot, moved(probability, one));
          symbol = (symbol << 1) | (one as u32);
        } while (symbol < 0x100);
        kind = kind < 4 ? 0 : kind - 3;
      } else {
        // The byte that the last match would have given next decides which tree serves, until the first bit that differs.
        const distance = rep0 + 1;
        let expected: u32 = load<u8>(distance > out - first ? out - distance + (last - first) : out - distance);
        let offset: u32 = 0x100;
        do {
          expected <<= 1;
          const bit = expected & offset;
          if (range < TOP) {
            range <<= 8;
            code = (code << 8) | load<u8>(at++);
          }
          slot = tree + ((offset + bit + symbol) << 1);
          probability = load<u16>(slot);
          bound = (range >>> 11) * probability;
          const one = code >= bound;
          range = select<u32>(range - bound, bound, one);
          code = select<u32>(code - bound, code, one);
          store<u16>(slot, moved(probability, one));
          symbol = (symbol << 1) | (one as u32);
          offset = select<u32>(bit, offset ^ bit, one);
        } while (symbol < 0x100);
        kind = kind < 10 ? kind - 3 : kind - 6;
      }
      before = symbol & 0xff;
      store<u8>(out, symbol);
      out++;
      continue;
    }
    range -= bound;
    code -= bound;
    store<u16>(slot, probability - (probability >>> 5), IS_MATCH);

    // A distance of its own, or one of the last four.
    let lengths: usize;
    let repeated = true;
    slot = STATE + (kind << 1);
    if (range < TOP) {
      range <<= 8;
      code = (code << 8) | load<u8>(at++);
    }
    probability = load<u16>(slot, IS_REP);
    bound = (range >>> 11) * probability;
    if (code < bound) {
      range = bound;
      store<u16>(slot, probability + ((WHOLE - probability) >>> 5), IS_REP);
      kind = kind < FIRST_MATCH_KIND ? 7 : 10;
      rep3 = rep2;
      rep2 = rep1;
      rep1 = rep0;
      repeated = false;
      lengths = STATE + MATCH_LENGTH;
    } else {
      range -= bound;
      code -= bound;
      store<u16>(slot, probability - (probability >>> 5), IS_REP);
      if (range < TOP) {
        range <<= 8;
        code = (code << 8) | load<u8>(at++);
      }
      probability = load<u16>(slot, IS_REP0);
      bound = (range >>> 11) * probability;
      if (code < bound) {
        range = bound;
        store<u16>(slot, probability + ((WHOLE - probability) >>> 5), IS_REP0);
        slot = STATE + (((kind << 4) + position) << 1);
        if (range < TOP) {
          range <<= 8;
          code = (code << 8) | load<u8>(at++);
        }
        probability = load<u16>(slot, IS_REP0_LONG);
        bound = (range >>> 11) * probability;
        if (code < bound) {
          range = bound;
          store<u16>(slot, probability + ((WHOLE - probability) >>> 5), IS_REP0_LONG);
          kind = kind < FIRST_MATCH_KIND ? 9 : 11;
          if ((rep0 as u64) >= (reachBefore as u64) + ((out - begin) as u64) || rep0 >= size) return ERROR_STREAM;
          length = 1;
          continue;
        }
        range -= bound;
        code -= bound;
        store<u16>(slot, probability - (probability >>> 5), IS_REP0_LONG);
      } else {
        range -= bound;
        code -= bound;
        store<u16>(slot, probability - (probability >>> 5), IS_REP0);
        let distance = rep1;
        if (range < TOP) {
          range <<= 8;
          code = (code << 8) | load<u8>(at++);
        }
        probability = load<u16>(slot, IS_REP1);
        bound = (range >>> 11) * probability;
        if (code < bound) {
          range = bound;
          store<u16>(slot, probability + ((WHOLE - probability) >>> 5), IS_REP1);
        } else {
          range -= bound;
          code -= bound;
          store<u16>(slot, probability - (probability >>> 5), IS_REP1);
          distance = rep2;
          if (range < TOP) {
            range <<= 8;
            code = (code << 8) | load<u8>(at++);
          }
          probability = load<u16>(slot, IS_REP2);
          bound = (range >>> 11) * probability;
          if (code < bound) {
            range = bound;
            store<u16>(slot, probability + ((WHOLE - probability) >>> 5), IS_REP2);
          } else {
            range -= bound;
            code -= bound;
            store<u16>(slot, probability - (probability >>> 5), IS_REP2);
            distance = rep3;
            rep3 = rep2;
          }
          rep2 = rep1;
        }
        rep1 = rep0;
        rep0 = distance;
      }
      kind = kind < FIRST_MATCH_KIND ? 8 : 11;
      lengths = STATE + REP_LENGTH;
    }

    setCoder(range, code, at);
    length = decodeLength(lengths, position);
    if (!repeated) rep0 = decodeDistance(length);
    range = coderRange;
    code = coderCode;
    at = coderAt;
    // Also the mark of an end, which LZMA2 does not have.
    if ((rep0 as u64) >= (reachBefore as u64) + ((out - begin) as u64) || rep0 >= size) return ERROR_STREAM;
  }

  if (out == chunkEnd) {
    if (length > 0) return ERROR_STREAM;
    if (range < TOP) {
      range <<= 8;
      code = (code << 8) | load<u8>(at++);
    }
    if (code != 0 || at != inputEnd) return ERROR_STREAM;
  }
  const given = (out - begin) as u32;
  store<u32>(STATE, (at - input) as u32, INPUT_AT);
  store<u32>(STATE, range, RANGE);
  store<u32>(STATE, code, CODE);
  store<u32>(STATE, kind, KIND);
  store<u32>(STATE, rep0, REP0);
  store<u32>(STATE, rep1, REP1);
  store<u32>(STATE, rep2, REP2);
  store<u32>(STATE, rep3, REP3);
  store<u32>(STATE, length, PENDING);
  store<u32>(STATE, (chunkEnd - out) as u32, CHUNK_LEFT);
  advance((begin - first) as u32, given, size);
  return given as i32;
}
