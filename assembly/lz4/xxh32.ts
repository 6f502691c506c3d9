// XXH32 (xxHash specification 0.1.1), running.

import { prime1, prime2, xxhRest, xxhRestBytes, xxhStart, xxhSum, xxhTotal, xxhUpdate } from "../xxhash";

export const XXH32_STATE_BYTES: usize = 48;

const PRIME1: u32 = prime1<u32>();
const PRIME2: u32 = prime2<u32>();
const PRIME3: u32 = 0xc2b2ae3d;
const PRIME4: u32 = 0x27d4eb2f;
const PRIME5: u32 = 0x165667b1;
const STRIPE: u64 = 16;

export function xxh32Start(state: usize): void {
  xxhStart<u32>(state);
}

export function xxh32Update(state: usize, at: usize, length: usize): void {
  xxhUpdate<u32>(state, at, length);
}

/** Steps 3 to 7. The state stays as it is. */
export function xxh32Final(state: usize): u32 {
  const total = xxhTotal<u32>(state);
  let hash: u32 = total < STRIPE ? PRIME5 : xxhSum<u32>(state);
  hash += total as u32;
  let at = xxhRest<u32>(state);
  const end = at + xxhRestBytes<u32>(state);
  for (; at + 4 <= end; at += 4) hash = rotl<u32>(hash + load<u32>(at) * PRIME3, 17) * PRIME4;
  for (; at < end; at++) hash = rotl<u32>(hash + (load<u8>(at) as u32) * PRIME5, 11) * PRIME1;
  hash = (hash ^ (hash >>> 15)) * PRIME2;
  hash = (hash ^ (hash >>> 13)) * PRIME3;
  return hash ^ (hash >>> 16);
}
