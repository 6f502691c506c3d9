// Allocation table → runs of like entries. The plain statement of the same is src/core/table-runs.ts; results are equal to the bit.

const HOLE: u8 = 0;
const ZERO: u8 = 1;
const DATA: u8 = 2;
const PACKED: u8 = 3;

// The parameter block; src/kernels/table-scan.ts writes it. The last three fields are the run that is open between two calls.
const MASK: usize = 0; // u64
const HOLE_VALUE: usize = 8; // u64
const ZERO_VALUE: usize = 16; // u64
const ZERO_BITS: usize = 24; // u64
const PACKED_BITS: usize = 32; // u64
const SCALE: usize = 40; // f64
const POSITION_BASE: usize = 48; // f64
const UNIT: usize = 56; // f64
const ENTRY_BYTES: usize = 64; // u32: 4 or 8
const BIG_ENDIAN: usize = 68; // u32: 1 or 0
const HOLE_TEST: usize = 72; // u32: 0 masked bits all zero, 1 equals HOLE_VALUE, 2 never
const HAS_ZERO_VALUE: usize = 76; // u32: 1 or 0
const OPEN_AT: usize = 80; // f64: position of the open run's first entry
const OPEN_FIRST: usize = 88; // u32: number of its first entry
const OPEN_KIND: usize = 92; // u32: its kind; above 3: none is open

const HOLE_WHEN_UNMASKED: u32 = 0;
const HOLE_WHEN_EQUAL: u32 = 1;

/**
 * Entries `first` to `first + entries - 1` of a table, at `ptr`. For every run that begins among them: kind → `kinds` (u8),
 * number of its first entry → `firsts` (u32), position → `positions` (f64). Returns how many; each array needs room for `entries`.
 */
export function tableRuns(ptr: usize, entries: u32, first: u32, parameters: usize, kinds: usize, firsts: usize, positions: usize): i32 {
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
    if (kind === openKind && kind !== PACKED && (kind !== DATA || position === openAt + <f64>(number - openFirst) * unit)) {
      if (kind !== DATA) {
        // Most tables are nearly empty: the same bits again and again say the same.
        const left = entries - 1 - i;
        const like = wide ? v128.load64_splat(ptr - 8) : v128.load32_splat(ptr - 4);
        const blocks = likeBlocks(like, ptr, wide ? left >> 3 : left >> 4);
        i += wide ? blocks << 3 : blocks << 4;
        ptr += (<usize>blocks) << 6;
      }
      continue;
    }
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
