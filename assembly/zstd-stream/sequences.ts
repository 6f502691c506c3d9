// The sequences section of a block (RFC 8878 section 3.1.1.3.2), carried out as it is read.

import { copyMatch, preparePatterns } from "../match-copy";
import {
  LITERALS_LENGTH_BASES,
  LITERALS_LENGTH_CODES,
  LITERALS_LENGTH_EXTRAS,
  LITERALS_LENGTH_LOG,
  LITERALS_LENGTH_PROBABILITIES,
  MATCH_LENGTH_BASES,
  MATCH_LENGTH_CODES,
  MATCH_LENGTH_EXTRAS,
  MATCH_LENGTH_LOG,
  MATCH_LENGTH_PROBABILITIES,
  MAX_LENGTH_LOG,
  MAX_OFFSET_LOG,
  OFFSET_LOG,
  OFFSET_PROBABILITIES,
  PREDEFINED_OFFSET_CODES,
} from "../zstd-codes";
import { accuracyLog, buildSingle, buildTable, PROBABILITIES, readProbabilities, symbolCount } from "./fse";
import {
  bitsOf,
  CODE_TABLE_BYTES,
  CODE_TABLES,
  ERROR_FSE_TABLE,
  ERROR_OFFSET,
  ERROR_SEQUENCES,
  ERROR_SEQUENCES_HEADER,
  ERROR_SIZE,
  LITERALS_LENGTHS_TABLE,
  MATCH_LENGTHS_TABLE,
  OFFSETS_TABLE,
  REPEAT_OFFSETS,
  STATE,
} from "./state";

// Compression modes.
const PREDEFINED: u32 = 0;
const RLE: u32 = 1;
const REPEAT: u32 = 3;

// The kinds of codes, in the order in which their tables come.
const LITERALS_LENGTHS: usize = 0;
const OFFSETS: usize = 1;
const MATCH_LENGTHS: usize = 2;

// Section 3.1.1.3.2.1.1: offset codes stand for 2^code and `code` extra bits.
const OFFSET_MAX: u32 = 31;
const OFFSET_BASES: usize = memory.data((OFFSET_MAX + 1) * 4, 16);
const OFFSET_EXTRAS: usize = memory.data(OFFSET_MAX + 1, 16);

const PREDEFINED_LITERALS_LENGTHS: usize = memory.data(8 << LITERALS_LENGTH_LOG, 16);
const PREDEFINED_MATCH_LENGTHS: usize = memory.data(8 << MATCH_LENGTH_LOG, 16);
const PREDEFINED_OFFSETS: usize = memory.data(8 << OFFSET_LOG, 16);

const LONG_COUNT: u32 = 0x7f00;
const VECTOR: usize = 16;

// The history: see `zstdHistory`.
let window: usize = 0;
let reach: usize = 0;
let segment: usize = 0;
let olderEnd: usize = 0;

/** Once per instance. */
export function prepareSequences(): void {
  preparePatterns();
  for (let code: u32 = 0; code <= OFFSET_MAX; code++) {
    store<u32>(OFFSET_BASES + (code << 2), 1 << code);
    store<u8>(OFFSET_EXTRAS + code, code);
  }
  predefine(PREDEFINED_LITERALS_LENGTHS, LITERALS_LENGTHS, LITERALS_LENGTH_LOG, LITERALS_LENGTH_PROBABILITIES, LITERALS_LENGTH_CODES);
  predefine(PREDEFINED_OFFSETS, OFFSETS, OFFSET_LOG, OFFSET_PROBABILITIES, PREDEFINED_OFFSET_CODES);
  predefine(PREDEFINED_MATCH_LENGTHS, MATCH_LENGTHS, MATCH_LENGTH_LOG, MATCH_LENGTH_PROBABILITIES, MATCH_LENGTH_CODES);
}

function predefine(table: usize, kind: usize, log: u32, probabilities: usize, count: u32): void {
  buildTable(table, log, probabilities, count, basesOf(kind), extrasOf(kind));
}

function basesOf(kind: usize): usize {
  return kind == LITERALS_LENGTHS ? LITERALS_LENGTH_BASES : kind == OFFSETS ? OFFSET_BASES : MATCH_LENGTH_BASES;
}
function extrasOf(kind: usize): usize {
  return kind == LITERALS_LENGTHS ? LITERALS_LENGTH_EXTRAS : kind == OFFSETS ? OFFSET_EXTRAS : MATCH_LENGTH_EXTRAS;
}

/**
 * What matches of the next block may reach: at most `windowSize` bytes back, of which `made` are there. They lie right before the
 * block from `start` on; those before them end at `older`, further on in the memory.
 */
export function zstdHistory(windowSize: usize, made: usize, start: usize, older: usize): void {
  window = windowSize;
  reach = made;
  segment = start;
  olderEnd = older;
}

/** Reads the section at `input` and makes the block from it and the literals: its size, at most `limit`, or an error. */
export function readSequences(input: usize, end: usize, literals: usize, literalsEnd: usize, output: usize, limit: u32): i32 {
  if (input >= end) return ERROR_SEQUENCES_HEADER;
  let count = load<u8>(input++) as u32;
  if (count == 255) {
    count = LONG_COUNT + load<u16>(input);
    input += 2;
  } else if (count >= 128) {
    count = ((count - 128) << 8) + load<u8>(input++);
  }
  if (!count) {
    if (input != end) return ERROR_SEQUENCES_HEADER;
    memory.copy(output, literals, literalsEnd - literals);
    return (literalsEnd - literals) as i32;
  }
  if (input >= end) return ERROR_SEQUENCES_HEADER;
  const modes = load<u8>(input++) as u32;
  if (modes & 3) return ERROR_SEQUENCES_HEADER;
  input = readTable(LITERALS_LENGTHS, modes >> 6, input, end);
  if (input) input = readTable(OFFSETS, (modes >> 4) & 3, input, end);
  if (input) input = readTable(MATCH_LENGTHS, (modes >> 2) & 3, input, end);
  if (!input) return ERROR_FSE_TABLE;
  return runSequences(count, input, end, literals, literalsEnd, output, limit);
}

/** Makes or chooses the table of one kind of code. Returns the place behind its description, or 0: it is damaged. */
function readTable(kind: usize, mode: u32, input: usize, end: usize): usize {
  const place = STATE + CODE_TABLES + kind * CODE_TABLE_BYTES;
  if (mode == REPEAT) return load<u32>(place) ? input : 0;
  if (mode == PREDEFINED) {
    setTable(
      place,
      kind == LITERALS_LENGTHS ? PREDEFINED_LITERALS_LENGTHS : kind == OFFSETS ? PREDEFINED_OFFSETS : PREDEFINED_MATCH_LENGTHS,
      kind == OFFSETS ? OFFSET_LOG : LITERALS_LENGTH_LOG,
    );
    return input;
  }
  const table = STATE + (kind == LITERALS_LENGTHS ? LITERALS_LENGTHS_TABLE : kind == OFFSETS ? OFFSETS_TABLE : MATCH_LENGTHS_TABLE);
  const maxSymbol = kind == LITERALS_LENGTHS ? LITERALS_LENGTH_CODES - 1 : kind == OFFSETS ? OFFSET_MAX : MATCH_LENGTH_CODES - 1;
  if (mode == RLE) {
    if (input >= end) return 0;
    const symbol = load<u8>(input) as u32;
    if (symbol > maxSymbol) return 0;
    buildSingle(table, load<u32>(basesOf(kind) + (symbol << 2)), load<u8>(extrasOf(kind) + symbol));
    setTable(place, table, 0);
    return input + 1;
  }
  const after = readProbabilities(input, end, maxSymbol, kind == OFFSETS ? MAX_OFFSET_LOG : MAX_LENGTH_LOG);
  if (!after) return 0;
  buildTable(table, accuracyLog, PROBABILITIES, symbolCount, basesOf(kind), extrasOf(kind));
  setTable(place, table, accuracyLog);
  return after;
}

function setTable(place: usize, table: usize, log: u32): void {
  store<u32>(place, table as u32);
  store<u32>(place, log, 4);
}

/** Section 4.1.1 and 3.1.1.4: the bits are read from the end of the stream; `left` of them are still to come. */
function runSequences(count: u32, stream: usize, end: usize, literals: usize, literalsEnd: usize, output: usize, limit: u32): i32 {
  const lengths: usize = load<u32>(STATE, CODE_TABLES);
  const offsets: usize = load<u32>(STATE, CODE_TABLES + CODE_TABLE_BYTES);
  const matches: usize = load<u32>(STATE, CODE_TABLES + 2 * CODE_TABLE_BYTES);
  const lengthLog = load<u32>(STATE, CODE_TABLES + 4) as i32;
  const offsetLog = load<u32>(STATE, CODE_TABLES + 4 + CODE_TABLE_BYTES) as i32;
  const matchLog = load<u32>(STATE, CODE_TABLES + 4 + 2 * CODE_TABLE_BYTES) as i32;
  let left = bitsOf(stream, end) - lengthLog - offsetLog - matchLog;
  if (left < 0) return ERROR_SEQUENCES;
  const states = (load<u64>(stream + (left >> 3)) >> ((left & 7) as u64)) as u32;
  let matchState = states & ((1 << matchLog) - 1);
  let offsetState = (states >> matchLog) & ((1 << offsetLog) - 1);
  let lengthState = (states >> (matchLog + offsetLog)) & ((1 << lengthLog) - 1);
  let repeat1 = load<u32>(STATE, REPEAT_OFFSETS);
  let repeat2 = load<u32>(STATE, REPEAT_OFFSETS + 4);
  let repeat3 = load<u32>(STATE, REPEAT_OFFSETS + 8);
  const furthest = window;
  const first = segment;
  const start = output;
  const before = reach;
  const outputEnd = output + limit;
  while (true) {
    const lengthEntry = load<u64>(lengths + (lengthState << 3));
    const offsetEntry = load<u64>(offsets + (offsetState << 3));
    const matchEntry = load<u64>(matches + (matchState << 3));
    // Values: the offset's extra bits, then the match length's, then the literals length's.
    const offsetExtra = (offsetEntry >> 56) as i32;
    left -= offsetExtra;
    const offsetValue =
      (offsetEntry as u32) +
      (((load<u64>(stream + (left >> 3)) >> ((left & 7) as u64)) as u32) & ((((1 as u64) << (offsetExtra as u64)) - 1) as u32));
    const lengthExtra = (lengthEntry >> 56) as i32;
    const matchExtra = (matchEntry >> 56) as i32;
    left -= lengthExtra + matchExtra;
    const extra = load<u64>(stream + (left >> 3)) >> ((left & 7) as u64);
    const literalsLength: usize = (lengthEntry as u32) + ((extra as u32) & ((1 << lengthExtra) - 1));
    const matchLength: usize = (matchEntry as u32) + (((extra >> (lengthExtra as u64)) as u32) & ((1 << matchExtra) - 1));
    if (left < 0) return ERROR_SEQUENCES;

    // Section 3.1.1.5.
    let offset: usize;
    if (offsetValue > 3) {
      offset = offsetValue - 3;
      repeat3 = repeat2;
      repeat2 = repeat1;
      repeat1 = offset as u32;
    } else {
      const choice = offsetValue - (literalsLength ? 1 : 0);
      if (choice == 0) {
        offset = repeat1;
      } else {
        offset = choice == 1 ? repeat2 : choice == 2 ? repeat3 : repeat1 - 1;
        if (!offset) return ERROR_OFFSET;
        if (choice > 1) repeat3 = repeat2;
        repeat2 = repeat1;
        repeat1 = offset as u32;
      }
    }

    if (literalsLength > literalsEnd - literals) return ERROR_SEQUENCES;
    if (literalsLength + matchLength > outputEnd - output) return ERROR_SIZE;
    v128.store(output, v128.load(literals));
    if (literalsLength > VECTOR) copyLong(output + VECTOR, literals + VECTOR, output + literalsLength);
    literals += literalsLength;
    output += literalsLength;
    if (offset > furthest || offset > before + (output - start)) return ERROR_OFFSET;
    const matchEnd = output + matchLength;
    if (offset <= output - first) {
      copyMatch(output, output - offset, matchEnd);
    } else {
      copyOlder(output, offset - (output - first), matchEnd);
    }
    output = matchEnd;

    if (!--count) break;
    // Next states: the literals length's bits, then the match length's, then the offset's.
    const lengthBits = ((lengthEntry >> 48) as i32) & 0xff;
    const matchBits = ((matchEntry >> 48) as i32) & 0xff;
    const offsetBits = ((offsetEntry >> 48) as i32) & 0xff;
    left -= lengthBits + matchBits + offsetBits;
    const bits = (load<u64>(stream + (left >> 3)) >> ((left & 7) as u64)) as u32;
    offsetState = (((offsetEntry >> 32) as u32) & 0xffff) + (bits & ((1 << offsetBits) - 1));
    matchState = (((matchEntry >> 32) as u32) & 0xffff) + ((bits >> offsetBits) & ((1 << matchBits) - 1));
    lengthState = (((lengthEntry >> 32) as u32) & 0xffff) + ((bits >> (offsetBits + matchBits)) & ((1 << lengthBits) - 1));
  }
  if (left) return ERROR_SEQUENCES;
  store<u32>(STATE, repeat1, REPEAT_OFFSETS);
  store<u32>(STATE, repeat2, REPEAT_OFFSETS + 4);
  store<u32>(STATE, repeat3, REPEAT_OFFSETS + 8);
  // What is left of the literals ends the block.
  const rest = literalsEnd - literals;
  if (rest > outputEnd - output) return ERROR_SIZE;
  memory.copy(output, literals, rest);
  return (output + rest - start) as i32;
}

/** Vectors from `from` to output..end; nothing overlaps. */
function copyLong(output: usize, from: usize, end: usize): void {
  do {
    v128.store(output, v128.load(from));
    from += VECTOR;
    output += VECTOR;
  } while (output < end);
}

/** A match that begins `back` bytes before the segment: in the older one, and it may go on into this one. */
function copyOlder(output: usize, back: usize, end: usize): void {
  const length = min(back, end - output);
  memory.copy(output, olderEnd - back, length);
  output += length;
  if (output < end) copyMatch(output, segment, end);
}
