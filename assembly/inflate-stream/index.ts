// Raw DEFLATE decoder (RFC 1951) that stops when its input or output is used up and goes on later.
//
// It stops between symbols. Bytes of a symbol or a block header that is not there in full are left in the input, at most
// some hundred; up to 7 bits of the last byte that was taken are kept. The output may come out up to 260 bytes longer than
// asked for, as symbols are not split; it lies behind its own history, which the caller keeps there.
// The memory contract of ../inflate-blocks.ts holds: slack of 16 bytes after the input, of 320 + 260 after the output.

import { TYPE_DYNAMIC, TYPE_FIXED, TYPE_STORED } from "../deflate-format";
import { alignInput, leftoverBits, leftoverCount, mark, moveInput, refill, rewind, startInput, takeBits, usedInput } from "../inflate-bits";
import {
  BLOCK_DONE,
  BLOCK_PAUSED,
  decodeSymbols,
  ERROR_INPUT,
  ERROR_STREAM,
  moveOutput,
  outputPlace,
  prepare,
  prepareFixedTables,
  readDynamicTables,
  restoreTables,
  saveTables,
  startOutput,
  TABLES_BYTES,
} from "../inflate-blocks";

export { crc32 } from "../crc32";

// What `inflateRun` returns, besides ERROR_STREAM.
const NEEDS_INPUT: i32 = 0;
const OUTPUT_FULL: i32 = 1;
const ENDED: i32 = 2;

const PHASE_HEADER: u32 = 0; // of a block
const PHASE_SYMBOLS: u32 = 1;
const PHASE_STORED: u32 = 2;
const PHASE_ENDED: u32 = 3;

// A round of decodeSymbols uses at most 9 bytes: it may start before this distance from the end of the input.
const ROUND_BYTES: usize = 16;

let phase: u32 = PHASE_HEADER;
let isFinal: u32 = 0;
let storedLeft: u32 = 0;
let heldBits: u32 = 0;
let heldCount: u32 = 0;

let inputStart: usize = 0;
let inputEnd: usize = 0;
let outputStart: usize = 0;
let outputEnd: usize = 0;

/** A new stream begins. */
export function inflateStart(): void {
  prepare();
  phase = PHASE_HEADER;
  isFinal = 0;
  storedLeft = 0;
  heldBits = 0;
  heldCount = 0;
}

/**
 * Goes on with `length` bytes of input, until at least `room` (> 0) bytes of output are made at `output`. Matches reach back to
 * `history`: the last 32 KiB that this stream gave, or all of it, lie right before `output`.
 * Returns NEEDS_INPUT, OUTPUT_FULL, ENDED, or ERROR_STREAM (after which the stream cannot go on).
 */
export function inflateRun(input: usize, length: i32, output: usize, room: i32, history: usize): i32 {
  inputStart = input;
  inputEnd = input + length;
  outputStart = output;
  outputEnd = output + room;
  startInput(input, inputEnd, heldBits, heldCount);
  startOutput(output, history);
  let status = BLOCK_DONE;
  while (status == BLOCK_DONE && phase != PHASE_ENDED) {
    if (outputPlace() >= outputEnd) {
      status = BLOCK_PAUSED;
    } else if (phase == PHASE_HEADER) {
      status = readHeader();
    } else {
      status = phase == PHASE_STORED ? copyStored() : runSymbols();
      if (status == BLOCK_DONE) phase = isFinal ? PHASE_ENDED : PHASE_HEADER;
    }
  }
  heldBits = leftoverBits();
  heldCount = leftoverCount();
  if (status == ERROR_STREAM) return ERROR_STREAM;
  if (status == ERROR_INPUT) return NEEDS_INPUT;
  return status == BLOCK_DONE ? ENDED : OUTPUT_FULL;
}

/** Input bytes that the last run took; after an error: up to where it was noticed. */
export function inflateTaken(): i32 {
  return (min(usedInput(), inputEnd) - inputStart) as i32;
}
/** Output bytes that the last run made. */
export function inflateGiven(): i32 {
  return (outputPlace() - outputStart) as i32;
}

/** Nothing of it counts unless all of it is there. */
function readHeader(): i32 {
  mark();
  const final = isFinal;
  const status = readWholeHeader();
  if (status != ERROR_INPUT && usedInput() <= inputEnd) return status;
  rewind();
  isFinal = final;
  phase = PHASE_HEADER;
  return ERROR_INPUT;
}

/** RFC 1951 §3.2.3. */
function readWholeHeader(): i32 {
  if (!refill()) return ERROR_INPUT;
  isFinal = takeBits(1);
  const blockType = takeBits(2);
  if (blockType == TYPE_STORED) {
    const input = alignInput();
    if (input + 4 > inputEnd) return ERROR_INPUT;
    moveInput(input + 4);
    storedLeft = load<u16>(input);
    phase = PHASE_STORED;
    return storedLeft == (load<u16>(input, 2) ^ 0xffff) ? BLOCK_DONE : ERROR_STREAM;
  }
  phase = PHASE_SYMBOLS;
  if (blockType == TYPE_DYNAMIC) return readDynamicTables();
  if (blockType != TYPE_FIXED) return ERROR_STREAM;
  prepareFixedTables();
  return BLOCK_DONE;
}

/** RFC 1951 §3.2.4. The input is at a whole byte. */
function copyStored(): i32 {
  const input = usedInput();
  const output = outputPlace();
  const length = min(storedLeft, min((inputEnd - input) as u32, (outputEnd - output) as u32));
  memory.copy(output, input, length);
  moveInput(input + length);
  moveOutput(output + length);
  storedLeft -= length;
  if (!storedLeft) return BLOCK_DONE;
  return output + length == outputEnd ? BLOCK_PAUSED : ERROR_INPUT;
}

function runSymbols(): i32 {
  // In one go as long as no round can reach beyond the input, then round by round, taking back the one that does.
  if (usedInput() + ROUND_BYTES < inputEnd) {
    const status = decodeSymbols(inputEnd - ROUND_BYTES, outputEnd - 1);
    if (status != BLOCK_PAUSED) return status;
  }
  while (outputPlace() < outputEnd) {
    mark();
    const output = outputPlace();
    const status = decodeSymbols(usedInput(), outputEnd - 1);
    if (usedInput() > inputEnd) {
      rewind();
      moveOutput(output);
      return ERROR_INPUT;
    }
    if (status != BLOCK_PAUSED) return status;
  }
  return BLOCK_PAUSED;
}

/** Bytes of a saved state. */
export function inflateStateBytes(): i32 {
  return (20 + TABLES_BYTES) as i32;
}
/** Everything but the history. */
export function inflateSave(to: usize): void {
  store<u32>(to, phase);
  store<u32>(to, isFinal, 4);
  store<u32>(to, storedLeft, 8);
  store<u32>(to, heldBits, 12);
  store<u32>(to, heldCount, 16);
  saveTables(to + 20);
}
export function inflateRestore(from: usize): void {
  prepare();
  phase = load<u32>(from);
  isFinal = load<u32>(from, 4);
  storedLeft = load<u32>(from, 8);
  heldBits = load<u32>(from, 12);
  heldCount = load<u32>(from, 16);
  if (phase == PHASE_SYMBOLS) restoreTables(from + 20);
}

/** First byte after the static data: what lies from here on is the caller's. */
export function heapBase(): usize {
  return __heap_base;
}
