// What the DEFLATE format fixes (RFC 1951), shared by the decoder and the encoder.

// §3.2.3: block types.
export const TYPE_STORED: u32 = 0;
export const TYPE_FIXED: u32 = 1;
export const TYPE_DYNAMIC: u32 = 2;

// §3.2.5 – §3.2.7: alphabets. The fixed codes have two symbols more than ever occur.
export const LITERAL_SYMBOLS: u32 = 286;
export const FIXED_LITERAL_SYMBOLS: u32 = 288;
export const DISTANCE_SYMBOLS: u32 = 30;
export const FIXED_DISTANCE_SYMBOLS: u32 = 32;
export const LENGTH_CODE_SYMBOLS: u32 = 19;
export const END_OF_BLOCK: u32 = 256;
export const FIRST_LENGTH_SYMBOL: u32 = 257;
export const LENGTH_SYMBOLS: u32 = 29;
export const MAX_MATCH: u32 = 258;
export const MAX_CODE_LENGTH: u32 = 15;
export const MAX_LENGTH_CODE_LENGTH: u32 = 7;

// §3.2.5: base values and extra bits of the length symbols 257..285, base values of the distance symbols 0..29.
export const LENGTH_BASE: usize = memory.data<u16>([
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
]);
export const LENGTH_EXTRA: usize = memory.data<u8>([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]);
export const DISTANCE_BASE: usize = memory.data<u16>([
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385,
  24577,
]);

// §3.2.7: the order in which the lengths of the code length code are sent, and its symbols above 15.
export const LENGTH_CODE_ORDER: usize = memory.data<u8>([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]);
export const COPY_PREVIOUS: u32 = 16;
export const REPEAT_ZERO_SHORT: u32 = 17;
export const REPEAT_ZERO_LONG: u32 = 18;

/** Number of extra bits of a distance symbol below 30. */
export function distanceExtra(symbol: u32): u32 {
  return symbol < 4 ? 0 : (symbol >> 1) - 1;
}

/** Writes the code lengths of the fixed literal/length code (§3.2.6); the fixed distance code has 5 bits throughout. */
export function setFixedLiteralLengths(lengths: usize): void {
  memory.fill(lengths, 8, 144);
  memory.fill(lengths + 144, 9, 112);
  memory.fill(lengths + 256, 7, 24);
  memory.fill(lengths + 280, 8, 8);
}

/** Codes are packed starting with their most significant bit (§3.1.1), the reverse of everything else. */
export function reverseBits(code: u32, length: u32): u32 {
  let value = ((code >> 1) & 0x5555) | ((code & 0x5555) << 1);
  value = ((value >> 2) & 0x3333) | ((value & 0x3333) << 2);
  value = ((value >> 4) & 0x0f0f) | ((value & 0x0f0f) << 4);
  value = ((value >> 8) & 0x00ff) | ((value & 0x00ff) << 8);
  return value >> (16 - length);
}
