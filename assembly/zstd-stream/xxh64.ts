// XXH64 (xxHash specification 0.1.1), running.

import { prime1, prime2, xxhRest, xxhRestBytes, xxhRound, xxhStart, xxhSum, xxhTotal, xxhUpdate } from "../xxhash";

const PRIME1: u64 = prime1<u64>();
const PRIME2: u64 = prime2<u64>();
const PRIME3: u64 = ((0x165667b1 as u64) << 32) | 0x9e3779f9;
const PRIME4: u64 = ((0x85ebca77 as u64) << 32) | 0xc2b2ae63;
const PRIME5: u64 = ((0x27d4eb2f as u64) << 32) | 0x165667c5;
const STRIPE: u64 = 32;

export function xxh64Start(state: usize): void {
  xxhStart<u64>(state);
}

export function xxh64Update(state: usize, at: usize, length: usize): void {
  xxhUpdate<u64>(state, at, length);
}

function merge(hash: u64, accumulator: u64): u64 {
  return (hash ^ xxhRound<u64>(0, accumulator)) * PRIME1 + PRIME4;
}

/** Steps 3 to 6. The state stays as it is. */
export function xxh64Final(state: usize): u64 {
  const total = xxhTotal<u64>(state);
  let hash: u64 = PRIME5;
  if (total >= STRIPE) {
    hash = xxhSum<u64>(state);
    for (let lane: usize = 0; lane < 32; lane += 8) hash = merge(hash, load<u64>(state + lane));
  }
  hash += total;
  let at = xxhRest<u64>(state);
  const end = at + xxhRestBytes<u64>(state);
  for (; at + 8 <= end; at += 8) hash = rotl<u64>(hash ^ xxhRound<u64>(0, load<u64>(at)), 27) * PRIME1 + PRIME4;
  if (at + 4 <= end) {
    hash = rotl<u64>(hash ^ ((load<u32>(at) as u64) * PRIME1), 23) * PRIME2 + PRIME3;
    at += 4;
  }
  for (; at < end; at++) hash = rotl<u64>(hash ^ ((load<u8>(at) as u64) * PRIME5), 11) * PRIME1;
  hash = (hash ^ (hash >> 33)) * PRIME2;
  hash = (hash ^ (hash >> 29)) * PRIME3;
  return hash ^ (hash >> 32);
}
