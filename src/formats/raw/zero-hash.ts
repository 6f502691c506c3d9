// XXH64 (xxHash specification 0.1.1) of zeros: the lanes of a stripe add nothing, so only the accumulators turn.

const PRIME1 = 0x9e3779b185ebca87n;
const PRIME2 = 0xc2b2ae3d27d4eb4fn;
const PRIME3 = 0x165667b19e3779f9n;
const PRIME4 = 0x85ebca77c2b2ae63n;
const PRIME5 = 0x27d4eb2f165667c5n;
const STRIPE = 32;

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const rotate = (value: bigint, bits: bigint): bigint => u64((value << bits) | (value >> (64n - bits)));
const turn = (accumulator: bigint): bigint => u64(rotate(accumulator, 31n) * PRIME1);

/** Step 2: the accumulators after so many stripes. */
function accumulators(stripes: number): readonly [bigint, bigint, bigint, bigint] {
  let [a, b, d] = [u64(PRIME1 + PRIME2), PRIME2, u64(-PRIME1)];
  for (let i = 0; i < stripes; i++) {
    a = turn(a);
    b = turn(b);
    d = turn(d);
  }
  return [a, b, 0n, d];
}

/** The lower half of the XXH64 of `length` zeros, with seed 0. Takes about 10 ms for each MiB. */
export function xxh64OfZeros(length: number): number {
  let hash = PRIME5;
  if (length >= STRIPE) {
    const all = accumulators(Math.floor(length / STRIPE));
    const [a, b, c, d] = all;
    hash = u64(rotate(a, 1n) + rotate(b, 7n) + rotate(c, 12n) + rotate(d, 18n));
    for (const accumulator of all) hash = u64((hash ^ turn(u64(accumulator * PRIME2))) * PRIME1 + PRIME4);
  }
  hash = u64(hash + BigInt(length));
  // Step 5: what is left, by eights, a four and ones.
  let rest = length % STRIPE;
  for (; rest >= 8; rest -= 8) hash = u64(rotate(hash, 27n) * PRIME1 + PRIME4);
  if (rest >= 4) hash = u64(rotate(hash, 23n) * PRIME2 + PRIME3);
  for (rest %= 4; rest > 0; rest--) hash = u64(rotate(hash, 11n) * PRIME1);
  hash = u64((hash ^ (hash >> 33n)) * PRIME2);
  hash = u64((hash ^ (hash >> 29n)) * PRIME3);
  return Number((hash ^ (hash >> 32n)) & 0xffff_ffffn);
}
