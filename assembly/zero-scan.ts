/** True when `length` bytes at `ptr` are all zero. */
function isZero(ptr: usize, length: usize): bool {
  const end = ptr + length;
  const wide = ptr + (length & ~63);
  while (ptr < wide) {
    const a = v128.or(v128.load(ptr), v128.load(ptr, 16));
    const b = v128.or(v128.load(ptr, 32), v128.load(ptr, 48));
    if (v128.any_true(v128.or(a, b))) return false;
    ptr += 64;
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
