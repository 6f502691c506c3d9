/** 64 bytes, added up. */
function gather(ptr: usize): v128 {
  return v128.or(v128.or(v128.load(ptr), v128.load(ptr, 16)), v128.or(v128.load(ptr, 32), v128.load(ptr, 48)));
}

/** True when `length` bytes at `ptr` are all zero. Data mostly shows in the first bytes: these are looked at alone, the others by 256. */
function isZero(ptr: usize, length: usize): bool {
  const end = ptr + length;
  if (length >= 64) {
    if (v128.any_true(gather(ptr))) return false;
    ptr += 64;
    while (ptr + 256 <= end) {
      const front = v128.or(gather(ptr), gather(ptr + 64));
      const back = v128.or(gather(ptr + 128), gather(ptr + 192));
      if (v128.any_true(v128.or(front, back))) return false;
      ptr += 256;
    }
  }
  while (ptr + 8 <= end) {
    if (load<u64>(ptr) !== 0) return false;
    ptr += 8;
  }
  while (ptr < end) {
    if (load<u8>(ptr) !== 0) return false;
    ptr++;
  }
  return true;
}

/** One byte per unit → `out`: 1 = all zero. The last unit may be short. Returns the number of units. */
export function zeroUnits(ptr: usize, length: usize, unit: usize, out: usize): i32 {
  let units: i32 = 0;
  while (length > 0) {
    const size = min(length, unit);
    store<u8>(out + units, isZero(ptr, size) ? 1 : 0);
    units++;
    ptr += size;
    length -= size;
  }
  return units;
}
