// What the decoder keeps between calls, in one piece of memory that can be copied away and put back, and where its parts lie.

/** Offsets in the state: u32 each. What the decoder reads next. */
export const PART: usize = 0;
/** The input: the next bit, the bytes that lie there, and where the block's header began: bits, bytes, bytes (signed). */
export const BIT: usize = 4;
export const INPUT_END: usize = 8;
export const BLOCK_START: usize = 12;
/** Of the stream: complete ones before it, most bytes of a block, the combined CRC of its blocks. */
export const STREAMS: usize = 16;
export const BLOCK_LIMIT: usize = 20;
export const STREAM_CRC: usize = 24;
/** Of the block's header. */
export const BLOCK_CRC: usize = 28;
export const RANDOMISED: usize = 32;
export const ORIGIN: usize = 36;
export const USED_ROWS: usize = 40;
export const SYMBOLS: usize = 44;
export const TABLES: usize = 48;
export const SELECTORS: usize = 52;
/** How far the part that is read has come: row, selector or group; table; symbol; code length. */
export const INDEX: usize = 56;
export const TABLE: usize = 60;
export const SYMBOL: usize = 64;
export const CODE_LENGTH: usize = 68;
/** Bytes of the block so far. A run that is being read: its length so far, and the weight of its next digit. */
export const BYTES: usize = 72;
export const RUN: usize = 76;
export const WEIGHT: usize = 80;
/** What is given of the block: the next place in the chain, its bytes that are left, its CRC so far. */
export const CHAIN: usize = 84;
export const LEFT: usize = 88;
export const GIVEN_CRC: usize = 92;
/** The last byte, how often it came in a row (at most 4), and how often it is still to be repeated. */
export const LAST: usize = 96;
export const ROW: usize = 100;
export const REPEAT: usize = 104;
/** A checksum that was found wrong: as stated. */
export const STATED_CRC: usize = 108;

/** The bytes that occur, the last used one first: 256. */
export const RECENT: usize = 112;
export const RECENT_BYTES: usize = 256;
/** Code lengths: 6 tables of 258. */
export const LENGTHS: usize = RECENT + RECENT_BYTES;
export const LENGTHS_STRIDE: usize = 264;
export const SELECTOR: usize = LENGTHS + 6 * LENGTHS_STRIDE;
/** 900 000 bytes in groups of 50 symbols, and what bzip2 has always allowed beyond. */
export const SELECTOR_LIMIT: u32 = 18_002;
export const STATE_BYTES: usize = SELECTOR + 18_016;
export const STATE: usize = memory.data(STATE_BYTES as i32, 16);

/** Places of the caller's memory. */
export let input: usize = 0;
/** The block's last column. */
export let column: usize = 0;
/** For each byte of the sorted block: the place of the next byte in the last column << 8, and the byte itself. */
export let chain: usize = 0;

export function setPlaces(inputPlace: usize, columnPlace: usize, chainPlace: usize): void {
  input = inputPlace;
  column = columnPlace;
  chain = chainPlace;
}
