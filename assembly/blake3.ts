// BLAKE3: chunks, pieces and the tree over them. Section numbers as in blake3-compress.ts.
import { BLOCK, CHUNK_END, CHUNK_START, CVS, compress, compressZeroChunks, MESSAGE, PARENT, ROOT, startCvs } from "./blake3-compress";

const CHUNK: i32 = 1024;
const PIECE: i32 = 64 * CHUNK;

/** Zero-padded last block of a chunk. */
const LAST_BLOCK: usize = memory.data(BLOCK, 16);
/** The four chaining values of a group that is not full. */
const PARTIAL: usize = memory.data(4 * 32, 16);
/** Chaining values on their way up the tree: up to 64 chunks of a piece, or up to 32 pieces of a message. */
const CHUNK_CVS: usize = memory.data(64 * 32, 16);
const PIECE_CVS: usize = memory.data(32 * 32, 16);
/** Never written. */
const ZEROS: usize = memory.data(4 * CHUNK, 16);

/** Four vectors as the rows of a 4×4 matrix of words; its columns go to `out` + 0, `stride`, 2 `stride`, 3 `stride`. */
function transpose(a: v128, b: v128, c: v128, d: v128, out: usize, stride: usize): void {
  const ab = i32x4.shuffle(a, b, 0, 4, 1, 5);
  const cd = i32x4.shuffle(c, d, 0, 4, 1, 5);
  const ab2 = i32x4.shuffle(a, b, 2, 6, 3, 7);
  const cd2 = i32x4.shuffle(c, d, 2, 6, 3, 7);
  v128.store(out, i64x2.shuffle(ab, cd, 0, 2));
  v128.store(out + stride, i64x2.shuffle(ab, cd, 1, 3));
  v128.store(out + 2 * stride, i64x2.shuffle(ab2, cd2, 0, 2));
  v128.store(out + 3 * stride, i64x2.shuffle(ab2, cd2, 1, 3));
}

/** MESSAGE = blocks at `ptr`, `ptr + stride`, …; lanes past `lanes` repeat the first. */
function loadBlocks(ptr: usize, stride: usize, lanes: i32): void {
  const b = lanes > 1 ? ptr + stride : ptr;
  const c = lanes > 2 ? ptr + 2 * stride : ptr;
  const d = lanes > 3 ? ptr + 3 * stride : ptr;
  for (let at: usize = 0; at < <usize>BLOCK; at += 16)
    transpose(v128.load(ptr + at), v128.load(b + at), v128.load(c + at), v128.load(d + at), MESSAGE + at * 4, 16);
}

/** The chaining values of the first `lanes` lanes → `out`, 32 bytes each. */
function storeCvs(out: usize, lanes: i32): void {
  const to = lanes === 4 ? out : PARTIAL;
  transpose(v128.load(CVS), v128.load(CVS + 16), v128.load(CVS + 32), v128.load(CVS + 48), to, 32);
  transpose(v128.load(CVS + 64), v128.load(CVS + 80), v128.load(CVS + 96), v128.load(CVS + 112), to + 16, 32);
  if (lanes !== 4) memory.copy(out, PARTIAL, <usize>lanes * 32);
}

function lowCounters(first: u64): v128 {
  const low = i32x4.splat(<i32>first);
  return i32x4.add(low, i32x4(0, 1, 2, 3));
}
function highCounters(first: u64): v128 {
  return i32x4(<i32>(first >> 32), <i32>((first + 1) >> 32), <i32>((first + 2) >> 32), <i32>((first + 3) >> 32));
}

/** Chaining values of `lanes` (1 to 4) whole chunks, of which `first` is the number of the first (section 2.4). */
function chunks(ptr: usize, lanes: i32, first: u64, out: usize): void {
  const low = lowCounters(first);
  const high = highCounters(first);
  startCvs();
  for (let block = 0; block < 16; block++) {
    loadBlocks(ptr + <usize>(block * BLOCK), CHUNK, lanes);
    compress(low, high, BLOCK, block === 0 ? CHUNK_START : block === 15 ? CHUNK_END : 0);
  }
  storeCvs(out, lanes);
}

/** One chunk of 0 to 1024 bytes; `root` (ROOT or 0) marks the last block. */
function chunk(ptr: usize, length: i32, number: u64, root: i32, out: usize): void {
  const low = lowCounters(number);
  const high = highCounters(number);
  let flags = CHUNK_START;
  startCvs();
  while (length > BLOCK) {
    loadBlocks(ptr, 0, 1);
    compress(low, high, BLOCK, flags);
    flags = 0;
    ptr += BLOCK;
    length -= BLOCK;
  }
  memory.fill(LAST_BLOCK, 0, BLOCK);
  memory.copy(LAST_BLOCK, ptr, length);
  loadBlocks(LAST_BLOCK, 0, 1);
  compress(low, high, length, flags | CHUNK_END | root);
  storeCvs(out, 1);
}

/** Section 2.5: `n` pairs of chaining values → `n` chaining values. May work in place. */
function parents(ptr: usize, n: i32, flags: i32, out: usize): void {
  while (n > 0) {
    const lanes = min(n, 4);
    startCvs();
    loadBlocks(ptr, BLOCK, lanes);
    compress(i32x4.splat(0), i32x4.splat(0), BLOCK, flags);
    storeCvs(out, lanes);
    ptr += <usize>(lanes * BLOCK);
    out += <usize>(lanes * 32);
    n -= lanes;
  }
}

/** Joins neighbours level by level until `floor` are left; an odd last one moves up as it is (section 2.1: the left subtree is full). */
function reduce(cvs: usize, n: i32, floor: i32): void {
  while (n > floor) {
    let above = n >> 1;
    parents(cvs, above, PARENT, cvs);
    if (n & 1) {
      memory.copy(cvs + <usize>(above * 32), cvs + <usize>((n - 1) * 32), 32);
      above++;
    }
    n = above;
  }
}

/** Chunk chaining values of up to one piece → CHUNK_CVS; how many. */
function chunksOfPiece(ptr: usize, length: i32, first: u64): i32 {
  const whole = length / CHUNK;
  const rest = length % CHUNK;
  for (let i = 0; i < whole; i += 4) {
    const lanes = min(whole - i, 4);
    chunks(ptr + <usize>(i * CHUNK), lanes, first + <u64>i, CHUNK_CVS + <usize>(i * 32));
  }
  if (rest === 0) return whole;
  chunk(ptr + <usize>(whole * CHUNK), rest, first + <u64>whole, 0, CHUNK_CVS + <usize>(whole * 32));
  return whole + 1;
}

/** The same for zeros, in no memory. */
function zeroChunksOfPiece(length: i32, first: u64): i32 {
  const groups = length / (4 * CHUNK);
  for (let i = 0; i < groups; i++) {
    const number = first + <u64>(i * 4);
    compressZeroChunks(lowCounters(number), highCounters(number));
    storeCvs(CHUNK_CVS + <usize>(i * 128), 4);
  }
  const rest = length % (4 * CHUNK);
  if (rest === 0) return groups * 4;
  const whole = rest / CHUNK;
  const cvs = CHUNK_CVS + <usize>(groups * 128);
  const number = first + <u64>(groups * 4);
  if (whole > 0) chunks(ZEROS, whole, number, cvs);
  if (rest % CHUNK === 0) return groups * 4 + whole;
  chunk(ZEROS, rest % CHUNK, number + <u64>whole, 0, cvs + <usize>(whole * 32));
  return groups * 4 + whole + 1;
}

/**
 * The non-root chaining value of every 64 KiB piece, 32 bytes each → `out`; the last piece may be short. Returns their number.
 * `firstChunk`: number of the chunk at `ptr` in the whole message; a multiple of 64 when these pieces are to join a tree.
 */
export function blake3Pieces(ptr: usize, length: i32, firstChunk: f64, out: usize): i32 {
  let first = <u64>firstChunk;
  let pieces = 0;
  while (length > 0) {
    const n = chunksOfPiece(ptr, min(length, PIECE), first);
    reduce(CHUNK_CVS, n, 1);
    memory.copy(out + <usize>(pieces * 32), CHUNK_CVS, 32);
    pieces++;
    ptr += PIECE;
    first += 64;
    length -= PIECE;
  }
  return pieces;
}

/** `blake3Pieces` of `length` zeros. */
export function blake3ZeroPieces(length: i32, firstChunk: f64, out: usize): i32 {
  let first = <u64>firstChunk;
  let pieces = 0;
  while (length > 0) {
    const n = zeroChunksOfPiece(min(length, PIECE), first);
    reduce(CHUNK_CVS, n, 1);
    memory.copy(out + <usize>(pieces * 32), CHUNK_CVS, 32);
    pieces++;
    first += 64;
    length -= PIECE;
  }
  return pieces;
}

/** `n` pairs of chaining values at `ptr` → `n` parents at `out`. */
export function blake3Parents(ptr: usize, n: i32, out: usize): void {
  parents(ptr, n, PARENT, out);
}

/** The last pair of a tree → the digest. */
export function blake3Root(ptr: usize, out: usize): void {
  parents(ptr, 1, PARENT | ROOT, out);
}

/** Digest of a message of 0 to 2 MiB. */
export function blake3Digest(ptr: usize, length: i32, out: usize): void {
  if (length <= CHUNK) {
    chunk(ptr, length, 0, ROOT, out);
  } else if (length <= PIECE) {
    reduce(CHUNK_CVS, chunksOfPiece(ptr, length, 0), 2);
    parents(CHUNK_CVS, 1, PARENT | ROOT, out);
  } else {
    reduce(PIECE_CVS, blake3Pieces(ptr, length, 0, PIECE_CVS), 2);
    parents(PIECE_CVS, 1, PARENT | ROOT, out);
  }
}
