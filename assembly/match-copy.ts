// Matches of LZ77: bytes that were made before, copied behind the last one made.

// For distances below 16: PATTERN_INDEX row d holds i mod d, which repeats the last d bytes over a vector;
// PATTERN_STEP holds the largest multiple of d up to 16.
const PATTERN_INDEX: usize = memory.data(16 * 16, 16);
const PATTERN_STEP: usize = memory.data<u8>([0, 16, 16, 15, 16, 15, 12, 14, 16, 9, 10, 11, 12, 13, 14, 15]);

/** Fills PATTERN_INDEX; once per instance. */
export function preparePatterns(): void {
  for (let distance: u32 = 1; distance < 16; distance++) {
    for (let i: u32 = 0; i < 16; i++) store<u8>(PATTERN_INDEX + (distance << 4) + i, i % distance);
  }
}

/** Copies from `from` to output..end and perhaps 31 bytes further; `from` lies before `output`, the two may overlap. */
export function copyMatch(output: usize, from: usize, end: usize): void {
  copyBack(output, output - from, end - output);
}

/** The same, for those who know the distance and the length. */
export function copyBack(output: usize, distance: usize, length: usize): void {
  let from = output - distance;
  if (distance >= 16) {
    v128.store(output, v128.load(from));
    v128.store(output, v128.load(from, 16), 16);
    if (length > 32) {
      const end = output + length;
      do {
        output += 32;
        from += 32;
        v128.store(output, v128.load(from));
        v128.store(output, v128.load(from, 16), 16);
      } while (output + 32 < end);
    }
  } else {
    // The match overlaps itself: repeat its period over one vector and store that in whole periods.
    const period = v128.swizzle(v128.load(from), v128.load(PATTERN_INDEX + (distance << 4)));
    const step = load<u8>(PATTERN_STEP + distance) as usize;
    const end = output + length;
    do {
      v128.store(output, period);
      output += step;
    } while (output < end);
  }
}
