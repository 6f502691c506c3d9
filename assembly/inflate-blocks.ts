// What makes up a DEFLATE stream (RFC 1951): its bits, the tables of a block, its symbols. Shared by the decoder of whole
// streams (inflate.ts) and the one that can stop and go on (inflate-stream/).
//
// Up to INPUT_SLACK (16) bytes after the input may be read, their values never matter; up to OUTPUT_SLACK (320) bytes after
// the output may be written with scratch bytes. The slack lets the hot loop load and store whole words without a separate
// loop for the ends. The true ends are checked by counting the bits that were really used.

import {
  COPY_PREVIOUS,
  DISTANCE_SYMBOLS,
  END_OF_BLOCK,
  FIXED_DISTANCE_SYMBOLS,
  FIXED_LITERAL_SYMBOLS,
  LENGTH_BASE,
  LENGTH_CODE_ORDER,
  LENGTH_CODE_SYMBOLS,
  LENGTH_EXTRA,
  LITERAL_SYMBOLS,
  REPEAT_ZERO_SHORT,
  setFixedLiteralLengths,
} from "./deflate-format";
import { bitBuffer, bitCount, inputAt, refill, storeBits, takeBits, usedInput } from "./inflate-bits";
import {
  buildDistanceTable,
  buildLengthCodeTable,
  buildLiteralTable,
  DISTANCE_BASE_SHIFT,
  DISTANCE_CODE_SHIFT,
  DISTANCE_ROOT_BITS,
  DISTANCE_SUB_BITS,
  DISTANCE_TABLE,
  KIND_END,
  KIND_LENGTH,
  KIND_SHIFT,
  KIND_SUBTABLE,
  LENGTH_CODE_BITS,
  LENGTH_CODE_TABLE,
  LENGTH_SHIFT,
  LITERAL_ROOT_BITS,
  LITERAL_SHIFT,
  LITERAL_SUB_BITS,
  LITERAL_TABLE,
  PAYLOAD_SHIFT,
  prepareTemplates,
  subtableOf,
} from "./inflate-tables";
import { copyBack, preparePatterns } from "./match-copy";

const FIRST_FAR_SYMBOL: u32 = 24; // of the distance symbols: 4097 and farther (RFC 1951 §3.2.5)

export const ERROR_STREAM: i32 = -1; // not a valid DEFLATE stream
export const ERROR_INPUT: i32 = -3; // the stream needs bits beyond the end of the input
export const BLOCK_DONE: i32 = 0;
export const BLOCK_PAUSED: i32 = 1; // decodeSymbols came to one of its limits

// A run of code lengths is stored in whole vectors, hence the spare bytes.
const CODE_LENGTHS: usize = memory.data(LITERAL_SYMBOLS + DISTANCE_SYMBOLS + 16, 16);

let constantsReady: bool = false;

let outputAt: usize = 0;
let firstOutput: usize = 0;
let tablesAreFixed: bool = false;
// How many of CODE_LENGTHS belong to the tables of a dynamic block.
let literalCount: u32 = 0;
let distanceCount: u32 = 0;

/** Once before everything else. */
export function prepare(): void {
  if (constantsReady) return;
  prepareTemplates();
  preparePatterns();
  constantsReady = true;
}

/** The output goes on at `at`; matches reach back to `first` at most. */
export function startOutput(at: usize, first: usize): void {
  outputAt = at;
  firstOutput = first;
}

export function moveOutput(at: usize): void {
  outputAt = at;
}
export function outputPlace(): usize {
  return outputAt;
}

/** RFC 1951 §3.2.6. */
export function prepareFixedTables(): void {
  if (tablesAreFixed) return;
  setFixedLiteralLengths(CODE_LENGTHS);
  buildLiteralTable(CODE_LENGTHS, FIXED_LITERAL_SYMBOLS);
  memory.fill(CODE_LENGTHS, 5, FIXED_DISTANCE_SYMBOLS);
  buildDistanceTable(CODE_LENGTHS, FIXED_DISTANCE_SYMBOLS);
  tablesAreFixed = true;
}

/** Bytes of a saved code: two counts and the code lengths. */
export const TABLES_BYTES: usize = 4 + ((LITERAL_SYMBOLS + DISTANCE_SYMBOLS) as usize);

/** What the tables in use are made from. */
export function saveTables(to: usize): void {
  store<u16>(to, tablesAreFixed ? 0 : literalCount);
  store<u16>(to, distanceCount, 2);
  memory.copy(to + 4, CODE_LENGTHS, LITERAL_SYMBOLS + DISTANCE_SYMBOLS);
}
export function restoreTables(from: usize): void {
  literalCount = load<u16>(from);
  distanceCount = load<u16>(from, 2);
  tablesAreFixed = false;
  if (!literalCount) {
    prepareFixedTables();
    return;
  }
  memory.copy(CODE_LENGTHS, from + 4, LITERAL_SYMBOLS + DISTANCE_SYMBOLS);
  buildLiteralTable(CODE_LENGTHS, literalCount);
  buildDistanceTable(CODE_LENGTHS + literalCount, distanceCount);
}

/** RFC 1951 §3.2.7. */
export function readDynamicTables(): i32 {
  literalCount = takeBits(5) + 257; // HLIT
  distanceCount = takeBits(5) + 1; // HDIST
  const lengthCodeCount = takeBits(4) + 4; // HCLEN
  if (literalCount > LITERAL_SYMBOLS || distanceCount > DISTANCE_SYMBOLS) return ERROR_STREAM;

  memory.fill(CODE_LENGTHS, 0, LENGTH_CODE_SYMBOLS);
  for (let i: u32 = 0; i < lengthCodeCount; i++) {
    if (!refill()) return ERROR_INPUT;
    store<u8>(CODE_LENGTHS + load<u8>(LENGTH_CODE_ORDER + i), takeBits(3));
  }
  if (!buildLengthCodeTable(CODE_LENGTHS)) return ERROR_STREAM;

  const status = readCodeLengths(literalCount + distanceCount);
  if (status < 0) return status;
  if (!load<u8>(CODE_LENGTHS + END_OF_BLOCK)) return ERROR_STREAM; // the block could never end
  tablesAreFixed = false;
  if (!buildLiteralTable(CODE_LENGTHS, literalCount)) return ERROR_STREAM;
  if (!buildDistanceTable(CODE_LENGTHS + literalCount, distanceCount)) return ERROR_STREAM;
  return BLOCK_DONE;
}

/** Whether the tables read last have codes for distances beyond 4096, which streams with a shorter window never have. */
export function hasFarDistances(): bool {
  for (let symbol = FIRST_FAR_SYMBOL; symbol < distanceCount; symbol++) {
    if (load<u8>(CODE_LENGTHS + literalCount + symbol)) return true;
  }
  return false;
}

/** The literal/length and distance code lengths, run-length coded as one sequence of `total` values. */
function readCodeLengths(total: u32): i32 {
  let at = CODE_LENGTHS;
  const end = CODE_LENGTHS + total;
  let buffer = bitBuffer;
  let count = bitCount;
  let status = BLOCK_DONE;
  while (at < end) {
    // A code of up to 7 bits, and up to 7 more for a repeat count.
    if (count < 14) {
      storeBits(buffer, count, inputAt);
      if (!refill()) return ERROR_INPUT;
      buffer = bitBuffer;
      count = bitCount;
    }
    const entry = load<u32>(LENGTH_CODE_TABLE + (((buffer as usize) & ((1 << LENGTH_CODE_BITS) - 1)) << 2));
    buffer >>= entry as u64;
    count -= (entry & 63) as u64;
    const symbol = entry >> PAYLOAD_SHIFT;
    if (symbol < COPY_PREVIOUS) {
      store<u8>(at, symbol);
      at++;
      continue;
    }
    let value: u8 = 0;
    let repeat: u32 = 3;
    let repeatBits: u64 = 3;
    if (symbol == COPY_PREVIOUS) {
      if (at == CODE_LENGTHS) {
        status = ERROR_STREAM;
        break;
      }
      value = load<u8>(at - 1);
      repeatBits = 2;
    } else if (symbol != REPEAT_ZERO_SHORT) {
      repeat = 11;
      repeatBits = 7;
    }
    repeat += (buffer as u32) & ((1 << (repeatBits as u32)) - 1);
    buffer >>= repeatBits;
    count -= repeatBits;
    if (at + repeat > end) {
      status = ERROR_STREAM;
      break;
    }
    const run = v128.splat<u8>(value);
    for (let i: u32 = 0; i < repeat; i += 16) v128.store(at + i, run);
    at += repeat;
  }
  storeBits(buffer, count, inputAt);
  return status;
}

// The limits of decodeSymbols. They are read where they are compared: as locals they would take registers from the loop.
const LAST_INPUT: usize = memory.data(12, 16);
const LAST_OUTPUT: usize = LAST_INPUT + 4;
const FIRST_OUTPUT: usize = LAST_INPUT + 8;

/**
 * Decodes literals and matches up to the end of the block (RFC 1951 §3.2.3), or until more input than up to `lastInput` is
 * used or more output than up to `lastOutput` is made: it then pauses after a whole symbol. Whether the true ends were
 * kept is for the caller to check: a symbol may use bits beyond the input.
 *
 * The time of this loop is the chain "take the low bits, load the entry, shift the buffer", once per symbol. So:
 *   - the buffer stays two bits to the left, above two bits of no meaning: its masked low bits are the byte offset of a
 *     table entry, without a shift (`count` includes the two bits);
 *   - shifts take their count modulo 64, so whole entries are subtracted from `count`: only its low six bits mean something;
 *   - offsets are made in 32 bits and entries loaded without sign, which saves two instructions of widening;
 *   - an entry is loaded from the bits that are left, before new ones come in, and the one after a match before it is copied.
 *
 * A round starts with at least 54 bits, and only if neither limit was passed. It uses at most 22 for two literals, 20 for a
 * length, and after the second load of bits 28 for a distance. The loads are at lastInput + 7 at most; the output is two
 * literals and a match of 258, and the copy may write 31 bytes more: inside the slack.
 */
export function decodeSymbols(lastInput: usize, lastOutput: usize): i32 {
  const literalMask: u32 = ((1 << LITERAL_ROOT_BITS) - 1) << 2;
  const distanceMask: u32 = ((1 << DISTANCE_ROOT_BITS) - 1) << 2;
  store<u32>(LAST_INPUT, lastInput);
  store<u32>(LAST_OUTPUT, lastOutput);
  store<u32>(FIRST_OUTPUT, firstOutput);
  let input = usedInput();
  let output = outputAt;
  let status = BLOCK_PAUSED;
  let buffer = bitBuffer << 2;
  let count = (bitCount & 7) + 2;
  if (input <= lastInput) {
    buffer |= load<u64>(input) << count;
    input += ((~count >> 3) & 7) as usize;
    count |= 56;
  }
  let entry = load<u32>((buffer as u32) & literalMask, LITERAL_TABLE);

  while (output <= load<u32>(LAST_OUTPUT)) {
    // `input` may be up to 7 bytes past those that were used.
    if (input > load<u32>(LAST_INPUT)) {
      if (input - ((((count & 63) - 2) >> 3) as usize) > load<u32>(LAST_INPUT)) break;
    }
    buffer |= load<u64>(input) << count;
    input += ((~count >> 3) & 7) as usize;
    count |= 56;
    // Up to three literals per load of bits: after a third one fewer may be left than a length can take.
    if ((entry as i32) < 0) {
      store<u8>(output, entry >> LITERAL_SHIFT);
      output++;
      buffer >>= entry as u64;
      count -= entry as u64;
      entry = load<u32>((buffer as u32) & literalMask, LITERAL_TABLE);
      if ((entry as i32) < 0) {
        store<u8>(output, entry >> LITERAL_SHIFT);
        output++;
        buffer >>= entry as u64;
        count -= entry as u64;
        entry = load<u32>((buffer as u32) & literalMask, LITERAL_TABLE);
        if ((entry as i32) < 0) {
          store<u8>(output, entry >> LITERAL_SHIFT);
          output++;
          buffer >>= entry as u64;
          count -= entry as u64;
          entry = load<u32>((buffer as u32) & literalMask, LITERAL_TABLE);
          continue;
        }
      }
    }

    buffer >>= entry as u64;
    count -= entry as u64;
    let length = (entry >> LENGTH_SHIFT) as usize;
    if (length == 0) {
      let special = entry;
      let kind = (special >> KIND_SHIFT) & 3;
      if (kind == KIND_SUBTABLE) {
        const subtable = subtableOf(LITERAL_TABLE, LITERAL_ROOT_BITS, special >> PAYLOAD_SHIFT);
        special = load<u32>(subtable + ((buffer & (((1 << LITERAL_SUB_BITS) - 1) << 2)) as usize));
        buffer >>= special as u64;
        count -= special as u64;
        if ((special as i32) < 0) {
          store<u8>(output, special >> LITERAL_SHIFT);
          output++;
          entry = load<u32>((buffer as u32) & literalMask, LITERAL_TABLE);
          continue;
        }
        length = special >> LENGTH_SHIFT;
        kind = (special >> KIND_SHIFT) & 3;
      }
      if (length == 0) {
        if (kind == KIND_LENGTH) {
          const index = special >> PAYLOAD_SHIFT;
          const extra = load<u8>(LENGTH_EXTRA + index) as u64;
          length = (load<u16>(LENGTH_BASE + (index << 1)) as usize) + (((buffer >> 2) & ((1 << extra) - 1)) as usize);
          buffer >>= extra;
          count -= extra;
        } else {
          status = kind == KIND_END ? BLOCK_DONE : ERROR_STREAM;
          break;
        }
      }
    }

    let reach = load<u32>((buffer as u32) & distanceMask, DISTANCE_TABLE);
    buffer |= load<u64>(input) << count;
    input += ((~count >> 3) & 7) as usize;
    count |= 56;
    if (reach < 1 << DISTANCE_BASE_SHIFT) {
      buffer >>= reach as u64;
      count -= reach as u64;
      if (((reach >> KIND_SHIFT) & 3) == KIND_SUBTABLE) {
        const subtable = subtableOf(DISTANCE_TABLE, DISTANCE_ROOT_BITS, reach >> PAYLOAD_SHIFT);
        reach = load<u32>(subtable + ((buffer & (((1 << DISTANCE_SUB_BITS) - 1) << 2)) as usize));
      } else {
        status = ERROR_STREAM;
        break;
      }
    }
    const bits = buffer & (((4 as u64) << (reach as u64)) - 1);
    const extra = (bits >> ((reach >> DISTANCE_CODE_SHIFT) as u64)) as u32;
    const distance = ((reach >> DISTANCE_BASE_SHIFT) + extra) as usize;
    buffer >>= reach as u64;
    count -= reach as u64;
    entry = load<u32>((buffer as u32) & literalMask, LITERAL_TABLE);
    // Does not wrap around: the static data below every output is larger than any distance.
    if (output - distance < load<u32>(FIRST_OUTPUT)) {
      status = ERROR_STREAM;
      break;
    }
    copyBack(output, distance, length);
    output += length;
  }

  storeBits(buffer >> 2, (count & 63) - 2, input);
  outputAt = output;
  return status;
}
