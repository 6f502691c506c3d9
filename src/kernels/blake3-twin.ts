/**
 * BLAKE3 in plain TypeScript, straight from the specification (O'Connor and others; section numbers are its own): what the
 * kernel is tested against, for chunk numbers that no library lets one choose. Slow.
 */
const IV = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19] as const;
const PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8] as const;
const CHUNK_START = 1;
const CHUNK_END = 2;
const PARENT = 4;
const ROOT = 8;
const CHUNK_BYTES = 1024;
const BLOCK_BYTES = 64;

const rotate = (x: number, by: number): number => (x >>> by) | (x << (32 - by));

/** Section 2.2. Words in, the first eight words of the output out. */
function compress(cv: ArrayLike<number>, block: ArrayLike<number>, counter: bigint, length: number, flags: number): Uint32Array {
  const low = Number(BigInt.asUintN(32, counter));
  const high = Number(BigInt.asUintN(32, counter >> 32n));
  const v = Uint32Array.of(...Array.from(cv), ...IV.slice(0, 4), low, high, length, flags);
  let m = Array.from(block);
  const word = (i: number): number => v[i] as number;
  const mix = (a: number, b: number, c: number, d: number, x: number, y: number) => {
    v[a] = word(a) + word(b) + x;
    v[d] = rotate(word(d) ^ word(a), 16);
    v[c] = word(c) + word(d);
    v[b] = rotate(word(b) ^ word(c), 12);
    v[a] = word(a) + word(b) + y;
    v[d] = rotate(word(d) ^ word(a), 8);
    v[c] = word(c) + word(d);
    v[b] = rotate(word(b) ^ word(c), 7);
  };
  for (let round = 0; round < 7; round++) {
    for (let i = 0; i < 4; i++) mix(i, 4 + i, 8 + i, 12 + i, m[2 * i] as number, m[2 * i + 1] as number);
    for (let i = 0; i < 4; i++)
      mix(i, 4 + ((i + 1) % 4), 8 + ((i + 2) % 4), 12 + ((i + 3) % 4), m[8 + 2 * i] as number, m[9 + 2 * i] as number);
    m = PERMUTATION.map((from) => m[from] as number);
  }
  return Uint32Array.from({ length: 8 }, (_, i) => word(i) ^ word(i + 8));
}

function words(bytes: Uint8Array): Uint32Array {
  const padded = new Uint8Array(BLOCK_BYTES);
  padded.set(bytes);
  const view = new DataView(padded.buffer);
  return Uint32Array.from({ length: 16 }, (_, i) => view.getUint32(i * 4, true));
}

/** Section 2.4. */
function chunk(bytes: Uint8Array, counter: bigint, root: number): Uint32Array {
  let cv: Uint32Array = Uint32Array.from(IV);
  const last = Math.max(0, Math.ceil(bytes.length / BLOCK_BYTES) - 1);
  for (let i = 0; i <= last; i++) {
    const block = bytes.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES);
    const flags = (i === 0 ? CHUNK_START : 0) | (i === last ? CHUNK_END | root : 0);
    cv = compress(cv, words(block), counter, block.length, flags);
  }
  return cv;
}

/** Sections 2.1 and 2.5: the left subtree holds the largest power of two of chunks that leaves something to the right. */
function subtree(bytes: Uint8Array, counter: bigint, root: number): Uint32Array {
  if (bytes.length <= CHUNK_BYTES) return chunk(bytes, counter, root);
  const chunks = Math.ceil(bytes.length / CHUNK_BYTES);
  const left = 2 ** (Math.ceil(Math.log2(chunks)) - 1);
  const cvs = [
    ...subtree(bytes.subarray(0, left * CHUNK_BYTES), counter, 0),
    ...subtree(bytes.subarray(left * CHUNK_BYTES), counter + BigInt(left), 0),
  ];
  return compress(IV, cvs, 0n, BLOCK_BYTES, PARENT | root);
}

function toBytes(cv: Uint32Array): Uint8Array {
  const out = new DataView(new ArrayBuffer(32));
  cv.forEach((value, i) => {
    out.setUint32(i * 4, value, true);
  });
  return new Uint8Array(out.buffer);
}

/** The chaining value of the subtree over `bytes` (at least 1), whose first chunk has the number `firstChunk`. */
export const chainingValue = (bytes: Uint8Array, firstChunk: number): Uint8Array => toBytes(subtree(bytes, BigInt(firstChunk), 0));

export const blake3 = (bytes: Uint8Array): Uint8Array => toBytes(subtree(bytes, 0n, ROOT));
