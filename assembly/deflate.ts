// Raw DEFLATE encoder (RFC 1951), made for single clusters of an image.
//
// Find the matches and choose the blocks; then for each block make the codes, price its three forms, write the cheapest. A block is
// written only after its exact size is known to fit, so the loops that write need no error path. The result depends on the source
// bytes, the window and the effort only.

import { chunkSequences, chunkStart, DISTANCE_FREQUENCIES, LITERAL_FREQUENCIES, openBlock, planBlocks } from "./deflate-blocks";
import {
  COPY_PREVIOUS,
  DISTANCE_SYMBOLS,
  distanceExtra,
  END_OF_BLOCK,
  FIRST_LENGTH_SYMBOL,
  FIXED_DISTANCE_SYMBOLS,
  FIXED_LITERAL_SYMBOLS,
  LENGTH_BASE,
  LENGTH_CODE_ORDER,
  LENGTH_CODE_SYMBOLS,
  LENGTH_EXTRA,
  LENGTH_SYMBOLS,
  LITERAL_SYMBOLS,
  MAX_CODE_LENGTH,
  MAX_LENGTH_CODE_LENGTH,
  MAX_MATCH,
  REPEAT_ZERO_LONG,
  REPEAT_ZERO_SHORT,
  setFixedLiteralLengths,
  TYPE_DYNAMIC,
  TYPE_FIXED,
  TYPE_STORED,
} from "./deflate-format";
import { distanceSymbol, LENGTH_SYMBOL_OF, SEQUENCE_BYTES, startMatches } from "./deflate-matches";
import { assignCodes, makeCodeLengths } from "./huffman";

const ERROR_ROOM: i32 = -1; // the stream would not fit the output

const BLOCK_HEADER_BITS: u32 = 3; // BFINAL and BTYPE
const STORED_HEADER_BYTES: u32 = 4; // LEN and NLEN
const MAX_STORED: u32 = 65535;
const TABLE_HEADER_BITS: u32 = 14; // HLIT, HDIST and HCLEN
const MIN_LITERAL_COUNT: u32 = 257;
const MIN_LENGTH_CODES: u32 = 4;

// One bit below what the format allows: four literals then fit the bit buffer together with the seven bits that a flush
// leaves. Only symbols that occur once in thousands have codes that long.
const MAX_LITERAL_CODE_LENGTH: u32 = MAX_CODE_LENGTH - 1;

// Code lengths of the dynamic codes; the distance lengths follow the literal/length ones as the header sends them.
const LITERAL_LENGTHS: usize = memory.data(LITERAL_SYMBOLS + DISTANCE_SYMBOLS, 16);
const DISTANCE_LENGTHS: usize = memory.data(DISTANCE_SYMBOLS, 16);
const FIXED_LITERAL_LENGTHS: usize = memory.data(FIXED_LITERAL_SYMBOLS, 16);
const FIXED_DISTANCE_LENGTHS: usize = memory.data(FIXED_DISTANCE_SYMBOLS, 16);
const FIXED_DISTANCE_CODE_LENGTH: u8 = 5;

// Codes in stream order: code << 8 | length.
const LITERAL_CODES: usize = memory.data(FIXED_LITERAL_SYMBOLS * 4, 16);
const DISTANCE_CODES: usize = memory.data(FIXED_DISTANCE_SYMBOLS * 4, 16);
const MATCH_CODES: usize = memory.data((MAX_MATCH + 1) * 4, 16); // by match length, extra bits included

// The code lengths as the header sends them (§3.2.7): symbol | value of its extra bits << 8.
const LENGTH_CODE_RUNS: usize = memory.data((LITERAL_SYMBOLS + DISTANCE_SYMBOLS) * 2, 16);
const LENGTH_CODE_FREQUENCIES: usize = memory.data(LENGTH_CODE_SYMBOLS * 4, 16);
const LENGTH_CODE_LENGTHS: usize = memory.data(LENGTH_CODE_SYMBOLS, 16);
const LENGTH_CODE_CODES: usize = memory.data(LENGTH_CODE_SYMBOLS * 4, 16);
const LENGTH_CODE_EXTRA: usize = memory.data<u8>([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 7]);

let constantsReady: bool = false;
let literalCount: u32 = 0; // HLIT + 257
let distanceCount: u32 = 0; // HDIST + 1
let lengthCodeCount: u32 = 0; // HCLEN + 4
let runCount: u32 = 0;

// Output. The lowest bitCount bits of the buffer are still to be written (§3.1.1).
let outputAt: usize = 0;
let outputEnd: usize = 0;
let bitBuffer: u64 = 0;
let bitCount: u64 = 0;

/**
 * Encodes srcLen bytes (at most 2 MiB) as one raw DEFLATE stream of at most dstCap bytes. No match reaches farther back
 * than `window` bytes (1 to 32768). `effort`: 0 for speed, 1 for small output. Returns the size of the stream, or ERROR_ROOM. Up to
 * 16 bytes after the source may be read, and do not matter; nothing is written outside dstCap.
 */
export function deflate(src: usize, srcLen: i32, dst: usize, dstCap: i32, window: i32, effort: i32): i32 {
  if (!writeBlocks(src, srcLen, dst, dstCap, window, effort, true)) return ERROR_ROOM;
  flushToByte();
  return (outputAt - dst) as i32;
}

/**
 * The same, but no block is the last of its stream, and an empty stored one comes last: it ends on a byte, so that more
 * blocks can follow in another piece of the stream.
 */
export function deflatePart(src: usize, srcLen: i32, dst: usize, dstCap: i32, window: i32, effort: i32): i32 {
  if (!writeBlocks(src, srcLen, dst, dstCap, window, effort, false) || !writeStored(src, src, false)) return ERROR_ROOM;
  return (outputAt - dst) as i32;
}

/** `isFinal`: the last block is marked as the last of its stream. False if they do not fit. */
function writeBlocks(src: usize, srcLen: i32, dst: usize, dstCap: i32, window: i32, effort: i32, isFinal: bool): bool {
  if (!constantsReady) prepareConstants();
  const end = src + srcLen;
  outputAt = dst;
  outputEnd = dst + dstCap;
  bitBuffer = 0;
  bitCount = 0;
  startMatches(src, end, window, effort);
  let at = src;
  do {
    const chunks = planBlocks(at, end);
    at = chunkStart(chunks);
    for (let chunk: u32 = 0; chunk < chunks; ) {
      const first = chunk;
      chunk = openBlock(first);
      if (!writeBlock(first, chunk, isFinal && at == end && chunk == chunks)) return false;
    }
  } while (at < end);
  return true;
}

/** Writes the block of the chunks from `first` to before `after` in its cheapest form. False if that does not fit. */
function writeBlock(first: u32, after: u32, isFinal: bool): bool {
  const start = chunkStart(first);
  const end = chunkStart(after);
  makeCodeLengths(LITERAL_FREQUENCIES, LITERAL_SYMBOLS, LITERAL_LENGTHS, MAX_LITERAL_CODE_LENGTH);
  makeCodeLengths(DISTANCE_FREQUENCIES, DISTANCE_SYMBOLS, DISTANCE_LENGTHS, MAX_CODE_LENGTH);
  // Before the header is laid out: that puts the distance lengths behind the literal lengths in use.
  const symbolBits = priceSymbols(LITERAL_LENGTHS, DISTANCE_LENGTHS);
  const dynamicBits = symbolBits + layOutHeader();
  const fixedBits = priceSymbols(FIXED_LITERAL_LENGTHS, FIXED_DISTANCE_LENGTHS);
  const coded = min(dynamicBits, fixedBits);
  if (priceStored((end - start) as u32) <= coded) return writeStored(start, end, isFinal);

  const bits = (bitCount as u32) + BLOCK_HEADER_BITS + coded;
  if (outputAt + ((bits + 7) >> 3) > outputEnd) return false;
  if (fixedBits <= dynamicBits) {
    putBits(u32(isFinal) | (TYPE_FIXED << 1), BLOCK_HEADER_BITS);
    assignCodes(FIXED_LITERAL_LENGTHS, FIXED_LITERAL_SYMBOLS, LITERAL_CODES);
    assignCodes(FIXED_DISTANCE_LENGTHS, FIXED_DISTANCE_SYMBOLS, DISTANCE_CODES);
  } else {
    putBits(u32(isFinal) | (TYPE_DYNAMIC << 1), BLOCK_HEADER_BITS);
    writeHeader();
    assignCodes(LITERAL_LENGTHS, literalCount, LITERAL_CODES);
    assignCodes(DISTANCE_LENGTHS, DISTANCE_SYMBOLS, DISTANCE_CODES);
  }
  prepareMatchCodes();
  writeSymbols(start, chunkSequences(first), chunkSequences(after));
  return true;
}

/** Bits of the block's symbols under given code lengths. Symbols that do not occur cost nothing. */
function priceSymbols(literalLengths: usize, distanceLengths: usize): u32 {
  let bits: u32 = 0;
  for (let symbol: u32 = 0; symbol < FIRST_LENGTH_SYMBOL; symbol++) {
    bits += load<u32>(LITERAL_FREQUENCIES + (symbol << 2)) * load<u8>(literalLengths + symbol);
  }
  for (let i: u32 = 0; i < LENGTH_SYMBOLS; i++) {
    const symbol = FIRST_LENGTH_SYMBOL + i;
    bits += load<u32>(LITERAL_FREQUENCIES + (symbol << 2)) * (load<u8>(literalLengths + symbol) + load<u8>(LENGTH_EXTRA + i));
  }
  for (let symbol: u32 = 0; symbol < DISTANCE_SYMBOLS; symbol++) {
    bits += load<u32>(DISTANCE_FREQUENCIES + (symbol << 2)) * (load<u8>(distanceLengths + symbol) + distanceExtra(symbol));
  }
  return bits;
}

/** Bits of stored blocks after the first BFINAL and BTYPE, at worst: up to seven bits fill the byte before LEN. */
function priceStored(size: u32): u32 {
  const more = size ? (size - 1) / MAX_STORED : 0;
  return 7 + ((more + STORED_HEADER_BYTES * (more + 1) + size) << 3);
}

/** RFC 1951 §3.2.4; as two blocks where LEN cannot hold the size. */
function writeStored(start: usize, end: usize, isFinal: bool): bool {
  do {
    const size = min((end - start) as u32, MAX_STORED);
    const bits = (bitCount as u32) + BLOCK_HEADER_BITS;
    if (outputAt + ((bits + 7) >> 3) + STORED_HEADER_BYTES + size > outputEnd) return false;
    putBits(u32(isFinal && start + size == end) | (TYPE_STORED << 1), BLOCK_HEADER_BITS);
    flushToByte();
    store<u16>(outputAt, size);
    store<u16>(outputAt, ~size, 2);
    memory.copy(outputAt + STORED_HEADER_BYTES, start, size);
    outputAt += STORED_HEADER_BYTES + size;
    start += size;
  } while (start < end);
  return true;
}

/** RFC 1951 §3.2.7: lays out the header of a dynamic block, as runs and the code for them. Returns its size in bits. */
function layOutHeader(): u32 {
  literalCount = LITERAL_SYMBOLS;
  while (literalCount > MIN_LITERAL_COUNT && !load<u8>(LITERAL_LENGTHS + literalCount - 1)) literalCount--;
  distanceCount = DISTANCE_SYMBOLS;
  while (distanceCount > 1 && !load<u8>(DISTANCE_LENGTHS + distanceCount - 1)) distanceCount--;
  memory.copy(LITERAL_LENGTHS + literalCount, DISTANCE_LENGTHS, distanceCount);

  runCount = 0;
  memory.fill(LENGTH_CODE_FREQUENCIES, 0, LENGTH_CODE_SYMBOLS * 4);
  const total = literalCount + distanceCount;
  for (let i: u32 = 0; i < total; ) {
    const value = load<u8>(LITERAL_LENGTHS + i) as u32;
    let run: u32 = 1;
    while (i + run < total && load<u8>(LITERAL_LENGTHS + i + run) == value) run++;
    i += run;
    if (value) addLengthRun(value, run);
    else addZeroRun(run);
  }

  makeCodeLengths(LENGTH_CODE_FREQUENCIES, LENGTH_CODE_SYMBOLS, LENGTH_CODE_LENGTHS, MAX_LENGTH_CODE_LENGTH);
  lengthCodeCount = LENGTH_CODE_SYMBOLS;
  while (lengthCodeCount > MIN_LENGTH_CODES && !lengthCodeLengthAt(lengthCodeCount - 1)) lengthCodeCount--;
  let bits = TABLE_HEADER_BITS + lengthCodeCount * 3;
  for (let symbol: u32 = 0; symbol < LENGTH_CODE_SYMBOLS; symbol++) {
    const each = load<u8>(LENGTH_CODE_LENGTHS + symbol) + load<u8>(LENGTH_CODE_EXTRA + symbol);
    bits += load<u32>(LENGTH_CODE_FREQUENCIES + (symbol << 2)) * each;
  }
  return bits;
}

function addZeroRun(run: u32): void {
  while (run >= 11) {
    const part = min<u32>(run, 138);
    addRun(REPEAT_ZERO_LONG, part - 11);
    run -= part;
  }
  if (run >= 3) {
    addRun(REPEAT_ZERO_SHORT, run - 3);
    run = 0;
  }
  for (; run; run--) addRun(0, 0);
}

function addLengthRun(value: u32, run: u32): void {
  addRun(value, 0);
  run--;
  while (run >= 3) {
    const part = min<u32>(run, 6);
    addRun(COPY_PREVIOUS, part - 3);
    run -= part;
  }
  for (; run; run--) addRun(value, 0);
}

function addRun(symbol: u32, extra: u32): void {
  store<u16>(LENGTH_CODE_RUNS + (runCount << 1), (extra << 8) | symbol);
  runCount++;
  const counter = LENGTH_CODE_FREQUENCIES + (symbol << 2);
  store<u32>(counter, load<u32>(counter) + 1);
}

function lengthCodeLengthAt(place: u32): u32 {
  return load<u8>(LENGTH_CODE_LENGTHS + load<u8>(LENGTH_CODE_ORDER + place));
}

function writeHeader(): void {
  assignCodes(LENGTH_CODE_LENGTHS, LENGTH_CODE_SYMBOLS, LENGTH_CODE_CODES);
  putBits(literalCount - MIN_LITERAL_COUNT, 5);
  putBits(distanceCount - 1, 5);
  putBits(lengthCodeCount - MIN_LENGTH_CODES, 4);
  for (let i: u32 = 0; i < lengthCodeCount; i++) putBits(lengthCodeLengthAt(i), 3);
  for (let i: u32 = 0; i < runCount; i++) {
    const run = load<u16>(LENGTH_CODE_RUNS + (i << 1)) as u32;
    const symbol = run & 0xff;
    putCode(LENGTH_CODE_CODES, symbol);
    putBits(run >> 8, load<u8>(LENGTH_CODE_EXTRA + symbol));
  }
}

/** Code and extra bits of every match length, in one piece. */
function prepareMatchCodes(): void {
  for (let length: u32 = 3; length <= MAX_MATCH; length++) {
    const index = load<u8>(LENGTH_SYMBOL_OF + length) as u32;
    const code = load<u32>(LITERAL_CODES + ((FIRST_LENGTH_SYMBOL + index) << 2));
    const bits = code & 0xff;
    const extra = length - load<u16>(LENGTH_BASE + (index << 1));
    store<u32>(MATCH_CODES + (length << 2), (((extra << bits) | (code >> 8)) << 8) | (bits + load<u8>(LENGTH_EXTRA + index)));
  }
}

/**
 * Writes the sequences of the block and its end. Runs of literals go in groups of four, at least one for every sequence; where a run
 * ends inside a group, the codes after it are masked away instead of branching on their number, which cannot be predicted.
 */
function writeSymbols(start: usize, sequences: usize, end: usize): void {
  // Whole words may be stored up to here; only the last few bytes of a full output are written one by one.
  const wordEnd = outputEnd - 8;
  let buffer = bitBuffer;
  let count = bitCount;
  let output = outputAt;
  let literal = start;
  for (let sequence = sequences; sequence < end; sequence += SEQUENCE_BYTES) {
    let literals = load<i32>(sequence);
    const next = literal + literals;
    do {
      const a = select<u32>(load<u32>((load<u8>(literal) as usize) << 2, LITERAL_CODES), 0, literals > 0);
      const b = select<u32>(load<u32>((load<u8>(literal, 1) as usize) << 2, LITERAL_CODES), 0, literals > 1);
      const c = select<u32>(load<u32>((load<u8>(literal, 2) as usize) << 2, LITERAL_CODES), 0, literals > 2);
      const d = select<u32>(load<u32>((load<u8>(literal, 3) as usize) << 2, LITERAL_CODES), 0, literals > 3);
      literal += 4;
      const ab = ((a >> 8) as u64) | (((b >> 8) as u64) << (a as u64 & 0xff));
      const cd = ((c >> 8) as u64) | (((d >> 8) as u64) << (c as u64 & 0xff));
      const abBits = (a as u64 & 0xff) + (b as u64 & 0xff);
      const cdBits = (c as u64 & 0xff) + (d as u64 & 0xff);
      buffer |= (ab | (cd << abBits)) << count;
      count += abBits + cdBits;
      if (output <= wordEnd) store<u64>(output, buffer);
      else storeBytes(output, buffer, count);
      output += (count >> 3) as usize;
      buffer >>= count & 56;
      count &= 7;
      literals -= 4;
    } while (literals > 0);
    const match = load<u32>(sequence, 4);
    literal = next + (match >> 16);
    if (!match) continue;
    const length = match >> 16;
    const distance = match & 0xffff;
    const symbol = distanceSymbol(distance);
    const lengthCode = load<u32>(length << 2, MATCH_CODES) as u64;
    const distanceCode = load<u32>(symbol << 2, DISTANCE_CODES) as u64;
    const extraBits = distanceExtra(symbol) as u64;
    const extra = ((distance - 1) as u64) & (((1 as u64) << extraBits) - 1);
    buffer |= (lengthCode >> 8) << count;
    count += lengthCode & 0xff;
    buffer |= ((extra << (distanceCode & 0xff)) | (distanceCode >> 8)) << count;
    count += (distanceCode & 0xff) + extraBits;
    if (output <= wordEnd) store<u64>(output, buffer);
    else storeBytes(output, buffer, count);
    output += (count >> 3) as usize;
    buffer >>= count & 56;
    count &= 7;
  }
  bitBuffer = buffer;
  bitCount = count;
  outputAt = output;
  putCode(LITERAL_CODES, END_OF_BLOCK);
}

function storeBytes(output: usize, buffer: u64, count: u64): void {
  for (; count >= 8; count -= 8) {
    store<u8>(output, buffer as u8);
    buffer >>= 8;
    output++;
  }
}

function putCode(codes: usize, symbol: u32): void {
  const code = load<u32>(codes + (symbol << 2));
  putBits(code >> 8, code & 0xff);
}

/** Appends bits and writes the whole bytes among them. */
function putBits(value: u32, count: u32): void {
  bitBuffer |= (value as u64) << bitCount;
  bitCount += count as u64;
  storeBytes(outputAt, bitBuffer, bitCount);
  outputAt += (bitCount >> 3) as usize;
  bitBuffer >>= bitCount & 56;
  bitCount &= 7;
}

/** Fills the current byte with zero bits. */
function flushToByte(): void {
  if (bitCount) putBits(0, 8 - (bitCount as u32));
}

function prepareConstants(): void {
  setFixedLiteralLengths(FIXED_LITERAL_LENGTHS);
  memory.fill(FIXED_DISTANCE_LENGTHS, FIXED_DISTANCE_CODE_LENGTH, FIXED_DISTANCE_SYMBOLS);
  constantsReady = true;
}
