// Filters that stand before LZMA2 (the .xz file format, section 5.3): delta, and those that had turned relative branch targets
// into absolute ones, here turned back. `position`: of the first byte in the program that is filtered.

import { FILTER_BYTES, FILTERS, STATE } from "./lzma-state";

/** As section 5.3 numbers them. */
const DELTA: u32 = 3;
const X86: u32 = 4;
const POWERPC: u32 = 5;
const IA64: u32 = 6;
const ARM: u32 = 7;
const ARM_THUMB: u32 = 8;
const SPARC: u32 = 9;
const ARM64: u32 = 10;

const DELTA_HISTORY: u32 = 256;

/** Filter `slot` (0 to 2) begins a block. */
export function filterStart(slot: u32): void {
  memory.fill(filterState(slot), 0, FILTER_BYTES);
}

/**
 * Undoes filter `id` in place; the number of bytes that are ready. The few after them need more behind them, and stay as they are
 * when nothing follows. `distance`: delta's, in bytes.
 */
export function filterRun(id: u32, slot: u32, at: usize, length: u32, position: u32, distance: u32): u32 {
  const state = filterState(slot);
  if (id == DELTA) return undoDelta(state, at, length, distance);
  if (id == X86) return undoX86(state, at, length, position);
  if (id == POWERPC) return undoPowerPc(at, length, position);
  if (id == IA64) return undoIa64(at, length, position);
  if (id == ARM) return undoArm(at, length, position);
  if (id == ARM_THUMB) return undoArmThumb(at, length, position);
  if (id == SPARC) return undoSparc(at, length, position);
  if (id == ARM64) return undoArm64(at, length, position);
  return 0;
}

function filterState(slot: u32): usize {
  return STATE + FILTERS + slot * FILTER_BYTES;
}

/** The state: the last 256 bytes in a circle, and the place of the next. */
function undoDelta(state: usize, at: usize, length: u32, distance: u32): u32 {
  let next = load<u32>(state, DELTA_HISTORY);
  for (const end = at + length; at < end; at++) {
    const byte = load<u8>(at) + load<u8>(state + ((next - distance) & (DELTA_HISTORY - 1)));
    store<u8>(at, byte);
    store<u8>(state + next, byte);
    next = (next + 1) & (DELTA_HISTORY - 1);
  }
  store<u32>(state, next, DELTA_HISTORY);
  return length;
}

/** The highest byte of a branch's distance that is worth a change. */
function isSignByte(byte: u32): bool {
  return byte == 0 || byte == 0xff;
}

/**
 * CALL (E8) and JMP (E9) with 32 bits of distance. Three bits, kept as state, say which of the three bytes before were such
 * an opcode whose operand was left alone: they tell operands from opcodes just as the encoder did.
 */
function undoX86(state: usize, at: usize, length: u32, position: u32): u32 {
  if (length < 5) return 0;
  let recent = load<u32>(state);
  let i: u32 = 0;
  const end = length - 4;
  while (i < end) {
    const byte = load<u8>(at + i);
    if ((byte & 0xfe) != 0xe8) {
      recent = (recent << 1) & 7;
      i++;
      continue;
    }
    // The nearest of those opcodes' operands begin inside this one's.
    const depth: u32 = recent == 0 ? 0 : 32 - clz(recent);
    const several = (recent & (recent - 1)) != 0;
    if (several || (depth > 0 && isSignByte(load<u8>(at + i + 4 - depth))) || !isSignByte(load<u8>(at + i, 4))) {
      recent = ((recent << 1) | 1) & 7;
      i++;
      continue;
    }
    let target = load<u32>(at + i, 1);
    const origin = position + i + 5;
    let distance = target - origin;
    while (depth > 0 && isSignByte((distance >>> (24 - depth * 8)) & 0xff)) {
      target = distance ^ ((1 << (32 - depth * 8)) - 1);
      distance = target - origin;
    }
    // 25 bits, and their sign.
    store<u32>(at + i, ((distance << 7) as i32) >> 7, 1);
    recent = 0;
    i += 5;
  }
  store<u32>(state, recent);
  return i;
}

function undoPowerPc(at: usize, length: u32, position: u32): u32 {
  let i: u32 = 0;
  for (; i + 4 <= length; i += 4) {
    const word = bswap(load<u32>(at + i));
    if ((word & 0xfc000003) != 0x48000001) continue; // bl
    store<u32>(at + i, bswap<u32>(0x48000001 | (((word & 0x03fffffc) - (position + i)) & 0x03fffffc)));
  }
  return i;
}

/** Which of the three instructions of a bundle may be a branch, by the bundle's template. */
function ia64Branches(template: u32): u32 {
  if (template < 16) return 0;
  // Four bits for each pair of templates from 16 on.
  return (0x04047064 >>> ((((template - 16) >>> 1) & 7) << 2)) & 7;
}

function undoIa64(at: usize, length: u32, position: u32): u32 {
  let i: u32 = 0;
  for (; i + 16 <= length; i += 16) {
    const branches = ia64Branches(load<u8>(at + i) & 31);
    for (let slot: u32 = 0; slot < 3; slot++) {
      if (!((branches >>> slot) & 1)) continue;
      const bit: u32 = 5 + slot * 41;
      const place = at + i + (bit >>> 3);
      const shift = (bit & 7) as u64;
      const word = (load<u32>(place) as u64) | ((load<u16>(place, 4) as u64) << 32);
      const instruction = word >>> shift;
      if (((instruction >>> 37) & 15) != 5 || ((instruction >>> 9) & 7) != 0) continue; // br.call
      const target = (((instruction >>> 13) & 0xfffff) | (((instruction >>> 36) & 1) << 20)) as u32;
      const distance = ((target << 4) - (position + i)) >>> 4;
      const fields = (0x8fffff as u64) << 13;
      const changed = (instruction & ~fields) | (((distance & 0xfffff) as u64) << 13) | (((distance & 0x100000) as u64) << 16);
      const result = (word & (((1 as u64) << shift) - 1)) | (changed << shift);
      store<u32>(place, result as u32);
      store<u16>(place, (result >>> 32) as u16, 4);
    }
  }
  return i;
}

function undoArm(at: usize, length: u32, position: u32): u32 {
  let i: u32 = 0;
  for (; i + 4 <= length; i += 4) {
    const word = load<u32>(at + i);
    if (word >>> 24 != 0xeb) continue; // bl
    store<u32>(at + i, 0xeb000000 | ((((word << 2) - (position + i + 8)) >>> 2) & 0xffffff));
  }
  return i;
}

function undoArmThumb(at: usize, length: u32, position: u32): u32 {
  let i: u32 = 0;
  for (; i + 4 <= length; i += 2) {
    const word = load<u32>(at + i);
    if ((word & 0xf800f800) != 0xf800f000) continue; // bl, in two halves
    const target = ((word & 0x7ff) << 11) | ((word >>> 16) & 0x7ff);
    const distance = ((target << 1) - (position + i + 4)) >>> 1;
    store<u32>(at + i, 0xf800f000 | ((distance >>> 11) & 0x7ff) | ((distance & 0x7ff) << 16));
    i += 2;
  }
  return i;
}

function undoSparc(at: usize, length: u32, position: u32): u32 {
  let i: u32 = 0;
  for (; i + 4 <= length; i += 4) {
    const word = bswap(load<u32>(at + i));
    if (word >>> 22 != 0x100 && word >>> 22 != 0x1ff) continue; // call, to within 8 MiB
    const distance = ((word << 2) - (position + i)) >>> 2;
    store<u32>(at + i, bswap<u32>((0x40000000 - (distance & 0x400000)) | 0x40000000 | (distance & 0x3fffff)));
  }
  return i;
}

function undoArm64(at: usize, length: u32, position: u32): u32 {
  let i: u32 = 0;
  for (; i + 4 <= length; i += 4) {
    const word = load<u32>(at + i);
    const origin = position + i;
    if (word >>> 26 == 0x25) {
      store<u32>(at + i, 0x94000000 | ((word - (origin >>> 2)) & 0x03ffffff)); // bl
    } else if ((word & 0x9f000000) == 0x90000000) {
      // adrp, when it reaches at most 512 MiB either way.
      let page = ((word >>> 29) & 3) | ((word >>> 3) & 0x1ffffc);
      if (((page + 0x20000) & 0x1c0000) != 0) continue;
      page -= origin >>> 12;
      const sign = (0 - (page & 0x20000)) & 0xe00000;
      store<u32>(at + i, (word & 0x9000001f) | ((page & 3) << 29) | ((page & 0x3fffc) << 3) | sign);
    }
  }
  return i;
}
