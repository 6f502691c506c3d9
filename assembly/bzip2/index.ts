// bzip2 files, piece by piece (src/kernels/streams/bzip2.ts). The caller's memory: `input`, and INPUT_SLACK bytes behind it;
// `column`, 900 000 bytes; `chain`, 3 600 000 bytes. All other state lies in one place, `bzip2State()`, to be copied away and back
// together with the column (`bzip2ColumnBytes()` of it are in use) and the input.

import { blockWasGiven, columnBytes, endBlock, GIVING, isBetweenStreams, readParts, rebuildTables } from "./parts";
import { give, linkAgain } from "./sorting";
import { BIT, BLOCK_START, GIVEN_CRC, INPUT_END, input, LEFT, PART, STATE, STATE_BYTES, STATED_CRC, STREAM_CRC, setPlaces } from "./state";

const OUTPUT_FULL: i32 = 1;
let given: u32 = 0;

export function bzip2Places(inputPlace: usize, columnPlace: usize, chainPlace: usize): void {
  setPlaces(inputPlace, columnPlace, chainPlace);
}
export function bzip2Start(): void {
  memory.fill(STATE, 0, STATE_BYTES);
}

/** Moves the input that is left to the beginning of its place; how many bytes are behind it. */
export function bzip2Compact(): u32 {
  const bit = load<u32>(STATE, BIT);
  const from = bit >>> 3;
  const end = load<u32>(STATE, INPUT_END);
  if (from > 0 && from <= end) {
    memory.copy(input, input + from, end - from);
    store<u32>(STATE, bit & 7, BIT);
    store<u32>(STATE, end - from, INPUT_END);
    store<u32>(STATE, load<u32>(STATE, BLOCK_START) - from, BLOCK_START);
    return from;
  }
  return 0;
}
export function bzip2InputEnd(): u32 {
  return load<u32>(STATE, INPUT_END);
}
/** `length` bytes were put behind the input. */
export function bzip2Append(length: u32): void {
  store<u32>(STATE, load<u32>(STATE, INPUT_END) + length, INPUT_END);
}

/** Gives up to `room` bytes; the status, see `parts.ts`, or OUTPUT_FULL. `last`: no input follows. */
export function bzip2Run(output: usize, room: u32, last: bool): i32 {
  given = 0;
  while (true) {
    if (load<u32>(STATE, PART) != GIVING) {
      const status = readParts(last);
      if (load<u32>(STATE, PART) != GIVING) return status;
    }
    given += give(output + given, room - given);
    if (!blockWasGiven()) return OUTPUT_FULL;
    const status = endBlock();
    if (status < 0) return status;
  }
}
export function bzip2Given(): u32 {
  return given;
}

/** Nothing is left, and a stream has ended. */
export function bzip2IsBetween(): bool {
  return isBetweenStreams();
}

/** In the input: of the next bit, and of the block's header (before the input: negative). */
export function bzip2At(): u32 {
  return load<u32>(STATE, BIT) >>> 3;
}
export function bzip2BlockStart(): i32 {
  return load<i32>(STATE, BLOCK_START);
}
/** After a checksum was found wrong. */
export function bzip2StatedCrc(): u32 {
  return load<u32>(STATE, STATED_CRC);
}
export function bzip2BlockCrc(): u32 {
  return load<u32>(STATE, GIVEN_CRC);
}
export function bzip2StreamCrc(): u32 {
  return load<u32>(STATE, STREAM_CRC);
}

export function bzip2State(): usize {
  return STATE;
}
export function bzip2StateBytes(): usize {
  return STATE_BYTES;
}
export function bzip2ColumnBytes(): u32 {
  return columnBytes();
}
/** After the state and the column were put back. */
export function bzip2Restored(): void {
  rebuildTables();
  if (load<u32>(STATE, PART) == GIVING && load<u32>(STATE, LEFT) > 0) linkAgain();
}

/** First byte after the static data: what lies from here on is the caller's. */
export function heapBase(): usize {
  return __heap_base;
}
