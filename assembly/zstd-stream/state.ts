// What a frame carries from block to block, except for the history: saved and restored as bytes (RFC 8878 section numbers).

/** Section 3.1.1.5: the three repeat offsets. */
export const REPEAT_OFFSETS: usize = 0;
/** Accuracy of the Huffman table; 0: there is none to be used again. */
export const HUFFMAN_BITS: usize = 12;
/** For each kind of code (literals lengths, offsets, match lengths): place of its table, 0: none; its Accuracy_Log. */
export const CODE_TABLES: usize = 16;
export const CODE_TABLE_BYTES: usize = 8;
export const HASH: usize = 40;
export const XXH64_STATE_BYTES: usize = 80;
/** Entries of 16 bits, 2^11 of them. */
export const HUFFMAN_TABLE: usize = 128;
/** Entries of 64 bits: 2^9 for literals lengths, 2^8 for offsets, 2^9 for match lengths. */
export const LITERALS_LENGTHS_TABLE: usize = HUFFMAN_TABLE + (2 << 11);
export const OFFSETS_TABLE: usize = LITERALS_LENGTHS_TABLE + (8 << 9);
export const MATCH_LENGTHS_TABLE: usize = OFFSETS_TABLE + (8 << 8);
export const STATE_BYTES: usize = MATCH_LENGTHS_TABLE + (8 << 9);

export const STATE: usize = memory.data(STATE_BYTES as i32, 16);

// What `zstdBlock` returns when the block is damaged: the part that is.
export const ERROR_LITERALS_HEADER: i32 = -1;
export const ERROR_HUFFMAN_TREE: i32 = -2;
export const ERROR_HUFFMAN_STREAM: i32 = -3;
export const ERROR_SEQUENCES_HEADER: i32 = -4;
export const ERROR_FSE_TABLE: i32 = -5;
export const ERROR_SEQUENCES: i32 = -6;
export const ERROR_OFFSET: i32 = -7;
export const ERROR_SIZE: i32 = -8;

/** A new frame begins: nothing is left of the one before. */
export function startFrame(): void {
  memory.fill(STATE, 0, HUFFMAN_TABLE);
  store<u32>(STATE, 1, REPEAT_OFFSETS);
  store<u32>(STATE, 4, REPEAT_OFFSETS + 4);
  store<u32>(STATE, 8, REPEAT_OFFSETS + 8);
}

/** Bits of a stream that is read backwards (section 4.1.1 and others): up to the highest 1 of its last byte; negative: none is set. */
export function bitsOf(stream: usize, end: usize): i32 {
  if (stream >= end) return -1;
  const last = load<u8>(end - 1) as u32;
  return last ? (((end - stream) << 3) as i32) - (clz<u32>(last) as i32) + 23 : -1;
}
