/** Counters (u32) of symbols. */
export function increment(counts: usize, symbol: u32): void {
  const place = counts + (symbol << 2);
  store<u32>(place, load<u32>(place) + 1);
}
