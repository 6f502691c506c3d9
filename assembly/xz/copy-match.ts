/**
 * `length` bytes from `distance` before `to`. The buffer is a circle from `first` to `last`. Up to 15 bytes past
 * the end are written, unless the source lies closer than that.
 */
export function copyMatch(to: usize, distance: u32, length: u32, first: usize, last: usize): void {
  const end = to + length;
  let from = to - distance;
  if (distance > to - first) {
    from += last - first;
    if (from + length > last) {
      for (; to < end; to++) {
        store<u8>(to, load<u8>(from));
        if (++from == last) from = first;
      }
      return;
    }
  } else if (distance < 16) {
    if (distance == 1) {
      const run = v128.splat<u8>(load<u8>(from));
      for (; to < end; to += 16) v128.store(to, run);
      return;
    }
    for (; to < end; to++) store<u8>(to, load<u8>(from++));
    return;
  }
  do {
    v128.store(to, v128.load(from));
    to += 16;
    from += 16;
  } while (to < end);
}
