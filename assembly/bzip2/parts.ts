// The parts of a bzip2 file, one after another, bit by bit: there is no official specification; what bzip2 1.0.8 takes is taken.

import { buildTable, lengthsOf, MAX_CODE_LENGTH } from "./codes";
import { BLOCK_DONE, decodeGroup, GROUP_BYTES } from "./groups";
import { linkBlock, startGiving } from "./sorting";
import {
  BIT,
  BLOCK_CRC,
  BLOCK_LIMIT,
  BLOCK_START,
  BYTES,
  CODE_LENGTH,
  GIVEN_CRC,
  INDEX,
  INPUT_END,
  input,
  LEFT,
  ORIGIN,
  PART,
  RANDOMISED,
  RECENT,
  REPEAT,
  ROW,
  RUN,
  SELECTOR,
  SELECTOR_LIMIT,
  SELECTORS,
  STATE,
  STATED_CRC,
  STREAM_CRC,
  STREAMS,
  SYMBOL,
  SYMBOLS,
  TABLE,
  TABLES,
  USED_ROWS,
  WEIGHT,
} from "./state";

/** `src/kernels/streams/bzip2.ts` has the same numbers. `STREAM_ENDED`: another may follow. `FOREIGN`: what follows is none. */
export const NEEDS_INPUT: i32 = 0;
export const STREAM_ENDED: i32 = 2;
export const FOREIGN: i32 = 3;
export const BAD_MAGIC: i32 = -1;
export const BAD_BLOCK_MAGIC: i32 = -2;
export const BAD_HEADER: i32 = -3;
export const BAD_DATA: i32 = -4;
export const BAD_BLOCK_CRC: i32 = -5;
export const BAD_STREAM_CRC: i32 = -6;
/** Goes on with the next part. */
const NEXT_PART: i32 = 1;

const STREAM_HEADER: u32 = 0;
const BLOCK_MAGIC: u32 = 1;
const BLOCK_HEADER: u32 = 2;
const BYTE_ROWS: u32 = 3;
const BYTE_ROW: u32 = 4;
const COUNTS: u32 = 5;
const SELECTOR_PLACES: u32 = 6;
const CODE_LENGTHS: u32 = 7;
const GROUPS: u32 = 8;
export const GIVING: u32 = 9;
const FOOTER: u32 = 10;

const PI: u64 = 0x314159265359;
const ROOT_OF_PI: u64 = 0x177245385090;
const BLOCK_UNIT: u32 = 100_000;

function bitsLeft(): u32 {
  const all = load<u32>(STATE, INPUT_END) << 3;
  const bit = load<u32>(STATE, BIT);
  return bit < all ? all - bit : 0;
}

/** At most 32 bits, that are there. */
function takeBits(count: u32): u32 {
  const bit = load<u32>(STATE, BIT);
  store<u32>(STATE, bit + count, BIT);
  const word = bswap(load<u64>(input + (bit >>> 3))) << ((bit & 7) as u64);
  return (word >>> (64 - (count as u64))) as u32;
}

function enter(part: u32): i32 {
  store<u32>(STATE, part, PART);
  store<u32>(STATE, 0, INDEX);
  return NEXT_PART;
}

/** Reads on up to where bytes can be given (NEXT_PART) or nothing more can be read. `last`: no input follows. */
export function readParts(last: bool): i32 {
  let status = NEXT_PART;
  while (status == NEXT_PART && load<u32>(STATE, PART) != GIVING) status = readPart(load<u32>(STATE, PART), last);
  return status;
}

function readPart(part: u32, last: bool): i32 {
  if (part == STREAM_HEADER) return readStreamHeader();
  if (part == BLOCK_MAGIC) return readBlockMagic();
  if (part == BLOCK_HEADER) return readBlockHeader();
  if (part == BYTE_ROWS) return readByteRows();
  if (part == BYTE_ROW) return readByteRow();
  if (part == COUNTS) return readCounts();
  if (part == SELECTOR_PLACES) return readSelectors();
  if (part == CODE_LENGTHS) return readCodeLengths();
  if (part == GROUPS) return readGroups(last);
  return readFooter();
}

/** "BZh" and the size of blocks, 1 to 9; what is there of it must be right. */
function readStreamHeader(): i32 {
  const at = input + (load<u32>(STATE, BIT) >>> 3);
  const bytes = bitsLeft() >>> 3;
  const wrong = load<u32>(STATE, STREAMS) > 0 ? FOREIGN : BAD_MAGIC;
  if (bytes > 0 && load<u8>(at) != 0x42) return wrong;
  if (bytes > 1 && load<u8>(at, 1) != 0x5a) return wrong;
  if (bytes > 2 && load<u8>(at, 2) != 0x68) return wrong;
  if (bytes < 4) return NEEDS_INPUT;
  const level = (load<u8>(at, 3) as u32) - 0x30;
  if (level < 1 || level > 9) return wrong;
  takeBits(32);
  store<u32>(STATE, level * BLOCK_UNIT, BLOCK_LIMIT);
  store<u32>(STATE, 0, STREAM_CRC);
  return enter(BLOCK_MAGIC);
}

function readBlockMagic(): i32 {
  if (bitsLeft() < 48) return NEEDS_INPUT;
  store<u32>(STATE, load<u32>(STATE, BIT) >>> 3, BLOCK_START);
  const magic = ((takeBits(24) as u64) << 24) | takeBits(24);
  if (magic == PI) return enter(BLOCK_HEADER);
  if (magic == ROOT_OF_PI) return enter(FOOTER);
  return BAD_BLOCK_MAGIC;
}

function readBlockHeader(): i32 {
  if (bitsLeft() < 57) return NEEDS_INPUT;
  store<u32>(STATE, takeBits(32), BLOCK_CRC);
  store<u32>(STATE, takeBits(1), RANDOMISED);
  store<u32>(STATE, takeBits(24), ORIGIN);
  return enter(BYTE_ROWS);
}

/** Which bytes occur: first which of 16 rows of 16. */
function readByteRows(): i32 {
  if (bitsLeft() < 16) return NEEDS_INPUT;
  store<u32>(STATE, takeBits(16), USED_ROWS);
  store<u32>(STATE, 0, SYMBOLS);
  return enter(BYTE_ROW);
}

function readByteRow(): i32 {
  const rows = load<u32>(STATE, USED_ROWS);
  let used = load<u32>(STATE, SYMBOLS);
  let row = load<u32>(STATE, INDEX);
  for (; row < 16; row++) {
    if (!((rows >>> (15 - row)) & 1)) continue;
    if (bitsLeft() < 16) break;
    const bytes = takeBits(16);
    for (let i: u32 = 0; i < 16; i++) if ((bytes >>> (15 - i)) & 1) store<u8>(STATE + used++, row * 16 + i, RECENT);
  }
  store<u32>(STATE, row, INDEX);
  store<u32>(STATE, used, SYMBOLS);
  if (row < 16) return NEEDS_INPUT;
  if (used == 0) return BAD_HEADER;
  // And two digits for runs, less one for the first byte, and the end.
  store<u32>(STATE, used + 2, SYMBOLS);
  return enter(COUNTS);
}

function readCounts(): i32 {
  if (bitsLeft() < 18) return NEEDS_INPUT;
  const tables = takeBits(3);
  const selectors = takeBits(15);
  if (tables < 2 || tables > 6 || selectors < 1) return BAD_HEADER;
  store<u32>(STATE, tables, TABLES);
  store<u32>(STATE, selectors, SELECTORS);
  return enter(SELECTOR_PLACES);
}

/** Which table each group has: as move-to-front places in unary. They are kept as they are until all are there. */
function readSelectors(): i32 {
  const selectors = load<u32>(STATE, SELECTORS);
  const tables = load<u32>(STATE, TABLES);
  for (let i = load<u32>(STATE, INDEX); i < selectors; i++) {
    store<u32>(STATE, i, INDEX);
    if (bitsLeft() < 6) return NEEDS_INPUT;
    let place: u32 = 0;
    while (takeBits(1)) if (++place >= tables) return BAD_HEADER;
    if (i < SELECTOR_LIMIT) store<u8>(STATE + i, place, SELECTOR);
  }
  const kept = selectors < SELECTOR_LIMIT ? selectors : SELECTOR_LIMIT;
  store<u32>(STATE, kept, SELECTORS);
  let order: u32 = 0x543210; // four bits each
  for (let i: u32 = 0; i < kept; i++) {
    const shift = (load<u8>(STATE + i, SELECTOR) as u32) << 2;
    const table = (order >>> shift) & 15;
    const before = order & ((1 << shift) - 1);
    order = ((order >>> (shift + 4)) << (shift + 4)) | (before << 4) | table;
    store<u8>(STATE + i, table, SELECTOR);
  }
  store<u32>(STATE, 0, TABLE);
  store<u32>(STATE, 0, SYMBOL);
  store<u32>(STATE, 0, CODE_LENGTH);
  return enter(CODE_LENGTHS);
}

/** For each table and symbol the difference from the length before, in steps of one. */
function readCodeLengths(): i32 {
  const tables = load<u32>(STATE, TABLES);
  const symbols = load<u32>(STATE, SYMBOLS);
  let table = load<u32>(STATE, TABLE);
  let symbol = load<u32>(STATE, SYMBOL);
  let length = load<u32>(STATE, CODE_LENGTH);
  // At a table's beginning the length is 0, which no symbol has.
  while (table < tables && bitsLeft() >= 5) {
    if (length == 0) {
      length = takeBits(5);
      if (length == 0) return BAD_HEADER;
    }
    if (length > MAX_CODE_LENGTH) return BAD_HEADER;
    if (bitsLeft() < 2) break;
    if (takeBits(1)) {
      if (takeBits(1)) length--;
      else length++;
      if (length == 0) return BAD_HEADER;
      continue;
    }
    store<u8>(lengthsOf(table) + symbol, length);
    if (++symbol < symbols) continue;
    buildTable(table, symbols);
    symbol = 0;
    length = 0;
    table++;
  }
  store<u32>(STATE, table, TABLE);
  store<u32>(STATE, symbol, SYMBOL);
  store<u32>(STATE, length, CODE_LENGTH);
  if (table < tables) return NEEDS_INPUT;
  store<u32>(STATE, 0, BYTES);
  store<u32>(STATE, 0, RUN);
  store<u32>(STATE, 1, WEIGHT);
  return enter(GROUPS);
}

/** The tables are not part of the state. */
export function rebuildTables(): void {
  const part = load<u32>(STATE, PART);
  if (part < CODE_LENGTHS || part > GROUPS) return;
  const tables = part == GROUPS ? load<u32>(STATE, TABLES) : load<u32>(STATE, TABLE);
  for (let table: u32 = 0; table < tables; table++) buildTable(table, load<u32>(STATE, SYMBOLS));
}

function readGroups(last: bool): i32 {
  while (true) {
    if (!last && bitsLeft() < GROUP_BYTES << 3) return NEEDS_INPUT;
    if (bitsLeft() == 0) return NEEDS_INPUT;
    const status = decodeGroup();
    // Bits that are not there were read: what came of them counts for nothing.
    if (load<u32>(STATE, BIT) > load<u32>(STATE, INPUT_END) << 3) return NEEDS_INPUT;
    if (status < 0) return BAD_DATA;
    if (status == BLOCK_DONE) break;
  }
  if (load<u32>(STATE, ORIGIN) >= load<u32>(STATE, BYTES)) return BAD_DATA;
  startGiving();
  linkBlock();
  return enter(GIVING);
}

/** Whether all of the block was given; then its end is verified: NEXT_PART, or an error. */
export function endBlock(): i32 {
  // A row of four has no count behind it.
  if (load<u32>(STATE, ROW) == 4) return BAD_DATA;
  const stated = load<u32>(STATE, BLOCK_CRC);
  if (stated != load<u32>(STATE, GIVEN_CRC)) {
    store<u32>(STATE, stated, STATED_CRC);
    return BAD_BLOCK_CRC;
  }
  store<u32>(STATE, rotl(load<u32>(STATE, STREAM_CRC), 1) ^ stated, STREAM_CRC);
  return enter(BLOCK_MAGIC);
}

/** Bytes of the column that are in use. */
export function columnBytes(): u32 {
  const part = load<u32>(STATE, PART);
  return part == GROUPS || part == GIVING ? load<u32>(STATE, BYTES) : 0;
}

/** At the end of a stream, with none begun behind it. */
export function isBetweenStreams(): bool {
  return load<u32>(STATE, PART) == STREAM_HEADER && load<u32>(STATE, STREAMS) > 0 && bitsLeft() == 0;
}

export function blockWasGiven(): bool {
  return load<u32>(STATE, LEFT) == 0 && load<u32>(STATE, REPEAT) == 0;
}

function readFooter(): i32 {
  if (bitsLeft() < 32) return NEEDS_INPUT;
  const stated = takeBits(32);
  if (stated != load<u32>(STATE, STREAM_CRC)) {
    store<u32>(STATE, stated, STATED_CRC);
    return BAD_STREAM_CRC;
  }
  store<u32>(STATE, (load<u32>(STATE, BIT) + 7) & ~7, BIT);
  store<u32>(STATE, load<u32>(STATE, STREAMS) + 1, STREAMS);
  enter(STREAM_HEADER);
  return STREAM_ENDED;
}
