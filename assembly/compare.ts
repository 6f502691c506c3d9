/** Index of the first byte in which `a` and `b` differ, or -1. */
export function compare(a: usize, b: usize, length: i32): i32 {
  let at = 0;
  const wide = length & ~15;
  while (at < wide) {
    const equal = i8x16.bitmask(i8x16.eq(v128.load(a + at), v128.load(b + at)));
    if (equal !== 0xffff) return at + ctz(~equal);
    at += 16;
  }
  while (at < length) {
    if (load<u8>(a + at) !== load<u8>(b + at)) return at;
    at++;
  }
  return -1;
}
