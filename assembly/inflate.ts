// Raw DEFLATE decoder (RFC 1951).
//
// Memory contract (checked here, never exceeded):
//   - up to INPUT_SLACK bytes after the input may be read; their values never matter;
//   - up to OUTPUT_SLACK bytes after the output may be written with scratch bytes.
// The slack lets the hot loop load and store whole words without a separate loop for the ends. The true ends are
// checked before each step, by counting the bits that were really used.

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
  TYPE_DYNAMIC,
  TYPE_FIXED,
  TYPE_STORED,
} from "./deflate-format";
import {
  buildDistanceTable,
  buildLengthCodeTable,
  buildLiteralTable,
  DISTANCE_BASE_SHIFT,
  DISTANCE_CODE_SHIFT,
  DISTANCE_EXTRA_SHIFT,
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
  PATTERN_INDEX,
  PATTERN_STEP,
  PAYLOAD_SHIFT,
  preparePatterns,
  prepareTemplates,
  subtableOf,
} from "./inflate-tables";

const ERROR_STREAM: i32 = -1; // not a valid DEFLATE stream
const ERROR_OUTPUT: i32 = -2; // the stream holds more than the output has room for
const ERROR_INPUT: i32 = -3; // the stream needs bits beyond the end of the input
const BLOCK_DONE: i32 = 0;

// A run of code lengths is stored in whole vectors, hence the spare bytes.
const CODE_LENGTHS: usize = memory.data(LITERAL_SYMBOLS + DISTANCE_SYMBOLS + 16, 16);

let constantsReady: bool = false;

// Stream state. The bit buffer holds the next bits of the stream, lowest first (RFC 1951 §3.1.1); bitCount of them are
// counted, those above are either zero or already right, so loading the same bytes again does no harm.
let bitBuffer: u64 = 0;
let bitCount: u64 = 0;
let inputAt: usize = 0;
let inputEnd: usize = 0;
let inputStart: usize = 0;
let outputAt: usize = 0;
let outputStart: usize = 0;
let outputEnd: usize = 0;
let tablesAreFixed: bool = false;

/**
 * Decodes one raw DEFLATE stream of at most srcLen bytes into at most dstLen bytes.
 * Returns the number of bytes produced, or ERROR_STREAM, ERROR_OUTPUT, ERROR_INPUT. Bytes after the final block are
 * left alone; inflateConsumed tells where they start. When several errors apply, ERROR_INPUT wins: whatever was decoded
 * from beyond the end means nothing.
 */
export function inflate(src: usize, srcLen: i32, dst: usize, dstLen: i32): i32 {
  inputStart = src;
  inputAt = src;
  inputEnd = src + srcLen;
  outputStart = dst;
  outputAt = dst;
  outputEnd = dst + dstLen;
  bitBuffer = 0;
  bitCount = 0;
  if (!constantsReady) {
    prepareTemplates();
    preparePatterns();
    constantsReady = true;
  }

  let isFinal: u32 = 0;
  while (!isFinal) {
    if (!refill()) return ERROR_INPUT;
    isFinal = takeBits(1);
    const status = decodeBlock(takeBits(2));
    if (usedInput() > inputEnd) return ERROR_INPUT;
    if (status < 0) return status;
    if (outputAt > outputEnd) return ERROR_OUTPUT;
  }
  return (outputAt - outputStart) as i32;
}

/** Input bytes that the last call of inflate used, the last one perhaps in part. */
export function inflateConsumed(): i32 {
  return (min(usedInput(), inputEnd) - inputStart) as i32;
}

/** First input byte of which no bit was used. */
function usedInput(): usize {
  return (inputAt - (bitCount >> 3)) as usize;
}

/** Brings the bit buffer to at least 56 bits. False if bits beyond the end were already used. */
function refill(): bool {
  // Not beyond the end means inputAt <= inputEnd + 7, so the load stays inside 15 bytes of slack.
  if (usedInput() > inputEnd) return false;
  bitBuffer |= load<u64>(inputAt) << bitCount;
  inputAt += ((63 - bitCount) >> 3) as usize;
  bitCount |= 56;
  return true;
}

function takeBits(count: u32): u32 {
  const value = (bitBuffer & ((1 << (count as u64)) - 1)) as u32;
  bitBuffer >>= count as u64;
  bitCount -= count as u64;
  return value;
}

function decodeBlock(blockType: u32): i32 {
  if (blockType == TYPE_STORED) return copyStored();
  if (blockType == TYPE_FIXED) {
    prepareFixedTables();
    return decodeSymbols();
  }
  if (blockType == TYPE_DYNAMIC) {
    const status = readDynamicTables();
    return status < 0 ? status : decodeSymbols();
  }
  return ERROR_STREAM;
}

/** RFC 1951 §3.2.4. */
function copyStored(): i32 {
  inputAt = usedInput();
  bitBuffer = 0;
  bitCount = 0;
  if (inputAt + 4 > inputEnd) {
    inputAt = inputEnd + 1;
    return ERROR_INPUT;
  }
  const length = load<u16>(inputAt) as u32;
  const complement = load<u16>(inputAt, 2) as u32;
  inputAt += 4;
  if (length != (complement ^ 0xffff)) return ERROR_STREAM;
  if (inputAt + length > inputEnd) return ERROR_INPUT;
  if (outputAt + length > outputEnd) return ERROR_OUTPUT;
  memory.copy(outputAt, inputAt, length);
  inputAt += length;
  outputAt += length;
  return BLOCK_DONE;
}

/** RFC 1951 §3.2.6. */
function prepareFixedTables(): void {
  if (tablesAreFixed) return;
  setFixedLiteralLengths(CODE_LENGTHS);
  buildLiteralTable(CODE_LENGTHS, FIXED_LITERAL_SYMBOLS);
  memory.fill(CODE_LENGTHS, 5, FIXED_DISTANCE_SYMBOLS);
  buildDistanceTable(CODE_LENGTHS, FIXED_DISTANCE_SYMBOLS);
  tablesAreFixed = true;
}

/** RFC 1951 §3.2.7. */
function readDynamicTables(): i32 {
  const literalCount = takeBits(5) + 257; // HLIT
  const distanceCount = takeBits(5) + 1; // HDIST
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

/** The literal/length and distance code lengths, run-length coded as one sequence of `total` values. */
function readCodeLengths(total: u32): i32 {
  let at = CODE_LENGTHS;
  const end = CODE_LENGTHS + total;
  while (at < end) {
    if (!refill()) return ERROR_INPUT;
    const entry = load<u32>(LENGTH_CODE_TABLE + (((bitBuffer as usize) & ((1 << LENGTH_CODE_BITS) - 1)) << 2));
    takeBits(entry & 63);
    const symbol = entry >> PAYLOAD_SHIFT;
    if (symbol < COPY_PREVIOUS) {
      store<u8>(at, symbol);
      at++;
      continue;
    }
    let value: u8 = 0;
    let repeat: u32;
    if (symbol == COPY_PREVIOUS) {
      repeat = 3 + takeBits(2);
      if (at == CODE_LENGTHS) return ERROR_STREAM;
      value = load<u8>(at - 1);
    } else if (symbol == REPEAT_ZERO_SHORT) {
      repeat = 3 + takeBits(3);
    } else {
      repeat = 11 + takeBits(7);
    }
    if (at + repeat > end) return ERROR_STREAM;
    const run = v128.splat<u8>(value);
    for (let i: u32 = 0; i < repeat; i += 16) v128.store(at + i, run);
    at += repeat;
  }
  return BLOCK_DONE;
}

/**
 * Decodes literals and matches up to the end of the block (RFC 1951 §3.2.3). The caller checks the ends once more.
 *
 * The time of this loop is the chain "take the low bits, load the entry, shift the buffer", once per symbol. So:
 *   - the buffer stays two bits to the left, above two bits of no meaning: its masked low bits are the byte offset of a
 *     table entry, without a shift (`count` includes the two bits);
 *   - offsets are made in 32 bits and entries loaded without sign, which saves two instructions of widening;
 *   - the entry after a match is loaded before the match is copied.
 *
 * A round starts with at least 54 bits, and only if no bit beyond the input and no byte beyond the output was used. It
 * uses at most 70: two literals of 11, a length of 20, a distance of 28. So it loads at most once more before the next
 * check, from inputAt <= inputEnd + 7. Literals overrun the output by 3 bytes at most, a match by 31, inside the slack.
 */
function decodeSymbols(): i32 {
  const literalMask: u32 = ((1 << LITERAL_ROOT_BITS) - 1) << 2;
  const distanceMask: u32 = ((1 << DISTANCE_ROOT_BITS) - 1) << 2;
  const lastInput = inputEnd;
  const firstOutput = outputStart;
  const lastOutput = outputEnd;
  let input = usedInput();
  if (input > lastInput) return ERROR_INPUT;
  let output = outputAt;
  let status = BLOCK_DONE;
  let buffer = bitBuffer << 2;
  let count = (bitCount & 7) + 2;
  buffer |= load<u64>(input) << count;
  input += ((63 - count) >> 3) as usize;
  count |= 56;
  let entry = load<u32>((buffer as u32) & literalMask, LITERAL_TABLE);

  while (true) {
    // Up to three literals per load of bits: after a third one fewer may be left than a length can take.
    if ((entry as i32) < 0) {
      store<u8>(output, entry >> LITERAL_SHIFT);
      output++;
      buffer >>= entry as u64;
      count -= (entry & 63) as u64;
      entry = load<u32>((buffer as u32) & literalMask, LITERAL_TABLE);
      if ((entry as i32) < 0) {
        store<u8>(output, entry >> LITERAL_SHIFT);
        output++;
        buffer >>= entry as u64;
        count -= (entry & 63) as u64;
        entry = load<u32>((buffer as u32) & literalMask, LITERAL_TABLE);
        if ((entry as i32) < 0) {
          store<u8>(output, entry >> LITERAL_SHIFT);
          output++;
          buffer >>= entry as u64;
          count -= (entry & 63) as u64;
          if (input - (((count - 2) >> 3) as usize) > lastInput || output > lastOutput) break;
          buffer |= load<u64>(input) << count;
          input += ((63 - count) >> 3) as usize;
          count |= 56;
          entry = load<u32>((buffer as u32) & literalMask, LITERAL_TABLE);
          continue;
        }
      }
    }

    buffer >>= entry as u64;
    count -= (entry & 63) as u64;
    let length = (entry >> LENGTH_SHIFT) as usize;
    if (length == 0) {
      let special = entry;
      let kind = (special >> KIND_SHIFT) & 3;
      if (kind == KIND_SUBTABLE) {
        const subtable = subtableOf(LITERAL_TABLE, LITERAL_ROOT_BITS, special >> PAYLOAD_SHIFT);
        special = load<u32>(subtable + ((buffer & (((1 << LITERAL_SUB_BITS) - 1) << 2)) as usize));
        buffer >>= special as u64;
        count -= special & 63;
        if ((special as i32) < 0) {
          store<u8>(output, special >> LITERAL_SHIFT);
          output++;
          if (input - (((count - 2) >> 3) as usize) > lastInput || output > lastOutput) break;
          buffer |= load<u64>(input) << count;
          input += ((63 - count) >> 3) as usize;
          count |= 56;
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
          if (kind != KIND_END) status = ERROR_STREAM;
          break;
        }
      }
    }

    // A distance takes up to 15 bits and 13 extra bits.
    if (count < 30) {
      buffer |= load<u64>(input) << count;
      input += ((63 - count) >> 3) as usize;
      count |= 56;
    }
    let reach = load<u32>((buffer as u32) & distanceMask, DISTANCE_TABLE);
    if (reach < 1 << DISTANCE_BASE_SHIFT) {
      buffer >>= reach as u64;
      count -= reach & 63;
      if (((reach >> KIND_SHIFT) & 3) == KIND_SUBTABLE) {
        const subtable = subtableOf(DISTANCE_TABLE, DISTANCE_ROOT_BITS, reach >> PAYLOAD_SHIFT);
        reach = load<u32>(subtable + ((buffer & (((1 << DISTANCE_SUB_BITS) - 1) << 2)) as usize));
      } else {
        status = ERROR_STREAM;
        break;
      }
    }
    const extraMask: u64 = ((1 << ((reach >> DISTANCE_EXTRA_SHIFT) & 15)) as u64) - 1;
    const extra = ((buffer >> ((reach >> DISTANCE_CODE_SHIFT) as u64)) >> 2) & extraMask;
    const distance = ((reach >> DISTANCE_BASE_SHIFT) as usize) + (extra as usize);
    buffer >>= reach as u64;
    count -= reach & 63;
    if (distance > output - firstOutput) {
      status = ERROR_STREAM;
      break;
    }

    let from = output - distance;
    const end = output + length;
    if (end > lastOutput || input - (((count - 2) >> 3) as usize) > lastInput) {
      output = end;
      break;
    }
    buffer |= load<u64>(input) << count;
    input += ((63 - count) >> 3) as usize;
    count |= 56;
    entry = load<u32>((buffer as u32) & literalMask, LITERAL_TABLE);

    if (distance >= 16) {
      v128.store(output, v128.load(from));
      v128.store(output, v128.load(from, 16), 16);
      while (output + 32 < end) {
        output += 32;
        from += 32;
        v128.store(output, v128.load(from));
        v128.store(output, v128.load(from, 16), 16);
      }
    } else {
      // The match overlaps itself: repeat its period over one vector and store that in whole periods.
      const period = v128.swizzle(v128.load(from), v128.load(PATTERN_INDEX + (distance << 4)));
      const step = load<u8>(PATTERN_STEP + distance) as usize;
      do {
        v128.store(output, period);
        output += step;
      } while (output < end);
    }
    output = end;
  }

  bitBuffer = buffer >> 2;
  bitCount = count - 2;
  inputAt = input;
  outputAt = output;
  return status;
}
