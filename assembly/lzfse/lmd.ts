// The compressed blocks (bvx1, bvx2): literals and triples of literal run, match length, match distance, in two streams of
// finite state entropy codes.

import { copyMatch } from "../match-copy";
import {
  ALL_SYMBOLS,
  D_EXTRA,
  D_STATES,
  D_SYMBOLS,
  ERROR_INPUT,
  ERROR_OUTPUT,
  ERROR_STREAM,
  HEADER1_BYTES,
  HEADER2_BYTES,
  L_EXTRA,
  L_STATES,
  L_SYMBOLS,
  LITERAL_STATES,
  LITERAL_SYMBOLS,
  LITERALS_LIMIT,
  M_EXTRA,
  M_STATES,
  M_SYMBOLS,
  MATCHES_LIMIT,
} from "./format";
import { bitsAt, buildLiteralTable, buildValueTable } from "./fse";

const FREQUENCIES: usize = memory.data(ALL_SYMBOLS * 2, 16);
const L_TABLE: usize = memory.data(L_STATES * 8, 16);
const M_TABLE: usize = memory.data(M_STATES * 8, 16);
const D_TABLE: usize = memory.data(D_STATES * 8, 16);
const LITERAL_TABLE: usize = memory.data(LITERAL_STATES * 4, 16);
/** The literals of one block; runs are copied in whole vectors. */
const LITERALS: usize = memory.data(LITERALS_LIMIT + 16, 16);

// Packed frequencies (bvx2): the next five bits tell how many bits a frequency takes and, of short codes, its value.
const CODE_BITS: usize = memory.data<u8>([
  2, 3, 2, 5, 2, 3, 2, 8, 2, 3, 2, 5, 2, 3, 2, 14, 2, 3, 2, 5, 2, 3, 2, 8, 2, 3, 2, 5, 2, 3, 2, 14,
]);
const CODE_VALUE: usize = memory.data<u8>([0, 2, 1, 4, 0, 3, 1, 0, 0, 2, 1, 5, 0, 3, 1, 0, 0, 2, 1, 6, 0, 3, 1, 0, 0, 2, 1, 7, 0, 3, 1, 0]);

// The header of the block.
let literalCount: u32 = 0;
let matchCount: u32 = 0;
let literalBytes: u32 = 0; // of the stream of literals
let lmdBytes: u32 = 0;
let literalBits: i32 = 0; // unused bits at the end of a stream, as 0 to -7
let lmdBits: i32 = 0;
let literalStates: u64 = 0; // four times 16 bits
let lState: u32 = 0;
let mState: u32 = 0;
let dState: u32 = 0;

/** Reads the header of a bvx1 block, all of which is there; returns its size. */
export function readHeader1(header: usize): i32 {
  literalCount = load<u32>(header, 12);
  matchCount = load<u32>(header, 16);
  literalBytes = load<u32>(header, 20);
  lmdBytes = load<u32>(header, 24);
  literalBits = load<i32>(header, 28);
  literalStates = load<u64>(header, 32);
  lmdBits = load<i32>(header, 40);
  lState = load<u16>(header, 44);
  mState = load<u16>(header, 46);
  dState = load<u16>(header, 48);
  memory.copy(FREQUENCIES, header + 50, ALL_SYMBOLS * 2);
  return HEADER1_BYTES as i32;
}

/** Reads the header of a bvx2 block, of which `left` bytes (at least HEADER2_BYTES) are there; returns its size or an error. */
export function readHeader2(header: usize, left: usize): i32 {
  const first = load<u64>(header, 8);
  const second = load<u64>(header, 16);
  const third = load<u64>(header, 24);
  literalCount = bits(first, 0, 20);
  literalBytes = bits(first, 20, 20);
  matchCount = bits(first, 40, 20);
  literalBits = (bits(first, 60, 3) as i32) - 7;
  literalStates =
    (bits(second, 0, 10) as u64) |
    ((bits(second, 10, 10) as u64) << 16) |
    ((bits(second, 20, 10) as u64) << 32) |
    ((bits(second, 30, 10) as u64) << 48);
  lmdBytes = bits(second, 40, 20);
  lmdBits = (bits(second, 60, 3) as i32) - 7;
  const size = bits(third, 0, 32) as usize;
  lState = bits(third, 32, 10);
  mState = bits(third, 42, 10);
  dState = bits(third, 52, 10);
  if (size < HEADER2_BYTES) return ERROR_STREAM;
  if (size > left) return ERROR_INPUT;
  return unpackFrequencies(header + HEADER2_BYTES, header + size) ? (size as i32) : ERROR_STREAM;
}

function bits(word: u64, at: u64, count: u64): u32 {
  return ((word >> at) & ((1 << count) - 1)) as u32;
}

/** All frequencies from at..end, which they must fill; nothing there means that all are 0. */
function unpackFrequencies(at: usize, end: usize): bool {
  memory.fill(FREQUENCIES, 0, ALL_SYMBOLS * 2);
  if (at == end) return true;
  let buffer: u32 = 0;
  let count: u32 = 0;
  for (let symbol: u32 = 0; symbol < ALL_SYMBOLS; symbol++) {
    for (; count <= 24 && at < end; count += 8) buffer |= (load<u8>(at++) as u32) << count;
    const used = load<u8>(CODE_BITS + (buffer & 31)) as u32;
    if (used > count) return false;
    let value: u32 = load<u8>(CODE_VALUE + (buffer & 31));
    if (used == 8) value = 8 + ((buffer >> 4) & 0xf);
    else if (used == 14) value = 24 + ((buffer >> 4) & 0x3ff);
    store<u16>(FREQUENCIES + (symbol << 1), value);
    buffer >>= used;
    count -= used;
  }
  return at == end && count < 8;
}

/**
 * Decodes the block whose header was read, which must fill output..blockEnd. Matches reach back to `first`. `left`: bytes of
 * input from `payload` on. Returns the bytes of the payload or an error.
 */
export function decodeLmd(payload: usize, left: usize, output: usize, blockEnd: usize, first: usize): i32 {
  if (literalCount > LITERALS_LIMIT || matchCount > MATCHES_LIMIT) return ERROR_STREAM;
  if (literalBits < -7 || literalBits > 0 || lmdBits < -7 || lmdBits > 0) return ERROR_STREAM;
  if (lState >= L_STATES || mState >= M_STATES || dState >= D_STATES) return ERROR_STREAM;
  if (literalBytes > left || lmdBytes > left - literalBytes) return ERROR_INPUT;
  // So that places in bits are not negative, and of four literals not too large, in 32 bits.
  if (literalBytes >= 1 << 24 || lmdBytes >= 1 << 24) return ERROR_STREAM;
  if (!buildTables()) return ERROR_STREAM;
  if (!decodeLiterals(payload)) return ERROR_STREAM;
  const status = decodeTriples(payload + literalBytes, output, blockEnd, first);
  return status < 0 ? status : ((literalBytes + lmdBytes) as i32);
}

function buildTables(): bool {
  const matches = matchCount > 0;
  const m = FREQUENCIES + L_SYMBOLS * 2;
  const d = m + M_SYMBOLS * 2;
  return (
    buildValueTable(L_TABLE, L_STATES, FREQUENCIES, L_SYMBOLS, L_EXTRA, matches) &&
    buildValueTable(M_TABLE, M_STATES, m, M_SYMBOLS, M_EXTRA, matches) &&
    buildValueTable(D_TABLE, D_STATES, d, D_SYMBOLS, D_EXTRA, matches) &&
    buildLiteralTable(LITERAL_TABLE, LITERAL_STATES, d + D_SYMBOLS * 2, LITERAL_SYMBOLS, literalCount > 0)
  );
}

/** Four states in turn, which share the stream at `stream`. */
function decodeLiterals(stream: usize): bool {
  let at = ((literalBytes << 3) as i32) + literalBits;
  let a = (literalStates & 0xffff) as u32;
  let b = ((literalStates >> 16) & 0xffff) as u32;
  let c = ((literalStates >> 32) & 0xffff) as u32;
  let d = (literalStates >> 48) as u32;
  if (max(max(a, b), max(c, d)) >= LITERAL_STATES) return false;
  const end = LITERALS + literalCount;
  for (let output = LITERALS; output < end; output += 4) {
    let entry = load<u32>(LITERAL_TABLE + (a << 2));
    store<u8>(output, entry >> 8);
    at -= entry & 0xff;
    a = bitsAt(stream, at, entry & 0xff) + ((<i32>entry >> 16) as u32);
    entry = load<u32>(LITERAL_TABLE + (b << 2));
    store<u8>(output, entry >> 8, 1);
    at -= entry & 0xff;
    b = bitsAt(stream, at, entry & 0xff) + ((<i32>entry >> 16) as u32);
    entry = load<u32>(LITERAL_TABLE + (c << 2));
    store<u8>(output, entry >> 8, 2);
    at -= entry & 0xff;
    c = bitsAt(stream, at, entry & 0xff) + ((<i32>entry >> 16) as u32);
    entry = load<u32>(LITERAL_TABLE + (d << 2));
    store<u8>(output, entry >> 8, 3);
    at -= entry & 0xff;
    d = bitsAt(stream, at, entry & 0xff) + ((<i32>entry >> 16) as u32);
    // A header of at least 32 bytes lies before the streams: what was read from before them is not outside the input.
    if (at < 0) return false;
  }
  return true;
}

function decodeTriples(stream: usize, output: usize, blockEnd: usize, first: usize): i32 {
  let at = ((lmdBytes << 3) as i32) + lmdBits;
  let literal = LITERALS;
  const literalEnd = LITERALS + literalCount;
  let distance: usize = 0;
  let l = lState;
  let m = mState;
  let d = dState;
  for (let i: u32 = 0; i < matchCount; i++) {
    let entry = L_TABLE + (l << 3);
    at -= load<u8>(entry);
    let value = bitsAt(stream, at, load<u8>(entry));
    let extra = load<u8>(entry, 1) as u32;
    l = (value >> extra) + (load<i16>(entry, 2) as u32);
    const literals = (load<u32>(entry, 4) + (value & ((1 << extra) - 1))) as usize;

    entry = M_TABLE + (m << 3);
    at -= load<u8>(entry);
    value = bitsAt(stream, at, load<u8>(entry));
    extra = load<u8>(entry, 1) as u32;
    m = (value >> extra) + (load<i16>(entry, 2) as u32);
    const match = (load<u32>(entry, 4) + (value & ((1 << extra) - 1))) as usize;

    entry = D_TABLE + (d << 3);
    at -= load<u8>(entry);
    value = bitsAt(stream, at, load<u8>(entry));
    extra = load<u8>(entry, 1) as u32;
    d = (value >> extra) + (load<i16>(entry, 2) as u32);
    // 0: the same as before.
    const reach = (load<u32>(entry, 4) + (value & ((1 << extra) - 1))) as usize;
    if (reach) distance = reach;

    if (at < 0 || literals > literalEnd - literal) return ERROR_STREAM;
    if (literals + match > blockEnd - output) return ERROR_OUTPUT;
    memory.copy(output, literal, literals);
    literal += literals;
    output += literals;
    if (!match) continue;
    if (!distance || distance > output - first) return ERROR_STREAM;
    copyMatch(output, output - distance, output + match);
    output += match;
  }
  return output == blockEnd ? 0 : ERROR_STREAM;
}
