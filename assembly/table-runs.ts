// Allocation table → runs of like entries. The plain statement of the same is src/core/table-runs.ts; results are equal to the bit.

import { describe, marked, markStarts } from "./table-blocks";
import {
  BIG_ENDIAN,
  DATA,
  ENTRY_BYTES,
  exactRoom,
  HAS_ZERO_VALUE,
  HOLE,
  HOLE_TEST,
  HOLE_VALUE,
  HOLE_WHEN_EQUAL,
  HOLE_WHEN_UNMASKED,
  MASK,
  OPEN_AT,
  OPEN_FIRST,
  OPEN_KIND,
  PACKED,
  PACKED_BITS,
  POSITION_BASE,
  plan,
  SCALE,
  UNIT,
  ZERO,
  ZERO_BITS,
  ZERO_VALUE,
} from "./table-layout";

/**
 * Entries `first` to `first + entries - 1` of a table, at `ptr`. For every run that begins among them: kind → `kinds` (u8),
 * number of its first entry → `firsts` (u32), position → `positions` (f64). Returns how many; each array needs room for `entries`.
 */
export function tableRuns(ptr: usize, entries: u32, first: u32, parameters: usize, kinds: usize, firsts: usize, positions: usize): i32 {
  const room = exactRoom(parameters);
  if (room === 0) return oneByOne(ptr, entries, first, parameters, kinds, firsts, positions);
  plan(room, parameters);
  const size: u32 = load<u32>(parameters, ENTRY_BYTES);
  const bigEndian = load<u32>(parameters, BIG_ENDIAN) !== 0;
  let runs: u32 = 0;
  for (let i: u32 = 0; i < entries; ) {
    const at = runs;
    const from = ptr + i * size;
    const to = firsts + (at << 2);
    let done: u32;
    if (size === 8)
      done = bigEndian
        ? markStarts<i64>(from, entries - i, first + i, room, parameters, to)
        : markStarts<u64>(from, entries - i, first + i, room, parameters, to);
    else
      done = bigEndian
        ? markStarts<i32>(from, entries - i, first + i, room, parameters, to)
        : markStarts<u32>(from, entries - i, first + i, room, parameters, to);
    if (marked !== 0) {
      describe(ptr - first * size, marked, parameters, kinds + at, firsts + (at << 2), positions + (at << 3));
      runs += marked;
      store<u32>(parameters, load<u8>(kinds + runs - 1), OPEN_KIND);
      store<u32>(parameters, load<u32>(firsts + ((runs - 1) << 2)), OPEN_FIRST);
      store<f64>(parameters, load<f64>(positions + ((runs - 1) << 3)), OPEN_AT);
    }
    i += done;
    const rest = min(entries - i, 8);
    runs += oneByOne(ptr + i * size, rest, first + i, parameters, kinds + runs, firsts + (runs << 2), positions + (runs << 3));
    i += rest;
  }
  return runs;
}

/** As `tableRuns`: any layout and any position. */
function oneByOne(ptr: usize, entries: u32, first: u32, parameters: usize, kinds: usize, firsts: usize, positions: usize): i32 {
  const mask = load<u64>(parameters, MASK);
  const holeValue = load<u64>(parameters, HOLE_VALUE);
  const zeroValue = load<u64>(parameters, ZERO_VALUE);
  const zeroBits = load<u64>(parameters, ZERO_BITS);
  const packedBits = load<u64>(parameters, PACKED_BITS);
  const scale = load<f64>(parameters, SCALE);
  const base = load<f64>(parameters, POSITION_BASE);
  const unit = load<f64>(parameters, UNIT);
  const wide = load<u32>(parameters, ENTRY_BYTES) === 8;
  const bigEndian = load<u32>(parameters, BIG_ENDIAN) !== 0;
  const holeTest = load<u32>(parameters, HOLE_TEST);
  const hasZeroValue = load<u32>(parameters, HAS_ZERO_VALUE) !== 0;
  let openAt = load<f64>(parameters, OPEN_AT);
  let openFirst = load<u32>(parameters, OPEN_FIRST);
  let openKind = load<u32>(parameters, OPEN_KIND);
  let runs = 0;
  for (let i: u32 = 0; i < entries; i++) {
    let entry: u64;
    if (wide) {
      entry = load<u64>(ptr);
      if (bigEndian) entry = bswap(entry);
      ptr += 8;
    } else {
      let narrow = load<u32>(ptr);
      if (bigEndian) narrow = bswap(narrow);
      entry = narrow;
      ptr += 4;
    }
    const masked = entry & mask;
    let kind = DATA;
    let position: f64 = 0;
    if (entry & packedBits) kind = PACKED;
    else if (entry & zeroBits || (hasZeroValue && entry === zeroValue)) kind = ZERO;
    else if (holeTest === HOLE_WHEN_UNMASKED ? masked === 0 : holeTest === HOLE_WHEN_EQUAL && entry === holeValue) kind = HOLE;
    else position = base + <f64>masked * scale;
    const number = first + i;
    if (kind === openKind && kind !== PACKED && (kind !== DATA || position === openAt + <f64>(number - openFirst) * unit)) continue;
    openKind = kind;
    openFirst = number;
    openAt = position;
    store<u8>(kinds + runs, kind);
    store<u32>(firsts + ((<usize>runs) << 2), number);
    store<f64>(positions + ((<usize>runs) << 3), position);
    runs++;
  }
  store<f64>(parameters, openAt, OPEN_AT);
  store<u32>(parameters, openFirst, OPEN_FIRST);
  store<u32>(parameters, openKind, OPEN_KIND);
  return runs;
}
