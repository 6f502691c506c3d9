// What an LZMA decoder keeps between calls, in one piece of memory that can be copied away and put back.

/** Offsets in the state: u32 each. */
export const RANGE: usize = 0;
export const CODE: usize = 4;
/** Which kinds of symbols came last: 0 to 6 after a literal, 7 to 11 after a match. */
export const KIND: usize = 8;
/** The last four distances, less one. */
export const REP0: usize = 12;
export const REP1: usize = 16;
export const REP2: usize = 20;
export const REP3: usize = 24;
/** Bytes of the last match that found no room. */
export const PENDING: usize = 28;
export const LITERAL_CONTEXT_BITS: usize = 32;
export const LITERAL_POSITION_MASK: usize = 36;
export const POSITION_MASK: usize = 40;
/** Of the chunk: bytes still to give. */
export const CHUNK_LEFT: usize = 44;
/** Where the next byte goes in the dictionary's buffer. */
export const POSITION: usize = 48;
/** Bytes that matches can reach: at most the dictionary's size. */
export const REACH: usize = 52;
/** Bytes since the dictionary was reset, modulo 2^32. */
export const TOTAL: usize = 56;
/** Of the packed chunk: bytes used. */
export const INPUT_AT: usize = 60;
const HEADER_BYTES: usize = 64;

/** Probabilities that the next bit is 0, in 2048ths: u16 each. Position-dependent ones have 16 places for each kind. */
const PROBABILITIES: usize = HEADER_BYTES;
export const IS_MATCH: usize = PROBABILITIES;
export const IS_REP: usize = IS_MATCH + 12 * 16 * 2;
export const IS_REP0: usize = IS_REP + 12 * 2;
export const IS_REP1: usize = IS_REP0 + 12 * 2;
export const IS_REP2: usize = IS_REP1 + 12 * 2;
export const IS_REP0_LONG: usize = IS_REP2 + 12 * 2;
/** Four trees of 6 bits. */
export const DISTANCE_SLOT: usize = IS_REP0_LONG + 12 * 16 * 2;
/** Reverse trees for slots 4 to 13, one after another. */
export const DISTANCE_SPECIAL: usize = DISTANCE_SLOT + 4 * 64 * 2;
export const DISTANCE_ALIGN: usize = DISTANCE_SPECIAL + 114 * 2;
/** A length decoder: two choices, 16 trees of 3 bits for short and 16 for middle lengths, one of 8 bits. */
export const LENGTH_SHORT: usize = 2 * 2;
export const LENGTH_MIDDLE: usize = LENGTH_SHORT + 16 * 8 * 2;
export const LENGTH_LONG: usize = LENGTH_MIDDLE + 16 * 8 * 2;
const LENGTH_BYTES: usize = LENGTH_LONG + 256 * 2;
export const MATCH_LENGTH: usize = DISTANCE_ALIGN + 16 * 2;
export const REP_LENGTH: usize = MATCH_LENGTH + LENGTH_BYTES;
export const LITERALS: usize = REP_LENGTH + LENGTH_BYTES;
/** Bytes of one literal coder: a tree of 8 bits, and two for literals after a match. */
export const LITERAL_BYTES: usize = 0x300 * 2;

/** LZMA2 allows at most 4 bits of literal context and position together. */
const LITERAL_CODERS: usize = 1 << 4;
const PROBABILITIES_END: usize = LITERALS + LITERAL_CODERS * LITERAL_BYTES;

/** The running check: the sum or the words of SHA-256, its unfinished block, its length. */
export const CHECK: usize = (PROBABILITIES_END + 15) & ~15;
export const CHECK_REST: usize = CHECK + 32;
export const CHECK_TOTAL: usize = CHECK_REST + 64;
/** What filters keep: for each of at most three. */
export const FILTERS: usize = CHECK_TOTAL + 16;
export const FILTER_BYTES: usize = 272;

export const STATE_BYTES: usize = FILTERS + 3 * FILTER_BYTES;
export const STATE: usize = memory.data(STATE_BYTES as i32, 16);

/** Even: 1024 of 2048. */
const EVEN: u16 = 1024;

/** All probabilities even, no distances, as after nothing but literals. */
export function resetState(): void {
  store<u32>(STATE, 0, KIND);
  store<u32>(STATE, 0, REP0);
  store<u32>(STATE, 0, REP1);
  store<u32>(STATE, 0, REP2);
  store<u32>(STATE, 0, REP3);
  const even = v128.splat<u16>(EVEN);
  const end = STATE + PROBABILITIES_END;
  let at = STATE + PROBABILITIES;
  for (; at + 16 <= end; at += 16) v128.store(at, even);
  for (; at < end; at += 2) store<u16>(at, EVEN);
}
