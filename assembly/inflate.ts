// Raw DEFLATE decoder, written from RFC 1951.
//
// Memory contract (checked here, never exceeded):
//   - up to INPUT_SLACK bytes after the input may be read; their values never matter;
//   - up to OUTPUT_SLACK bytes after the output may be written with scratch bytes.
// The slack lets the hot loop load and store whole words without a separate loop for the ends. The true ends are
// checked before each step, by counting the bits that were really used.

const ERROR_STREAM: i32 = -1; // not a valid DEFLATE stream
const ERROR_OUTPUT: i32 = -2; // the stream holds more than the output has room for
const ERROR_INPUT: i32 = -3; // the stream needs bits beyond the end of the input
const BLOCK_DONE: i32 = 0;

// RFC 1951 §3.2.3: block types.
const TYPE_STORED: u32 = 0;
const TYPE_FIXED: u32 = 1;
const TYPE_DYNAMIC: u32 = 2;

// RFC 1951 §3.2.5 – §3.2.7: alphabets.
const MAX_CODE_LENGTH: u32 = 15;
const COMPLETE_CODE: u32 = 1 << MAX_CODE_LENGTH; // all of the code space, in codes of the greatest length
const LITERAL_SYMBOLS: u32 = 286; // most that a dynamic block may describe; the fixed code has 288
const FIXED_LITERAL_SYMBOLS: u32 = 288;
const DISTANCE_SYMBOLS: u32 = 30;
const FIXED_DISTANCE_SYMBOLS: u32 = 32;
const LENGTH_CODE_SYMBOLS: u32 = 19;
const END_OF_BLOCK: u32 = 256;
const FIRST_LENGTH_SYMBOL: u32 = 257;
const LENGTH_SYMBOLS: u32 = 29;
const FIRST_EXTRA_SYMBOL: u32 = 265;
const LAST_EXTRA_SYMBOL: u32 = 284;

// RFC 1951 §3.2.5: base values and extra bits of the length symbols 257..285 and the distance symbols 0..29.
const LENGTH_BASE: usize = memory.data<u16>([
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
]);
const LENGTH_EXTRA: usize = memory.data<u8>([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]);
const DISTANCE_BASE: usize = memory.data<u16>([
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385,
  24577,
]);

// RFC 1951 §3.2.7: the order in which the lengths of the code length code are sent.
const LENGTH_CODE_ORDER: usize = memory.data<u8>([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]);
const COPY_PREVIOUS: u32 = 16;
const REPEAT_ZERO_SHORT: u32 = 17;

// Decoding tables: the next bits of the stream index a root table. Codes longer than the root point to a second table
// with room for the longest code, so that there are never more than two look-ups. A second table is shared by at least
// two codes (complete codes only, see buildTable), which bounds their number by half the alphabet.
const LITERAL_ROOT_BITS: u32 = 11;
const LITERAL_SUB_BITS: u32 = MAX_CODE_LENGTH - LITERAL_ROOT_BITS;
const DISTANCE_ROOT_BITS: u32 = 9;
const DISTANCE_SUB_BITS: u32 = MAX_CODE_LENGTH - DISTANCE_ROOT_BITS;
const LENGTH_CODE_BITS: u32 = 7;
const LITERAL_TABLE: usize = memory.data(((1 << LITERAL_ROOT_BITS) + (FIXED_LITERAL_SYMBOLS / 2) * (1 << LITERAL_SUB_BITS)) * 4, 16);
const DISTANCE_TABLE: usize = memory.data(((1 << DISTANCE_ROOT_BITS) + (FIXED_DISTANCE_SYMBOLS / 2) * (1 << DISTANCE_SUB_BITS)) * 4, 16);
const LENGTH_CODE_TABLE: usize = memory.data((1 << LENGTH_CODE_BITS) * 4, 16);

// Table entries, 32 bits. The low six bits always hold the number of stream bits that the entry uses up: wasm shifts
// take their count modulo 64, so an entry can be a shift count as it is.
//
// Entries of the literal/length table:
//   literal    bit 31 set | literal at bit 8
//   length     match length at bit 16, its extra bits already included in the table index
//   special    value below 1 << 16: kind at bit 6 (0: no such code, or a symbol that must not occur), payload at bit 8
// Entries of the distance table:
//   distance   base at bit 17 | number of extra bits at bit 12 | length of the code alone at bit 6
//   special    value below 1 << 17: as above
const LITERAL_FLAG: u32 = 1 << 31;
const LITERAL_SHIFT: u32 = 8;
const LENGTH_SHIFT: u32 = 16;
const DISTANCE_CODE_SHIFT: u32 = 6;
const DISTANCE_EXTRA_SHIFT: u32 = 12;
const DISTANCE_BASE_SHIFT: u32 = 17;
const KIND_SHIFT: u32 = 6;
const PAYLOAD_SHIFT: u32 = 8;
const KIND_END: u32 = 1; // end of block
const KIND_SUBTABLE: u32 = 2; // payload: number of the second table
const KIND_LENGTH: u32 = 3; // payload: length symbol − 257, extra bits still in the stream
const INVALID_ENTRY: u32 = 1; // uses one bit: enough to notice a stream that ends inside the bad code

// Entries of every symbol but for the code length, which is added when a table is built: `bits` times 1, or in the
// distance table, which holds it twice, times DISTANCE_BITS.
const LITERAL_TEMPLATES: usize = memory.data(FIXED_LITERAL_SYMBOLS * 4, 16);
const DISTANCE_TEMPLATES: usize = memory.data(FIXED_DISTANCE_SYMBOLS * 4, 16);
const LENGTH_CODE_TEMPLATES: usize = memory.data(LENGTH_CODE_SYMBOLS * 4, 16);
const SINGLE_BITS: u32 = 1;
const DISTANCE_BITS: u32 = 1 + (1 << DISTANCE_CODE_SHIFT);

// Working storage of one call. A run of code lengths is stored in whole vectors, hence the spare bytes.
const CODE_LENGTHS: usize = memory.data(LITERAL_SYMBOLS + DISTANCE_SYMBOLS + 16, 16);
const LENGTH_COUNTS: usize = memory.data(16 * 2, 16);
const SORTED_AT: usize = memory.data(16 * 2, 16);
const STREAM_CODES: usize = memory.data(FIXED_LITERAL_SYMBOLS * 2, 16); // reversed, as the stream has them
const SORTED_SYMBOLS: usize = memory.data(FIXED_LITERAL_SYMBOLS * 2, 16);

// For distances below 16: PATTERN_INDEX row d holds i mod d, which repeats the last d bytes over a vector;
// PATTERN_STEP holds the largest multiple of d up to 16.
const PATTERN_INDEX: usize = memory.data(16 * 16, 16);
const PATTERN_STEP: usize = memory.data<u8>([0, 16, 16, 15, 16, 15, 12, 14, 16, 9, 10, 11, 12, 13, 14, 15]);
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
  if (!constantsReady) prepareConstants();

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
  memory.fill(CODE_LENGTHS, 8, 144);
  memory.fill(CODE_LENGTHS + 144, 9, 112);
  memory.fill(CODE_LENGTHS + 256, 7, 24);
  memory.fill(CODE_LENGTHS + 280, 8, 8);
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
  if (sortSymbols(CODE_LENGTHS, LENGTH_CODE_SYMBOLS) != COMPLETE_CODE) return ERROR_STREAM;
  fillTable(LENGTH_CODE_TABLE, LENGTH_CODE_BITS, LENGTH_CODE_TEMPLATES, SINGLE_BITS);

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

function buildLiteralTable(lengths: usize, count: u32): bool {
  if (!isUsable(sortSymbols(lengths, count))) return false;
  fillTable(LITERAL_TABLE, LITERAL_ROOT_BITS, LITERAL_TEMPLATES, SINGLE_BITS);
  foldExtraBits(lengths, count);
  return true;
}

function buildDistanceTable(lengths: usize, count: u32): bool {
  if (!isUsable(sortSymbols(lengths, count))) return false;
  fillTable(DISTANCE_TABLE, DISTANCE_ROOT_BITS, DISTANCE_TEMPLATES, DISTANCE_BITS);
  return true;
}

/**
 * Besides complete codes every decoder in use accepts a code without any symbol, and a single symbol with a code of one
 * bit. Meeting one of the codes that are missing is then an error of the stream.
 */
function isUsable(codeSpace: u32): bool {
  return codeSpace == COMPLETE_CODE || codeSpace == 0 || (codeSpace == COMPLETE_CODE / 2 && load<u16>(LENGTH_COUNTS + 2) == 1);
}

/**
 * Sorts the symbols in use by code length, then by value: the order of their codes (RFC 1951 §3.2.2).
 * Returns how much of the code space they take, COMPLETE_CODE for a complete code, more if it is over-subscribed.
 */
function sortSymbols(lengths: usize, count: u32): u32 {
  const zero = v128.splat<u8>(0);
  v128.store(LENGTH_COUNTS, zero);
  v128.store(LENGTH_COUNTS, zero, 16);
  for (let i: u32 = 0; i < count; i++) {
    const slot = LENGTH_COUNTS + ((load<u8>(lengths + i) as usize) << 1);
    store<u16>(slot, load<u16>(slot) + 1);
  }
  let codeSpace: u32 = 0;
  let sorted: u32 = 0;
  for (let length: u32 = 1; length <= MAX_CODE_LENGTH; length++) {
    const ofLength = load<u16>(LENGTH_COUNTS + (length << 1)) as u32;
    store<u16>(SORTED_AT + (length << 1), sorted);
    sorted += ofLength;
    codeSpace += ofLength << (MAX_CODE_LENGTH - length);
  }
  for (let i: u32 = 0; i < count; i++) {
    const length = load<u8>(lengths + i) as usize;
    if (!length) continue;
    const slot = SORTED_AT + (length << 1);
    const at = load<u16>(slot) as usize;
    store<u16>(slot, at + 1);
    store<u16>(SORTED_SYMBOLS + (at << 1), i);
  }
  return codeSpace;
}

/**
 * Fills a decoding table with the symbols that sortSymbols left. A table of n bits serves codes up to n bits; doubling
 * it and adding the codes of n + 1 bits makes the next one. What no code reaches stays invalid.
 */
function fillTable(table: usize, rootBits: u32, templates: usize, bitsFactor: u32): void {
  let code: u32 = 0;
  let next = SORTED_SYMBOLS;
  store<u32>(table, INVALID_ENTRY);
  for (let length: u32 = 1; length <= rootBits; length++) {
    const half: usize = 4 << (length - 1);
    for (let i: usize = 0; i < half; i += 16) v128.store(table + half + i, v128.load(table + i));
    code <<= 1;
    const end = code + load<u16>(LENGTH_COUNTS + (length << 1));
    for (; code < end; code++) {
      const symbol = load<u16>(next) as usize;
      const streamCode = reverseBits(code, length);
      next += 2;
      store<u16>(STREAM_CODES + (symbol << 1), streamCode);
      store<u32>(table + (streamCode << 2), load<u32>(templates + (symbol << 2)) + length * bitsFactor);
    }
  }
  fillSubtables(table, rootBits, templates, bitsFactor, code, next);
}

/** The codes longer than the root: from `code` on, their symbols from `next` on. */
function fillSubtables(table: usize, rootBits: u32, templates: usize, bitsFactor: u32, code: u32, next: usize): void {
  let subtable: usize = 0;
  let root: u32 = 0;
  let subtables: u32 = 0;
  for (let length = rootBits + 1; length <= MAX_CODE_LENGTH; length++) {
    code <<= 1;
    const bits = length - rootBits;
    const end = code + load<u16>(LENGTH_COUNTS + (length << 1));
    for (; code < end; code++) {
      if (!subtables || code >> bits != root) {
        root = code >> bits;
        store<u32>(table + (reverseBits(root, rootBits) << 2), (subtables << PAYLOAD_SHIFT) | (KIND_SUBTABLE << KIND_SHIFT) | rootBits);
        subtable = subtableOf(table, rootBits, subtables);
        subtables++;
      }
      const entry = load<u32>(templates + ((load<u16>(next) as usize) << 2)) + bits * bitsFactor;
      next += 2;
      for (let i = reverseBits(code, length) >> rootBits; i < 1 << (MAX_CODE_LENGTH - rootBits); i += 1 << bits) {
        store<u32>(subtable + (i << 2), entry);
      }
    }
  }
}

function subtableOf(table: usize, rootBits: u32, number: u32): usize {
  return table + (((1 << rootBits) + (number << (MAX_CODE_LENGTH - rootBits))) << 2);
}

/**
 * Where a length symbol's code and its extra bits fit into the table index together, replaces its entries by entries of
 * the final length, so that most matches need no separate step for the extra bits.
 */
function foldExtraBits(lengths: usize, count: u32): void {
  for (let symbol = FIRST_EXTRA_SYMBOL; symbol < count && symbol <= LAST_EXTRA_SYMBOL; symbol++) {
    const length = load<u8>(lengths + symbol) as u32;
    const index = symbol - FIRST_LENGTH_SYMBOL;
    const bits = length + load<u8>(LENGTH_EXTRA + index);
    if (length == 0 || bits > LITERAL_ROOT_BITS) continue;
    const base = load<u16>(LENGTH_BASE + (index << 1)) as u32;
    const mask = (1 << (bits - length)) - 1;
    for (let i = load<u16>(STREAM_CODES + (symbol << 1)) as u32; i < 1 << LITERAL_ROOT_BITS; i += 1 << length) {
      store<u32>(LITERAL_TABLE + (i << 2), ((base + ((i >> length) & mask)) << LENGTH_SHIFT) | bits);
    }
  }
}

/** Codes are packed starting with their most significant bit (RFC 1951 §3.1.1), the reverse of everything else. */
function reverseBits(code: u32, length: u32): u32 {
  let value = ((code >> 1) & 0x5555) | ((code & 0x5555) << 1);
  value = ((value >> 2) & 0x3333) | ((value & 0x3333) << 2);
  value = ((value >> 4) & 0x0f0f) | ((value & 0x0f0f) << 4);
  value = ((value >> 8) & 0x00ff) | ((value & 0x00ff) << 8);
  return value >> (16 - length);
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
 * check, from inputAt <= inputEnd + 7. Literals overrun the output by 3 bytes at most, a match by 15, inside the slack.
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

/** Tables that follow from the constants above, filled once per instance. */
function prepareConstants(): void {
  for (let symbol: u32 = 0; symbol < FIXED_LITERAL_SYMBOLS; symbol++) {
    store<u32>(LITERAL_TEMPLATES + (symbol << 2), literalTemplate(symbol));
  }
  for (let symbol: u32 = 0; symbol < DISTANCE_SYMBOLS; symbol++) {
    const extra: u32 = symbol < 4 ? 0 : (symbol >> 1) - 1;
    const base = load<u16>(DISTANCE_BASE + (symbol << 1)) as u32;
    store<u32>(DISTANCE_TEMPLATES + (symbol << 2), (base << DISTANCE_BASE_SHIFT) | (extra << DISTANCE_EXTRA_SHIFT) | extra);
  }
  for (let symbol: u32 = 0; symbol < LENGTH_CODE_SYMBOLS; symbol++) {
    store<u32>(LENGTH_CODE_TEMPLATES + (symbol << 2), symbol << PAYLOAD_SHIFT);
  }
  for (let distance: u32 = 1; distance < 16; distance++) {
    for (let i: u32 = 0; i < 16; i++) store<u8>(PATTERN_INDEX + (distance << 4) + i, i % distance);
  }
  constantsReady = true;
}

/** Symbols that must not occur (§3.2.6: 286 and 287, distances 30 and 31) keep a template of 0, which is kind 0. */
function literalTemplate(symbol: u32): u32 {
  if (symbol < END_OF_BLOCK) return LITERAL_FLAG | (symbol << LITERAL_SHIFT);
  if (symbol == END_OF_BLOCK) return KIND_END << KIND_SHIFT;
  const index = symbol - FIRST_LENGTH_SYMBOL;
  if (index >= LENGTH_SYMBOLS) return 0;
  if (load<u8>(LENGTH_EXTRA + index)) return (index << PAYLOAD_SHIFT) | (KIND_LENGTH << KIND_SHIFT);
  return (load<u16>(LENGTH_BASE + (index << 1)) as u32) << LENGTH_SHIFT;
}
