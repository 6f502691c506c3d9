// Apple Data Compression, as in UDIF images: a sequence of three kinds of codes, without header or end mark.
//
//   1LLLLLLL                     L + 1 bytes follow as they are
//   00LLLLDD DDDDDDDD            L + 3 bytes from D + 1 bytes back
//   01LLLLLL DDDDDDDD DDDDDDDD   L + 4 bytes from D + 1 bytes back
//
// Up to 32 bytes after the output may be written with scratch bytes; nothing outside the input is read.

import { copyMatch, preparePatterns } from "../match-copy";

const ERROR_STREAM: i32 = -1; // a match from before the beginning
const ERROR_OUTPUT: i32 = -2; // a code gives more than there is room for
const ERROR_INPUT: i32 = -3; // the input ends before the output is full

let patternsReady: bool = false;
let inputAt: usize = 0;

/** Decodes exactly `room` bytes; what follows in the input is left alone. Returns `room` or an error. */
export function adc(from: usize, length: i32, to: usize, room: i32): i32 {
  if (!patternsReady) preparePatterns();
  patternsReady = true;
  const end = from + length;
  const outputEnd = to + room;
  let output = to;
  inputAt = from;
  while (output < outputEnd) {
    const left = end - inputAt;
    if (!left) return ERROR_INPUT;
    const code = load<u8>(inputAt) as usize;
    if (code & 0x80) {
      const count = (code & 0x7f) + 1;
      if (left < 1 + count) return ERROR_INPUT;
      if (count > outputEnd - output) return ERROR_OUTPUT;
      memory.copy(output, inputAt + 1, count);
      inputAt += 1 + count;
      output += count;
      continue;
    }
    const size: usize = code & 0x40 ? 3 : 2;
    if (left < size) return ERROR_INPUT;
    let count: usize;
    let distance: usize;
    if (size == 3) {
      count = (code & 0x3f) + 4;
      distance = (((load<u8>(inputAt, 1) as usize) << 8) | (load<u8>(inputAt, 2) as usize)) + 1;
    } else {
      count = (code >> 2) + 3;
      distance = (((code & 3) << 8) | (load<u8>(inputAt, 1) as usize)) + 1;
    }
    if (distance > output - to) return ERROR_STREAM;
    if (count > outputEnd - output) return ERROR_OUTPUT;
    copyMatch(output, output - distance, output + count);
    inputAt += size;
    output += count;
  }
  return room;
}

/** Place of the code that the last call stopped at. */
export function adcPlace(): usize {
  return inputAt;
}

/** First byte after the static data: what lies from here on is the caller's. */
export function heapBase(): usize {
  return __heap_base;
}
