// Eight entries at a time: those of an allocation table that begin a run, then what they are.

import {
  DATA,
  ENTRY_BYTES,
  HAS_ZERO_VALUE,
  HOLE,
  HOLE_TEST,
  HOLE_VALUE,
  HOLE_WHEN_EQUAL,
  isHole,
  isUnpacked,
  isZero,
  MASK,
  OPEN_AT,
  OPEN_FIRST,
  OPEN_KIND,
  PACKED,
  PACKED_BITS,
  PLAN,
  PLAN_HOLE_MASKED,
  PLAN_MASK,
  PLAN_ORDER,
  PLAN_SPECIAL,
  PLAN_STEP,
  PLAN_ZERO_MASKED,
  POSITION_BASE,
  SCALE,
  UNIT,
  ZERO,
  ZERO_BITS,
  ZERO_VALUE,
} from "./table-layout";

/**
 * Blocks compare one u64 for each entry, its key: the masked bits of data, which are below 2^52 there, or one of these. An entry joins
 * the open run if its key is the one expected.
 */
const HOLE_KEY: u64 = 1 << 62;
const ZERO_KEY: u64 = 2 << 62;
const PACKED_KEY: u64 = 3 << 62;
/** Expected after a packed entry and where no run is open: no entry's. */
const NO_KEY: u64 = PACKED_KEY + 1;

/** For every set of four entries, as bits: their numbers, each moved down to where the set has room for it. */
const CHOSEN = memory.data<u32>([
  0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 1, 2, 0, 0, 0, 1, 2, 0, 3, 0, 0, 0, 0, 3, 0, 0, 1, 3, 0, 0, 0, 1,
  3, 0, 2, 3, 0, 0, 0, 2, 3, 0, 1, 2, 3, 0, 0, 1, 2, 3,
]);

/** 2^52 as a double: with a smaller integer in the bits below, that integer more. */
const TWO_52_BITS: u64 = 0x4330000000000000;

/** What `markStarts` gives besides its result: how many runs, and whether every entry holds data. */
export let marked: usize = 0;
let onlyData: bool = true;

/** The key that would join entry `number` to the open run. */
function expectedKey(number: u32, room: u64, parameters: usize): u64 {
  const kind = load<u32>(parameters, OPEN_KIND);
  if (kind === HOLE) return HOLE_KEY;
  if (kind === ZERO) return ZERO_KEY;
  if (kind !== DATA) return NO_KEY;
  const scale = load<f64>(parameters, SCALE);
  const base = load<f64>(parameters, POSITION_BASE);
  const at = load<f64>(parameters, OPEN_AT) + <f64>(number - load<u32>(parameters, OPEN_FIRST)) * load<f64>(parameters, UNIT);
  return at < base + <f64>room * scale ? <u64>((at - base) / scale) : NO_KEY;
}

/**
 * Two entries, as two u64. `T` is the kind of table, so that loops are compiled for each: i64 and i32 stand for big-endian entries, u64
 * and u32 for little-endian ones.
 */
function pairAt<T>(ptr: usize): v128 {
  if (sizeof<T>() === 8) {
    const pair = v128.load(ptr);
    return isSigned<T>() ? i8x16.swizzle(pair, i8x16(7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8)) : pair;
  }
  const pair = v128.load_ext<u32>(ptr);
  return isSigned<T>() ? i8x16.swizzle(pair, i8x16(3, 2, 1, 0, -1, -1, -1, -1, 11, 10, 9, 8, -1, -1, -1, -1)) : pair;
}

/** As `pairAt`, two or four entries as they are. */
function wordsAt<T>(ptr: usize): v128 {
  const words = v128.load(ptr);
  if (!isSigned<T>()) return words;
  return i8x16.swizzle(
    words,
    sizeof<T>() === 8
      ? i8x16(7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8)
      : i8x16(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12),
  );
}

/**
 * Numbers of the entries that begin a run → `firsts`. Returns for how many entries: it stops before eight of which one's position is not
 * exact, and before fewer than eight. Stores go past the runs found, never past the entries looked at.
 */
export function markStarts<T>(ptr: usize, entries: u32, first: u32, room: u64, parameters: usize, firsts: usize): u32 {
  const size: u32 = sizeof<T>();
  const masks = v128.load(PLAN, PLAN_MASK);
  const steps = v128.load(PLAN, PLAN_STEP);
  const special = v128.load(PLAN, PLAN_SPECIAL);
  const holeMasked = v128.load(PLAN, PLAN_HOLE_MASKED);
  const zeroMasked = v128.load(PLAN, PLAN_ZERO_MASKED);
  const hasZeroValue = load<u32>(parameters, HAS_ZERO_VALUE) !== 0;

  let next = i64x2.splat(expectedKey(first, room, parameters));
  let runs: usize = firsts;
  let quiet: u32 = 0;
  let i: u32 = 0;
  onlyData = true;
  if (entries < 8) {
    marked = 0;
    return 0;
  }
  do {
    const at = ptr + i * size;
    const a = pairAt<T>(at);
    const b = pairAt<T>(at + 2 * size);
    const c = pairAt<T>(at + 4 * size);
    const d = pairAt<T>(at + 6 * size);
    const keyA = v128.and(a, masks);
    const keyB = v128.and(b, masks);
    const keyC = v128.and(c, masks);
    const keyD = v128.and(d, masks);
    let odd = v128.or(
      v128.or(
        v128.or(i64x2.eq(keyA, holeMasked), i64x2.eq(keyB, holeMasked)),
        v128.or(i64x2.eq(keyC, holeMasked), i64x2.eq(keyD, holeMasked)),
      ),
      v128.and(v128.or(v128.or(a, b), v128.or(c, d)), special),
    );
    if (hasZeroValue) {
      const zeroes = v128.or(
        v128.or(i64x2.eq(keyA, zeroMasked), i64x2.eq(keyB, zeroMasked)),
        v128.or(i64x2.eq(keyC, zeroMasked), i64x2.eq(keyD, zeroMasked)),
      );
      odd = v128.or(odd, zeroes);
    }
    let joins: u32;
    if (!v128.any_true(odd)) {
      const nextA = i64x2.add(keyA, steps);
      const nextB = i64x2.add(keyB, steps);
      const nextC = i64x2.add(keyC, steps);
      const joinA = i64x2.eq(keyA, v128.shuffle<u64>(next, nextA, 1, 2));
      const joinB = i64x2.eq(keyB, v128.shuffle<u64>(nextA, nextB, 1, 2));
      next = i64x2.add(keyD, steps);
      const joinC = i64x2.eq(keyC, v128.shuffle<u64>(nextB, nextC, 1, 2));
      const joinD = i64x2.eq(keyD, v128.shuffle<u64>(nextC, next, 1, 2));
      joins =
        i32x4.bitmask(v128.shuffle<u32>(joinA, joinB, 0, 2, 4, 6)) | (i32x4.bitmask(v128.shuffle<u32>(joinC, joinD, 0, 2, 4, 6)) << 4);
    } else {
      const noBits = i64x2.splat(0);
      let risky = noBits;
      let after = next;
      joins = 0;
      for (let pair: u32 = 0; pair < 8; pair += 2) {
        const x = pairAt<T>(at + pair * size);
        const unpacked = isUnpacked(x);
        const zero = isZero(x);
        const hole = isHole(x);
        const data = v128.andnot(v128.andnot(unpacked, zero), hole);
        const masked = v128.and(x, masks);
        risky = v128.or(risky, v128.and(masked, data));
        const other = v128.bitselect(v128.bitselect(i64x2.splat(ZERO_KEY), i64x2.splat(HOLE_KEY), zero), i64x2.splat(PACKED_KEY), unpacked);
        const key = v128.bitselect(masked, other, data);
        const before = after;
        after = v128.or(i64x2.add(key, v128.and(steps, data)), v128.andnot(i64x2.splat(NO_KEY), unpacked));
        joins |= i64x2.bitmask(i64x2.eq(key, v128.shuffle<u64>(before, after, 1, 2))) << pair;
      }
      if (v128.any_true(v128.and(risky, i64x2.splat(0 - room)))) break;
      onlyData = false;
      next = after;
    }
    // No branch asks which entries begin a run: nobody could foretell it in a fragmented table.
    const number = i32x4.splat(first + i);
    i += 8;
    if (joins !== 255) {
      const starts = ~joins;
      v128.store(runs, i32x4.add(number, v128.load(CHOSEN + ((starts & 15) << 4))));
      runs += popcnt(starts & 15) << 2;
      v128.store(runs, i32x4.add(i32x4.add(number, i32x4.splat(4)), v128.load(CHOSEN + (starts & 240))));
      runs += popcnt(starts & 240) << 2;
      quiet = 0;
      continue;
    }
    // Eight that joined: holes at once, and data after a while, are taken for a long run.
    const most = ((entries - i) * size) >>> 6;
    const key: u64 = i64x2.extract_lane(next, 1);
    const entry: u64 = i64x2.extract_lane(d, 1);
    let blocks: u32 = 0;
    if (key >= HOLE_KEY) {
      blocks = likeBlocks(size === 8 ? v128.load64_splat(at + 56) : v128.load32_splat(at + 28), at + 8 * size, most);
    } else if (++quiet > 2 && countsOn(entry, key, entries - i, room, parameters)) {
      const step: u64 = i64x2.extract_lane(steps, 0);
      blocks = risingBlocks<T>(at + 8 * size, most, entry, step);
      next = i64x2.splat(key + step * ((blocks << 6) / size));
    }
    i += (blocks << 6) / size;
  } while (entries - i >= 8);
  marked = (runs - firsts) >>> 2;
  return i;
}

/**
 * Whether as many `entries` of a run after `entry` would rise by the step as they are, flags and all: the masked bits below `room` lie
 * side by side, none of them has a meaning, and there is no value with a meaning and no end of the room on the way. `key`: what is
 * expected after `entry`, which rose by the step itself: the step counts in masked bits.
 */
function countsOn(entry: u64, key: u64, entries: u32, room: u64, parameters: usize): bool {
  const mask = load<u64>(parameters, MASK);
  const meant = load<u64>(parameters, ZERO_BITS) | load<u64>(parameters, PACKED_BITS);
  const step = load<u64>(PLAN, PLAN_STEP);
  if (step >= 1 << 31) return false; // or `reach` might not fit
  const reach = step * entries;
  const lowest = mask & (0 - mask);
  const field = (room - 1) & (0 - lowest);
  if ((mask & (room - 1)) !== field || meant & field || key + reach >= room) return false;
  if (load<u32>(parameters, HOLE_TEST) === HOLE_WHEN_EQUAL && load<u64>(parameters, HOLE_VALUE) - entry <= reach) return false;
  return !(load<u32>(parameters, HAS_ZERO_VALUE) && load<u64>(parameters, ZERO_VALUE) - entry <= reach);
}

/** How many blocks of 64 bytes from `ptr` on, at most `most`, hold entries each `step` above the one before, beginning after `entry`. */
function risingBlocks<T>(ptr: usize, most: u32, entry: u64, step: u64): u32 {
  const wide = sizeof<T>() === 8;
  // Narrow entries are two to a u64: what is added never carries from one into the other.
  const one = wide ? step : step | (step << 32);
  const first = wide ? entry + step : (entry + step) | ((entry + 2 * step) << 32);
  const lane = wide ? one : one << 1;
  let a = i64x2.replace_lane(i64x2.splat(first), 1, first + lane);
  let b = i64x2.add(a, i64x2.splat(lane << 1));
  let c = i64x2.add(b, i64x2.splat(lane << 1));
  let d = i64x2.add(c, i64x2.splat(lane << 1));
  const block = i64x2.splat(lane << 3);
  let blocks: u32 = 0;
  for (; blocks < most; blocks++, ptr += 64) {
    const ab = v128.or(v128.xor(wordsAt<T>(ptr), a), v128.xor(wordsAt<T>(ptr + 16), b));
    const cd = v128.or(v128.xor(wordsAt<T>(ptr + 32), c), v128.xor(wordsAt<T>(ptr + 48), d));
    if (v128.any_true(v128.or(ab, cd))) break;
    a = i64x2.add(a, block);
    b = i64x2.add(b, block);
    c = i64x2.add(c, block);
    d = i64x2.add(d, block);
  }
  return blocks;
}

/** Kinds and positions of `runs` runs from their numbers. `table`: where entry 0 lies or would lie. */
export function describe(table: usize, runs: usize, parameters: usize, kinds: usize, firsts: usize, positions: usize): void {
  const size: u32 = load<u32>(parameters, ENTRY_BYTES);
  const shift: u32 = size === 8 ? 3 : 2;
  const order = v128.load(PLAN, PLAN_ORDER);
  const masks = v128.load(PLAN, PLAN_MASK);
  const scale = v128.load64_splat(parameters, SCALE);
  const base = v128.load64_splat(parameters, POSITION_BASE);
  const two52 = i64x2.splat(TWO_52_BITS);
  if (onlyData) memory.fill(kinds, <u8>DATA, runs);
  // They are taken two by two.
  if (runs & 1) store<u32>(firsts + (runs << 2), load<u32>(firsts + ((runs - 1) << 2)));
  for (let run: usize = 0; run < runs; run += 2, firsts += 8, positions += 16) {
    const one = v128.load64_zero(table + (load<u32>(firsts) << shift));
    const x = i8x16.swizzle(v128.load64_lane(table + (load<u32>(firsts, 4) << shift), one, 1), order);
    const position = f64x2.add(base, f64x2.mul(f64x2.sub(v128.or(v128.and(x, masks), two52), two52), scale));
    if (onlyData) {
      v128.store(positions, position);
      continue;
    }
    const unpacked = isUnpacked(x);
    const zero = isZero(x);
    const data = v128.andnot(v128.andnot(unpacked, zero), isHole(x));
    v128.store(positions, v128.and(position, data));
    const other = v128.bitselect(i64x2.splat(ZERO), i64x2.splat(HOLE), zero);
    const kind = v128.bitselect(v128.bitselect(i64x2.splat(DATA), other, data), i64x2.splat(PACKED), unpacked);
    store<u8>(kinds + run, i64x2.extract_lane(kind, 0));
    store<u8>(kinds + run + 1, i64x2.extract_lane(kind, 1));
  }
}

/** How many blocks of 64 bytes from `ptr` on, at most `most`, hold nothing but the entry that fills `like`. */
function likeBlocks(like: v128, ptr: usize, most: u32): u32 {
  let blocks: u32 = 0;
  for (; blocks < most; blocks++, ptr += 64) {
    const a = v128.or(v128.xor(v128.load(ptr), like), v128.xor(v128.load(ptr, 16), like));
    const b = v128.or(v128.xor(v128.load(ptr, 32), like), v128.xor(v128.load(ptr, 48), like));
    if (v128.any_true(v128.or(a, b))) break;
  }
  return blocks;
}
