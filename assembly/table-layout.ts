// What a table's layout says, as src/kernels/table-scan.ts writes it and as the loops of table-blocks.ts take it.

export const HOLE: u32 = 0;
export const ZERO: u32 = 1;
export const DATA: u32 = 2;
export const PACKED: u32 = 3;

// The parameter block; src/kernels/table-scan.ts writes it. The last three fields are the run that is open between two calls.
export const MASK: usize = 0; // u64
export const HOLE_VALUE: usize = 8; // u64
export const ZERO_VALUE: usize = 16; // u64
export const ZERO_BITS: usize = 24; // u64
export const PACKED_BITS: usize = 32; // u64
export const SCALE: usize = 40; // f64
export const POSITION_BASE: usize = 48; // f64
export const UNIT: usize = 56; // f64
export const ENTRY_BYTES: usize = 64; // u32: 4 or 8
export const BIG_ENDIAN: usize = 68; // u32: 1 or 0
export const HOLE_TEST: usize = 72; // u32: 0 masked bits all zero, 1 equals HOLE_VALUE, 2 never
export const HAS_ZERO_VALUE: usize = 76; // u32: 1 or 0
export const OPEN_AT: usize = 80; // f64: position of the open run's first entry
export const OPEN_FIRST: usize = 88; // u32: number of its first entry
export const OPEN_KIND: usize = 92; // u32: its kind; above 3: none is open

export const HOLE_WHEN_UNMASKED: u32 = 0;
export const HOLE_WHEN_EQUAL: u32 = 1;

const TWO_52: f64 = 4503599627370496;
const TWO_53: f64 = 9007199254740992;

/**
 * What the parameters come to, as pairs of u64. Loops load them: what is computed before a loop, V8 may compute anew in every round.
 * An entry whose bits `PLAN_HOLE_BITS` equal `PLAN_HOLE` is a hole, likewise for the zero value; one that no entry equals has other bits.
 */
export const PLAN = memory.data(12 * 16, 16);
export const PLAN_MASK: usize = 0;
export const PLAN_STEP: usize = 16;
export const PLAN_PACKED_BITS: usize = 32;
export const PLAN_ZERO_BITS: usize = 48;
export const PLAN_ZERO_VALUE_BITS: usize = 64;
export const PLAN_ZERO_VALUE: usize = 80;
export const PLAN_HOLE_BITS: usize = 96;
export const PLAN_HOLE: usize = 112;
/** For a first look, which may mistrust too much: the masked bits of holes and of the zero value, and bits of no exact data. */
export const PLAN_HOLE_MASKED: usize = 128;
export const PLAN_ZERO_MASKED: usize = 144;
export const PLAN_SPECIAL: usize = 160;
/** How the bytes of two entries, the second at byte 8, become two u64. */
export const PLAN_ORDER: usize = 176;

/**
 * A power of two: masked bits below it give positions that are exact, and those of neighbours in a run differ by unit / scale, a whole
 * number. 0 where that holds for none.
 */
export function exactRoom(parameters: usize): u64 {
  const scale = load<f64>(parameters, SCALE);
  const base = load<f64>(parameters, POSITION_BASE);
  const unit = load<f64>(parameters, UNIT);
  const step = unit / scale;
  if (!(base >= 0 && base < TWO_52 && floor(base) === base)) return 0;
  if (!(scale >= 1 && floor(scale) === scale && unit <= TWO_52 && step >= 1 && floor(step) === step && step * scale === unit)) return 0;
  const exact = highestBit(<u64>min((TWO_53 - base) / scale, TWO_52));
  const narrow = load<u32>(parameters, ENTRY_BYTES) === 4;
  const top = highestBit(narrow ? load<u32>(parameters, MASK) : load<u64>(parameters, MASK));
  return exact > top ? top << 1 : exact;
}

function highestBit(value: u64): u64 {
  return (<u64>1) << (63 - clz(value | 1));
}

/** Parameters → `PLAN`. `room`: see `exactRoom`, not 0. */
export function plan(room: u64, parameters: usize): void {
  const mask = load<u64>(parameters, MASK);
  const packedBits = load<u64>(parameters, PACKED_BITS);
  const zeroBits = load<u64>(parameters, ZERO_BITS);
  const zeroValue = load<u64>(parameters, ZERO_VALUE);
  const hasZeroValue = load<u32>(parameters, HAS_ZERO_VALUE) !== 0;
  const holeTest = load<u32>(parameters, HOLE_TEST);
  const unmasked = holeTest === HOLE_WHEN_UNMASKED;
  const equal = holeTest === HOLE_WHEN_EQUAL;
  const holeValue: u64 = equal ? load<u64>(parameters, HOLE_VALUE) : 0;
  v128.store(PLAN, i64x2.splat(mask), PLAN_MASK);
  v128.store(PLAN, i64x2.splat(<u64>(load<f64>(parameters, UNIT) / load<f64>(parameters, SCALE))), PLAN_STEP);
  v128.store(PLAN, i64x2.splat(packedBits), PLAN_PACKED_BITS);
  v128.store(PLAN, i64x2.splat(zeroBits), PLAN_ZERO_BITS);
  v128.store(PLAN, i64x2.splat(hasZeroValue ? <u64>-1 : 0), PLAN_ZERO_VALUE_BITS);
  v128.store(PLAN, i64x2.splat(hasZeroValue ? zeroValue : 1), PLAN_ZERO_VALUE);
  v128.store(PLAN, i64x2.splat(unmasked ? mask : equal ? <u64>-1 : 0), PLAN_HOLE_BITS);
  v128.store(PLAN, i64x2.splat(unmasked || equal ? holeValue : 1), PLAN_HOLE);
  v128.store(PLAN, i64x2.splat(holeValue & mask), PLAN_HOLE_MASKED);
  v128.store(PLAN, i64x2.splat(zeroValue & mask), PLAN_ZERO_MASKED);
  v128.store(PLAN, i64x2.splat(packedBits | zeroBits | (mask & (0 - room))), PLAN_SPECIAL);
  v128.store(PLAN, entryOrder(load<u32>(parameters, ENTRY_BYTES) === 8, load<u32>(parameters, BIG_ENDIAN) !== 0), PLAN_ORDER);
}

function entryOrder(wide: bool, bigEndian: bool): v128 {
  if (wide)
    return bigEndian
      ? i8x16(7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8)
      : i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return bigEndian
    ? i8x16(3, 2, 1, 0, -1, -1, -1, -1, 11, 10, 9, 8, -1, -1, -1, -1)
    : i8x16(0, 1, 2, 3, -1, -1, -1, -1, 8, 9, 10, 11, -1, -1, -1, -1);
}

export function isUnpacked(entries: v128): v128 {
  return i64x2.eq(v128.and(entries, v128.load(PLAN, PLAN_PACKED_BITS)), i64x2.splat(0));
}

/** Unless it is packed. */
export function isZero(entries: v128): v128 {
  const byBits = i64x2.ne(v128.and(entries, v128.load(PLAN, PLAN_ZERO_BITS)), i64x2.splat(0));
  return v128.or(byBits, i64x2.eq(v128.and(entries, v128.load(PLAN, PLAN_ZERO_VALUE_BITS)), v128.load(PLAN, PLAN_ZERO_VALUE)));
}

/** Unless it is packed or zero. */
export function isHole(entries: v128): v128 {
  return i64x2.eq(v128.and(entries, v128.load(PLAN, PLAN_HOLE_BITS)), v128.load(PLAN, PLAN_HOLE));
}
