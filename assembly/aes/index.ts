// AES (FIPS 197) by lookup tables, and the ways in which disk encryption uses it: decryption only. Table lookups take a time that
// depends on the key; whoever could measure it here already has the passphrase, so nothing is done about that.
//
// A state's columns are little-endian words: row r of a column is bits 8r to 8r + 7.

const BLOCK: usize = 16;
const SECTOR: usize = 512;

/** TD_r[x]: what byte x of row r adds to a column in a round of the inverse cipher (InvSubBytes, then InvMixColumns). */
const TD0: usize = memory.data(1024, 16);
const TD1: usize = memory.data(1024, 16);
const TD2: usize = memory.data(1024, 16);
const TD3: usize = memory.data(1024, 16);
/** The same for row 0 of the cipher (SubBytes, then MixColumns); the other rows' are its rotations. */
const TE: usize = memory.data(1024, 16);
const SBOX: usize = memory.data(256, 16);
const INVERSE_SBOX: usize = memory.data(256, 16);
/** The initialization vector or tweak of the sector at hand. */
const VECTOR: usize = memory.data(16, 16);

/** A prepared key: the number of rounds, the key schedule, and the one of the equivalent inverse cipher (section 5.3.5). */
const ROUNDS: usize = 0;
const SCHEDULE: usize = 16;
const INVERSE_SCHEDULE: usize = 16 + 240;
const KEY_BYTES: usize = 16 + 2 * 240;

/** First byte after the static data: what lies from here on is the caller's. */
export function heapBase(): usize {
  return __heap_base;
}

/** Bytes of a prepared key. */
export function preparedBytes(): usize {
  return KEY_BYTES;
}

/** Multiplication by x in GF(2^8) (section 4.2.1). */
function twice(a: u32): u32 {
  return ((a << 1) ^ (a & 0x80 ? 0x11b : 0)) & 0xff;
}

/** Fills the tables; once, before anything else. */
export function setUp(): void {
  // 3 generates the field's units: `p` runs through them all, and `q` through their inverses (0xf6 is the inverse of 3).
  let p: u32 = 1;
  let q: u32 = 1;
  do {
    p = p ^ twice(p);
    q ^= q << 1;
    q ^= q << 2;
    q ^= q << 4;
    q &= 0xff;
    if (q & 0x80) q ^= 0x09;
    setSubstitute(p, affine(q));
  } while (p != 1);
  setSubstitute(0, affine(0));
  for (let x: usize = 0; x < 256; x++) {
    const s = <u32>load<u8>(SBOX + x);
    const s2 = twice(s);
    store<u32>(TE + 4 * x, s2 | (s << 8) | (s << 16) | ((s2 ^ s) << 24));
    const i = <u32>load<u8>(INVERSE_SBOX + x);
    const i2 = twice(i);
    const i4 = twice(i2);
    const i8 = twice(i4);
    const column = (i8 ^ i4 ^ i2) | ((i8 ^ i) << 8) | ((i8 ^ i4 ^ i) << 16) | ((i8 ^ i2 ^ i) << 24);
    store<u32>(TD0 + 4 * x, column);
    store<u32>(TD1 + 4 * x, rotl(column, 8));
    store<u32>(TD2 + 4 * x, rotl(column, 16));
    store<u32>(TD3 + 4 * x, rotl(column, 24));
  }
}

/** Section 5.1.1, step 2 of SubBytes. */
function affine(q: u32): u32 {
  const byte = <u8>q;
  return <u32>(byte ^ rotl(byte, 1) ^ rotl(byte, 2) ^ rotl(byte, 3) ^ rotl(byte, 4)) ^ 0x63;
}

function setSubstitute(x: u32, s: u32): void {
  store<u8>(SBOX + <usize>x, <u8>s);
  store<u8>(INVERSE_SBOX + <usize>s, <u8>x);
}

function box(table: usize, word: u32, shift: u32): u32 {
  return <u32>load<u8>(table + ((word >>> shift) & 0xff));
}

/** SubWord of section 5.2 for SBOX. */
function substitute(table: usize, w: u32): u32 {
  return box(table, w, 0) | (box(table, w, 8) << 8) | (box(table, w, 16) << 16) | (box(table, w, 24) << 24);
}

/** Where in a table of words the entry for row r of `word` lies; written so that it is one shift and one mask. */
function row0(word: u32): usize {
  return (word << 2) & 0x3fc;
}
function row1(word: u32): usize {
  return (word >>> 6) & 0x3fc;
}
function row2(word: u32): usize {
  return (word >>> 14) & 0x3fc;
}
function row3(word: u32): usize {
  return (word >>> 22) & 0x3fc;
}

/** Key expansion (section 5.2) of `length` bytes (16, 24 or 32) at `from` → a prepared key at `key`, 16-byte aligned. */
export function prepareKey(key: usize, from: usize, length: usize): void {
  const words: usize = length >> 2;
  const rounds: usize = words + 6;
  const total: usize = 4 * (rounds + 1);
  const schedule = key + SCHEDULE;
  store<u32>(key, <u32>rounds, ROUNDS);
  memory.copy(schedule, from, length);
  let constant: u32 = 1;
  for (let i = words; i < total; i++) {
    let w = load<u32>(schedule + 4 * (i - 1));
    if (i % words == 0) {
      w = substitute(SBOX, rotr(w, 8)) ^ constant;
      constant = twice(constant);
    } else if (words > 6 && i % words == 4) w = substitute(SBOX, w);
    store<u32>(schedule + 4 * i, w ^ load<u32>(schedule + 4 * (i - words)));
  }
  const inverse = key + INVERSE_SCHEDULE;
  for (let round: usize = 0; round <= rounds; round++) {
    for (let column: usize = 0; column < 4; column++) {
      let w = load<u32>(schedule + 16 * (rounds - round) + 4 * column);
      if (round > 0 && round < rounds) {
        // SBOX undoes the table's InvSubBytes, so that InvMixColumns is left.
        const s = substitute(SBOX, w);
        w = load<u32>(row0(s), TD0) ^ load<u32>(row1(s), TD1) ^ load<u32>(row2(s), TD2) ^ load<u32>(row3(s), TD3);
      }
      store<u32>(inverse + 16 * round + 4 * column, w);
    }
  }
}

/** The cipher, in place. */
export function encryptBlock(key: usize, at: usize): void {
  let rk = key + SCHEDULE;
  const last = rk + 16 * <usize>load<u32>(key, ROUNDS);
  let a = load<u32>(at) ^ load<u32>(rk);
  let b = load<u32>(at, 4) ^ load<u32>(rk, 4);
  let c = load<u32>(at, 8) ^ load<u32>(rk, 8);
  let d = load<u32>(at, 12) ^ load<u32>(rk, 12);
  for (rk += 16; rk < last; rk += 16) {
    const e =
      load<u32>(row0(a), TE) ^ rotl(load<u32>(row1(b), TE), 8) ^ rotl(load<u32>(row2(c), TE), 16) ^ rotl(load<u32>(row3(d), TE), 24);
    const f =
      load<u32>(row0(b), TE) ^ rotl(load<u32>(row1(c), TE), 8) ^ rotl(load<u32>(row2(d), TE), 16) ^ rotl(load<u32>(row3(a), TE), 24);
    const g =
      load<u32>(row0(c), TE) ^ rotl(load<u32>(row1(d), TE), 8) ^ rotl(load<u32>(row2(a), TE), 16) ^ rotl(load<u32>(row3(b), TE), 24);
    const h =
      load<u32>(row0(d), TE) ^ rotl(load<u32>(row1(a), TE), 8) ^ rotl(load<u32>(row2(b), TE), 16) ^ rotl(load<u32>(row3(c), TE), 24);
    a = e ^ load<u32>(rk);
    b = f ^ load<u32>(rk, 4);
    c = g ^ load<u32>(rk, 8);
    d = h ^ load<u32>(rk, 12);
  }
  store<u32>(at, lastColumn(SBOX, a, b, c, d) ^ load<u32>(rk));
  store<u32>(at, lastColumn(SBOX, b, c, d, a) ^ load<u32>(rk, 4), 4);
  store<u32>(at, lastColumn(SBOX, c, d, a, b) ^ load<u32>(rk, 8), 8);
  store<u32>(at, lastColumn(SBOX, d, a, b, c) ^ load<u32>(rk, 12), 12);
}

/** Row r of the column comes from the r-th argument: the last round has no MixColumns. */
function lastColumn(table: usize, r0: u32, r1: u32, r2: u32, r3: u32): u32 {
  return box(table, r0, 0) | (box(table, r1, 8) << 8) | (box(table, r2, 16) << 16) | (box(table, r3, 24) << 24);
}

/** The equivalent inverse cipher (section 5.3.5), in place. */
function decryptBlock(key: usize, at: usize): void {
  let rk = key + INVERSE_SCHEDULE;
  const last = rk + 16 * <usize>load<u32>(key, ROUNDS);
  let a = load<u32>(at) ^ load<u32>(rk);
  let b = load<u32>(at, 4) ^ load<u32>(rk, 4);
  let c = load<u32>(at, 8) ^ load<u32>(rk, 8);
  let d = load<u32>(at, 12) ^ load<u32>(rk, 12);
  for (rk += 16; rk < last; rk += 16) {
    const e = load<u32>(row0(a), TD0) ^ load<u32>(row1(d), TD1) ^ load<u32>(row2(c), TD2) ^ load<u32>(row3(b), TD3);
    const f = load<u32>(row0(b), TD0) ^ load<u32>(row1(a), TD1) ^ load<u32>(row2(d), TD2) ^ load<u32>(row3(c), TD3);
    const g = load<u32>(row0(c), TD0) ^ load<u32>(row1(b), TD1) ^ load<u32>(row2(a), TD2) ^ load<u32>(row3(d), TD3);
    const h = load<u32>(row0(d), TD0) ^ load<u32>(row1(c), TD1) ^ load<u32>(row2(b), TD2) ^ load<u32>(row3(a), TD3);
    a = e ^ load<u32>(rk);
    b = f ^ load<u32>(rk, 4);
    c = g ^ load<u32>(rk, 8);
    d = h ^ load<u32>(rk, 12);
  }
  store<u32>(at, lastColumn(INVERSE_SBOX, a, d, c, b) ^ load<u32>(rk));
  store<u32>(at, lastColumn(INVERSE_SBOX, b, a, d, c) ^ load<u32>(rk, 4), 4);
  store<u32>(at, lastColumn(INVERSE_SBOX, c, b, a, d) ^ load<u32>(rk, 8), 8);
  store<u32>(at, lastColumn(INVERSE_SBOX, d, c, b, a) ^ load<u32>(rk, 12), 12);
}

/** `number` as 16 little-endian bytes → VECTOR, encrypted under `essiv` unless that is 0. */
function setVector(number: u64, essiv: usize): void {
  store<u64>(VECTOR, number);
  store<u64>(VECTOR, 0, 8);
  if (essiv != 0) encryptBlock(essiv, VECTOR);
}

/**
 * Decrypts `sectors` sectors of 512 bytes in place; the first has the number `first`, of which as many bits count as `bits` (32 or
 * 64) says. The keys are prepared ones. `tweak`: for XTS, else 0: CBC. `essiv`: the key that encrypts sector numbers, or 0.
 */
export function decryptSectors(at: usize, sectors: i32, first: f64, bits: i32, key: usize, tweak: usize, essiv: usize): void {
  const mask: u64 = bits == 32 ? 0xffffffff : ~(<u64>0);
  let number = <u64>first;
  for (const end = at + SECTOR * <usize>sectors; at < end; at += SECTOR) {
    setVector(number & mask, essiv);
    if (tweak != 0) decryptXts(at, key, tweak);
    else decryptCbc(at, key);
    number++;
  }
}

/** IEEE 1619 section 5.4: each block between two additions of the tweak, which is multiplied by x from block to block. */
function decryptXts(at: usize, key: usize, tweak: usize): void {
  encryptBlock(tweak, VECTOR);
  let low = load<u64>(VECTOR);
  let high = load<u64>(VECTOR, 8);
  for (const end = at + SECTOR; at < end; at += BLOCK) {
    store<u64>(at, load<u64>(at) ^ low);
    store<u64>(at, load<u64>(at, 8) ^ high, 8);
    decryptBlock(key, at);
    store<u64>(at, load<u64>(at) ^ low);
    store<u64>(at, load<u64>(at, 8) ^ high, 8);
    const carry = high >>> 63;
    high = (high << 1) | (low >>> 63);
    low = (low << 1) ^ (carry * 0x87);
  }
}

/** NIST SP 800-38A section 6.2. */
function decryptCbc(at: usize, key: usize): void {
  let low = load<u64>(VECTOR);
  let high = load<u64>(VECTOR, 8);
  for (const end = at + SECTOR; at < end; at += BLOCK) {
    const nextLow = load<u64>(at);
    const nextHigh = load<u64>(at, 8);
    decryptBlock(key, at);
    store<u64>(at, load<u64>(at) ^ low);
    store<u64>(at, load<u64>(at, 8) ^ high, 8);
    low = nextLow;
    high = nextHigh;
  }
}
