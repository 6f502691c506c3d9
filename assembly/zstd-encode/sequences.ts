// The sequences section of a block (RFC 8878 section 3.1.1.3.2).

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
import { increment } from "./counts";
import {
  chooseLog,
  costOf,
  firstState,
  MAX_SYMBOLS,
  makeSingle,
  makeTable,
  normalize,
  STATES,
  STEPS,
  TABLE_BYTES,
  writeProbabilities,
} from "./fse";
import { SEQUENCE_BYTES, SEQUENCES, sequencesEnd } from "./matches";

// Compression modes.
const PREDEFINED: u32 = 0;
const RLE: u32 = 1;
const COMPRESSED: u32 = 2;

// Codes of the lengths below these (u8); above them there is one for each power of two.
const RUN_LIMIT: u32 = 64;
const MATCH_LIMIT: u32 = 131;
const MATCH_MIN: u32 = 3;
const RUN_CODES: usize = memory.data(RUN_LIMIT, 16);
const MATCH_CODES: usize = memory.data(MATCH_LIMIT, 16);

const RUN_COUNTS: usize = memory.data(MAX_SYMBOLS * 4, 16);
const OFFSET_COUNTS: usize = memory.data(MAX_SYMBOLS * 4, 16);
const MATCH_COUNTS: usize = memory.data(MAX_SYMBOLS * 4, 16);
const RUN_TABLE: usize = memory.data(TABLE_BYTES, 16);
const OFFSET_TABLE: usize = memory.data(TABLE_BYTES, 16);
const MATCH_TABLE: usize = memory.data(TABLE_BYTES, 16);
const PROBABILITIES: usize = memory.data(MAX_SYMBOLS * 2, 16);
const DESCRIPTION: usize = memory.data(MAX_SYMBOLS * 2, 16);

// What `chooseTable` decided.
let mode: u32 = 0;
let accuracyLog: u32 = 0;

/** Once per instance. */
export function prepareSequences(): void {
  fillCodes(RUN_CODES, 0, RUN_LIMIT, LITERALS_LENGTH_BASES);
  fillCodes(MATCH_CODES, MATCH_MIN, MATCH_LIMIT, MATCH_LENGTH_BASES);
}

function fillCodes(codes: usize, from: u32, end: u32, bases: usize): void {
  let code: u32 = 0;
  for (let length = from; length < end; length++) {
    if (load<u32>(bases + ((code + 1) << 2)) <= length) code++;
    store<u8>(codes + length, code);
  }
}

/** Writes the section; returns the place behind it, or 0 once it is found to go on behind `limit`, by up to 512 bytes. */
export function writeSequences(output: usize, limit: usize): usize {
  const count = ((sequencesEnd - SEQUENCES) / SEQUENCE_BYTES) as u32;
  if (count < 128) {
    store<u8>(output++, count);
    if (!count) return output;
  } else {
    // A block has at most 2^14, so this form is enough.
    store<u8>(output, (count >> 8) + 128);
    store<u8>(output, count, 1);
    output += 2;
  }
  makeCodes();
  const modes = output++;
  output = chooseTable(
    output,
    count,
    RUN_TABLE,
    RUN_COUNTS,
    MAX_LENGTH_LOG,
    LITERALS_LENGTH_PROBABILITIES,
    LITERALS_LENGTH_CODES,
    LITERALS_LENGTH_LOG,
  );
  const runMode = mode;
  const runLog = accuracyLog;
  output = chooseTable(
    output,
    count,
    OFFSET_TABLE,
    OFFSET_COUNTS,
    MAX_OFFSET_LOG,
    OFFSET_PROBABILITIES,
    PREDEFINED_OFFSET_CODES,
    OFFSET_LOG,
  );
  const offsetMode = mode;
  const offsetLog = accuracyLog;
  output = chooseTable(
    output,
    count,
    MATCH_TABLE,
    MATCH_COUNTS,
    MAX_LENGTH_LOG,
    MATCH_LENGTH_PROBABILITIES,
    MATCH_LENGTH_CODES,
    MATCH_LENGTH_LOG,
  );
  store<u8>(modes, (runMode << 6) | (offsetMode << 4) | (mode << 2));
  return writeBits(output, limit, runLog, offsetLog, accuracyLog);
}

/**
 * Counts the codes and puts them in place of the sequences, with their extra bits in the order in which they are written: these
 * bits (u64), how many they are, and the codes of the literals length, the match length and the offset (u8 each).
 */
function makeCodes(): void {
  memory.fill(RUN_COUNTS, 0, MAX_SYMBOLS * 4);
  memory.fill(OFFSET_COUNTS, 0, MAX_SYMBOLS * 4);
  memory.fill(MATCH_COUNTS, 0, MAX_SYMBOLS * 4);
  const end = sequencesEnd;
  for (let sequence = SEQUENCES; sequence < end; sequence += SEQUENCE_BYTES) {
    const run = load<u32>(sequence);
    const match = load<u32>(sequence, 4);
    const offset = load<u32>(sequence, 8);
    const runCode: u32 = run < RUN_LIMIT ? load<u8>(run, RUN_CODES) : 50 - clz(run);
    const matchCode: u32 = match < MATCH_LIMIT ? load<u8>(match, MATCH_CODES) : 67 - clz(match - MATCH_MIN);
    const offsetCode = 31 - clz(offset);
    increment(RUN_COUNTS, runCode);
    increment(MATCH_COUNTS, matchCode);
    increment(OFFSET_COUNTS, offsetCode);
    const runBits = load<u8>(runCode, LITERALS_LENGTH_EXTRAS) as u32;
    const lengthBits = runBits + load<u8>(matchCode, MATCH_LENGTH_EXTRAS);
    const runExtra = run - load<u32>(runCode << 2, LITERALS_LENGTH_BASES);
    const matchExtra = match - load<u32>(matchCode << 2, MATCH_LENGTH_BASES);
    const offsetExtra = offset - (1 << offsetCode);
    const extra = (runExtra as u64) | ((matchExtra as u64) << (runBits as u64)) | ((offsetExtra as u64) << (lengthBits as u64));
    store<u64>(sequence, extra);
    store<u32>(sequence, (lengthBits + offsetCode) | (runCode << 8) | (matchCode << 16) | (offsetCode << 24), 8);
  }
}

/** Takes the smallest of the modes for one kind of code, makes its table and writes what describes it; returns the place behind that. */
function chooseTable(
  output: usize,
  total: u32,
  table: usize,
  counts: usize,
  maxLog: u32,
  predefined: usize,
  predefinedCodes: u32,
  predefinedLog: u32,
): usize {
  let symbols = predefinedCodes;
  while (!load<u32>(counts + ((symbols - 1) << 2))) symbols--;
  const cost = costOf(counts, symbols, predefinedLog, predefined);
  if (load<u32>(counts + ((symbols - 1) << 2)) == total) {
    if (cost > 8) {
      mode = RLE;
      accuracyLog = 0;
      makeSingle(table, symbols - 1);
      store<u8>(output, symbols - 1);
      return output + 1;
    }
  } else {
    const log = chooseLog(total, symbols, maxLog);
    normalize(counts, symbols, total, log, PROBABILITIES);
    const size = (writeProbabilities(DESCRIPTION, PROBABILITIES, log) - DESCRIPTION) as u32;
    if (costOf(counts, symbols, log, PROBABILITIES) + (size << 3) < cost) {
      mode = COMPRESSED;
      accuracyLog = log;
      makeTable(table, PROBABILITIES, symbols, log);
      memory.copy(output, DESCRIPTION, size);
      return output + size;
    }
  }
  mode = PREDEFINED;
  accuracyLog = predefinedLog;
  makeTable(table, predefined, predefinedCodes, predefinedLog);
  return output;
}

/** The bits are read backwards, so the last sequence comes first, and of each the states that follow from it. */
function writeBits(output: usize, limit: usize, runLog: u32, offsetLog: u32, matchLog: u32): usize {
  let sequence = sequencesEnd - SEQUENCE_BYTES;
  let codes = load<u32>(sequence, 8);
  let runState = firstState(RUN_TABLE, (codes >> 8) & 0xff);
  let matchState = firstState(MATCH_TABLE, (codes >> 16) & 0xff);
  let offsetState = firstState(OFFSET_TABLE, codes >> 24);
  // States take up to 26 bits, and there are up to 53 extra bits: both fit behind the seven that a store may leave.
  let bits = load<u64>(sequence);
  let held = (codes & 0xff) as u64;
  while (sequence > SEQUENCES) {
    store<u64>(output, bits);
    output += (held >> 3) as usize;
    bits >>= held & 56;
    held &= 7;
    if (output > limit) return 0;
    sequence -= SEQUENCE_BYTES;
    codes = load<u32>(sequence, 8);
    const runStep = ((codes >> 8) & 0xff) << 3;
    const matchStep = ((codes >> 16) & 0xff) << 3;
    const offsetStep = (codes >> 24) << 3;
    const runBits = (runState + load<u32>(runStep, RUN_TABLE)) >> 16;
    const matchBits = (matchState + load<u32>(matchStep, MATCH_TABLE)) >> 16;
    const offsetBits = (offsetState + load<u32>(offsetStep, OFFSET_TABLE)) >> 16;
    bits |= ((offsetState & ((1 << offsetBits) - 1)) as u64) << held;
    held += offsetBits as u64;
    bits |= ((matchState & ((1 << matchBits) - 1)) as u64) << held;
    held += matchBits as u64;
    bits |= ((runState & ((1 << runBits) - 1)) as u64) << held;
    held += runBits as u64;
    runState = load<u16>(((runState >> runBits) << 1) + load<u32>(runStep, RUN_TABLE + STEPS), RUN_TABLE + STATES);
    matchState = load<u16>(((matchState >> matchBits) << 1) + load<u32>(matchStep, MATCH_TABLE + STEPS), MATCH_TABLE + STATES);
    offsetState = load<u16>(((offsetState >> offsetBits) << 1) + load<u32>(offsetStep, OFFSET_TABLE + STEPS), OFFSET_TABLE + STATES);
    store<u64>(output, bits);
    output += (held >> 3) as usize;
    bits >>= held & 56;
    held &= 7;
    bits |= load<u64>(sequence) << held;
    held += (codes & 0xff) as u64;
  }
  store<u64>(output, bits);
  output += (held >> 3) as usize;
  bits >>= held & 56;
  held &= 7;
  // The states to begin with, and the 1 that ends it.
  bits |= ((matchState & ((1 << matchLog) - 1)) as u64) << held;
  held += matchLog as u64;
  bits |= ((offsetState & ((1 << offsetLog) - 1)) as u64) << held;
  held += offsetLog as u64;
  bits |= ((runState & ((1 << runLog) - 1)) as u64) << held;
  held += runLog as u64;
  bits |= (1 as u64) << held;
  store<u64>(output, bits);
  output += ((held >> 3) + 1) as usize;
  return output > limit ? 0 : output;
}
