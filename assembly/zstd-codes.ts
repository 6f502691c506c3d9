// What the Zstandard format fixes for the codes of sequences (RFC 8878), shared by the decoder and the encoder.

// Section 3.1.1.3.2.1.1: what codes stand for, a base (u32) and the number of extra bits (u8). An offset code is its own number
// of extra bits, and 2^code its base.
export const LITERALS_LENGTH_CODES: u32 = 36;
export const LITERALS_LENGTH_BASES: usize = memory.data<u32>([
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20, 22, 24, 28, 32, 40, 48, 64, 128, 256, 512, 1024, 2048, 4096, 8192,
  16384, 32768, 65536,
]);
export const LITERALS_LENGTH_EXTRAS: usize = memory.data<u8>([
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
]);
export const MATCH_LENGTH_CODES: u32 = 53;
export const MATCH_LENGTH_BASES: usize = memory.data<u32>([
  3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 37, 39, 41,
  43, 47, 51, 59, 67, 83, 99, 131, 259, 515, 1027, 2051, 4099, 8195, 16387, 32771, 65539,
]);
export const MATCH_LENGTH_EXTRAS: usize = memory.data<u8>([
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9,
  10, 11, 12, 13, 14, 15, 16,
]);

// Section 3.1.1.3.2.2: the predefined distributions (i16 each) and their Accuracy_Log. That of offsets has fewer codes than there can be.
export const LITERALS_LENGTH_LOG: u32 = 6;
export const LITERALS_LENGTH_PROBABILITIES: usize = memory.data<i16>([
  4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1,
]);
export const MATCH_LENGTH_LOG: u32 = 6;
export const MATCH_LENGTH_PROBABILITIES: usize = memory.data<i16>([
  1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
  -1, -1, -1, -1, -1, -1, -1,
]);
export const OFFSET_LOG: u32 = 5;
export const PREDEFINED_OFFSET_CODES: u32 = 29;
export const OFFSET_PROBABILITIES: usize = memory.data<i16>([
  1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1,
]);

// Section 3.1.1.3.2.1: the highest Accuracy_Log of tables that a block describes.
export const MAX_LENGTH_LOG: u32 = 9;
export const MAX_OFFSET_LOG: u32 = 8;
