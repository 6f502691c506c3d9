// Decoder of LZ4 blocks ("LZ4 Block Format Description") that stops at any byte of its input or output and goes on later.
//
// Up to 48 bytes after the input may be read, their values never matter; up to 32 bytes after the output may be written with
// scratch bytes. Everything that makes up the state, but for the history, lies in STATE: it is saved and restored as bytes.

import { copyMatch, preparePatterns } from "../match-copy";
import { XXH32_STATE_BYTES } from "./xxh32";

export { xxh32Final, xxh32Start, xxh32Update } from "./xxh32";

// What `lz4Run` returns.
const ERROR_BLOCK: i32 = -1;
const NEEDS_INPUT: i32 = 0;
const OUTPUT_FULL: i32 = 1;
const BLOCK_ENDED: i32 = 2;

// The parts of a sequence.
const TOKEN: u32 = 0;
const LITERAL_LENGTH: u32 = 1;
const LITERALS: u32 = 2;
const OFFSET: u32 = 3;
const MATCH_LENGTH: u32 = 4;
const MATCH: u32 = 5;

const MIN_MATCH: u32 = 4;
const LONG: u32 = 15; // a length of the token that goes on in further bytes
const FAST_INPUT: usize = 48; // before this distance from its end a sequence may be read without care
const FAST_OUTPUT: usize = 32;

const PHASE: usize = 0;
const LITERALS_LEFT: usize = 4;
const MATCH_LEFT: usize = 8;
const DISTANCE: usize = 12;
const PACKED_LEFT: usize = 16; // bytes of the block that were not taken yet
const ROOM_LEFT: usize = 20; // bytes that the block may still give
const HASHES: usize = 32; // two states of XXH32: the block's, the content's
const STATE_BYTES: usize = HASHES + 2 * XXH32_STATE_BYTES;
const STATE: usize = memory.data(STATE_BYTES, 16);

let patternsReady: bool = false;
let inputAt: usize = 0;
let inputEnd: usize = 0;
let outputAt: usize = 0;
let outputEnd: usize = 0;
let firstOutput: usize = 0;
let inputStart: usize = 0;
let outputStart: usize = 0;

export function lz4State(): usize {
  return STATE;
}
export function lz4StateBytes(): i32 {
  return STATE_BYTES as i32;
}
/** State of XXH32 number 0 or 1, for the xxh32 functions. */
export function lz4Hash(number: i32): usize {
  return STATE + HASHES + (number as usize) * XXH32_STATE_BYTES;
}

/** A block of `packed` bytes begins, which may give at most `room`; `stored`: its bytes are not compressed. */
export function lz4Block(packed: u32, room: u32, stored: bool): void {
  if (!patternsReady) preparePatterns();
  patternsReady = true;
  store<u32>(STATE, stored ? LITERALS : TOKEN, PHASE);
  store<u32>(STATE, stored ? packed : 0, LITERALS_LEFT);
  store<u32>(STATE, packed, PACKED_LEFT);
  store<u32>(STATE, room, ROOM_LEFT);
}

/**
 * Goes on with the block: takes at most `length` bytes, gives at most `room` (> 0) at `output`. Matches reach back to
 * `history`; what lies there up to `output` is what was given before. Returns NEEDS_INPUT, OUTPUT_FULL, BLOCK_ENDED, ERROR_BLOCK.
 */
export function lz4Run(input: usize, length: u32, output: usize, room: u32, history: usize): i32 {
  const packedLeft = load<u32>(STATE, PACKED_LEFT);
  const roomLeft = load<u32>(STATE, ROOM_LEFT);
  inputStart = inputAt = input;
  inputEnd = input + min(length, packedLeft);
  outputStart = outputAt = output;
  outputEnd = output + min(room, roomLeft);
  firstOutput = history;
  const status = run(length >= packedLeft, room > roomLeft);
  store<u32>(STATE, packedLeft - ((inputAt - inputStart) as u32), PACKED_LEFT);
  store<u32>(STATE, roomLeft - ((outputAt - outputStart) as u32), ROOM_LEFT);
  return status;
}

export function lz4Taken(): i32 {
  return (inputAt - inputStart) as i32;
}
export function lz4Given(): i32 {
  return (outputAt - outputStart) as i32;
}

/** `whole`: the block ends where the input does; `bounded`: it may not give more than the output has room for. */
function run(whole: bool, bounded: bool): i32 {
  const starved = whole ? ERROR_BLOCK : NEEDS_INPUT;
  const full = bounded ? ERROR_BLOCK : OUTPUT_FULL;
  while (true) {
    const phase = load<u32>(STATE, PHASE);
    if (phase == TOKEN) {
      runSequences();
      if (inputAt == inputEnd) return starved;
      const token = load<u8>(inputAt++) as u32;
      store<u32>(STATE, token >> 4, LITERALS_LEFT);
      store<u32>(STATE, token & 15, MATCH_LEFT);
      store<u32>(STATE, token >> 4 == LONG ? LITERAL_LENGTH : LITERALS, PHASE);
    } else if (phase == LITERAL_LENGTH) {
      if (!lengthen(LITERALS_LEFT)) return starved;
      store<u32>(STATE, LITERALS, PHASE);
    } else if (phase == LITERALS) {
      const left = load<u32>(STATE, LITERALS_LEFT);
      const length = min(left, min((inputEnd - inputAt) as u32, (outputEnd - outputAt) as u32));
      memory.copy(outputAt, inputAt, length);
      inputAt += length;
      outputAt += length;
      store<u32>(STATE, left - length, LITERALS_LEFT);
      // The last sequence has no match.
      if (whole && left == length && inputAt == inputEnd) return BLOCK_ENDED;
      if (left > length) return outputAt == outputEnd ? full : starved;
      store<u32>(STATE, OFFSET, PHASE);
    } else if (phase == OFFSET) {
      if (inputAt + 2 > inputEnd) return starved;
      const distance = load<u16>(inputAt) as u32;
      if (!distance) return ERROR_BLOCK;
      inputAt += 2;
      store<u32>(STATE, distance, DISTANCE);
      if (load<u32>(STATE, MATCH_LEFT) == LONG) {
        store<u32>(STATE, MATCH_LENGTH, PHASE);
      } else {
        store<u32>(STATE, load<u32>(STATE, MATCH_LEFT) + MIN_MATCH, MATCH_LEFT);
        store<u32>(STATE, MATCH, PHASE);
      }
    } else if (phase == MATCH_LENGTH) {
      if (!lengthen(MATCH_LEFT)) return starved;
      store<u32>(STATE, load<u32>(STATE, MATCH_LEFT) + MIN_MATCH, MATCH_LEFT);
      store<u32>(STATE, MATCH, PHASE);
    } else {
      const left = load<u32>(STATE, MATCH_LEFT);
      const distance = load<u32>(STATE, DISTANCE) as usize;
      if (distance > outputAt - firstOutput) return ERROR_BLOCK;
      const length = min(left, (outputEnd - outputAt) as u32);
      if (length) copyMatch(outputAt, outputAt - distance, outputAt + length);
      outputAt += length;
      store<u32>(STATE, left - length, MATCH_LEFT);
      if (left > length) return full;
      store<u32>(STATE, TOKEN, PHASE);
    }
  }
}

/** Adds the further bytes of a length: all of them but the last are 255. False when more are needed. */
function lengthen(field: usize): bool {
  let length = load<u32>(STATE + field);
  let ended = false;
  while (!ended && inputAt < inputEnd) {
    const byte = load<u8>(inputAt++) as u32;
    length += byte;
    ended = byte < 255;
  }
  store<u32>(STATE + field, length);
  return ended;
}

/** Whole sequences, as long as input and output have room to spare. The one that has not is left as it is. */
function runSequences(): void {
  if (inputEnd - inputAt < FAST_INPUT) return;
  const lastInput = inputEnd - FAST_INPUT;
  const lastOutput = outputEnd;
  const first = firstOutput;
  let input = inputAt;
  let output = outputAt;
  while (input <= lastInput && output + FAST_OUTPUT <= lastOutput) {
    const token = load<u8>(input) as usize;
    let at = input + 1;
    let literals = token >> 4;
    if (literals == LONG) {
      let byte: usize = 255;
      while (byte == 255 && at <= lastInput) {
        byte = load<u8>(at++);
        literals += byte;
      }
      if (byte == 255 || literals > lastInput - at + 1 || literals > lastOutput - output) break;
      memory.copy(output, at, literals);
    } else {
      v128.store(output, v128.load(at));
    }
    at += literals;
    const to = output + literals;
    const distance = load<u16>(at) as usize;
    at += 2;
    let length = token & 15;
    if (length == LONG) {
      let byte: usize = 255;
      while (byte == 255 && at <= lastInput) {
        byte = load<u8>(at++);
        length += byte;
      }
      if (byte == 255) break;
    }
    length += MIN_MATCH;
    if (distance == 0 || distance > to - first || length > lastOutput - to) break;
    copyMatch(to, to - distance, to + length);
    input = at;
    output = to + length;
  }
  inputAt = input;
  outputAt = output;
}

/** First byte after the static data: what lies from here on is the caller's. */
export function heapBase(): usize {
  return __heap_base;
}
