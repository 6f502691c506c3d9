// What the LZFSE format fixes.

export const ERROR_STREAM: i32 = -1; // not a valid stream
export const ERROR_OUTPUT: i32 = -2; // the stream holds more than there is room for
export const ERROR_INPUT: i32 = -3; // the stream needs bytes beyond the end of the input

// Alphabets of the four codes, in the order in which the headers hold their frequencies, and how many states each has.
export const L_SYMBOLS: u32 = 20; // lengths of literal runs
export const M_SYMBOLS: u32 = 20; // match lengths
export const D_SYMBOLS: u32 = 64; // match distances
export const LITERAL_SYMBOLS: u32 = 256;
export const ALL_SYMBOLS: u32 = L_SYMBOLS + M_SYMBOLS + D_SYMBOLS + LITERAL_SYMBOLS;
export const L_STATES: u32 = 64;
export const M_STATES: u32 = 64;
export const D_STATES: u32 = 256;
export const LITERAL_STATES: u32 = 1024;

export const MATCHES_LIMIT: u32 = 10_000; // per block
export const LITERALS_LIMIT: u32 = 4 * MATCHES_LIMIT;

/** bvx1: 11 words of which some are halved, 360 frequencies of 16 bits, padded to whole words. */
export const HEADER1_BYTES: usize = 772;
/** bvx2, without the packed frequencies. */
export const HEADER2_BYTES: usize = 32;

// Extra bits of the symbols; a symbol's values begin where those of the one before end.
export const L_EXTRA: usize = memory.data<u8>([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 5, 8]);
export const M_EXTRA: usize = memory.data<u8>([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 5, 8, 11]);
export const D_EXTRA: usize = memory.data<u8>([
  0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 8, 8, 8, 8, 9, 9, 9, 9, 10, 10, 10, 10,
  11, 11, 11, 11, 12, 12, 12, 12, 13, 13, 13, 13, 14, 14, 14, 14, 15, 15, 15, 15,
]);
