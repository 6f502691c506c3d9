// The integrity checks of .xz files (section 3.4): one at a time, over bytes as they come.

import { crc32 } from "../crc32";
import { sha256Final, sha256Init, sha256Update } from "../sha256";
import { crc64 } from "./crc64";
import { CHECK, CHECK_REST, CHECK_TOTAL, STATE } from "./lzma-state";

/** As section 2.1.1.2 numbers them. */
const CRC32: u32 = 1;
const CRC64: u32 = 4;
const SHA256: u32 = 10;
const BLOCK: usize = 64;

export function checkStart(check: u32): void {
  memory.fill(STATE + CHECK, 0, 32);
  store<u64>(STATE, 0, CHECK_TOTAL);
  if (check == SHA256) sha256Init(STATE + CHECK);
}

export function checkUpdate(check: u32, at: usize, length: usize): void {
  if (check == CRC32) store<u32>(STATE, crc32(at, length, load<u32>(STATE, CHECK)), CHECK);
  else if (check == CRC64) crc64(STATE + CHECK, at, length);
  else if (check == SHA256) updateSha256(at, length);
}

/** The check as the file has it: at the place that is returned. */
export function checkFinish(check: u32): usize {
  if (check == SHA256) {
    const total = load<u64>(STATE, CHECK_TOTAL);
    sha256Final(STATE + CHECK, STATE + CHECK_REST, (total as usize) & (BLOCK - 1), total as f64, STATE + CHECK);
  }
  return STATE + CHECK;
}

function updateSha256(at: usize, length: usize): void {
  const rest = STATE + CHECK_REST;
  const held = (load<u64>(STATE, CHECK_TOTAL) as usize) & (BLOCK - 1);
  store<u64>(STATE, load<u64>(STATE, CHECK_TOTAL) + length, CHECK_TOTAL);
  if (held > 0) {
    const missing = BLOCK - held;
    const step = length < missing ? length : missing;
    memory.copy(rest + held, at, step);
    if (step < missing) return;
    sha256Update(STATE + CHECK, rest, 1);
    at += step;
    length -= step;
  }
  const whole = length & ~(BLOCK - 1);
  sha256Update(STATE + CHECK, at, whole / BLOCK);
  memory.copy(rest, at + whole, length - whole);
}
