// From a block's last column back to its bytes (the inverse Burrows-Wheeler transform), and from those, runs of which are
// shortened, to what was packed.

import { updateCrc } from "./crc";
import { invertBits } from "./randomisation";
import { BYTES, CHAIN, chain, column, GIVEN_CRC, LAST, LEFT, ORIGIN, RANDOMISED, REPEAT, ROW, STATE } from "./state";

const NEXT: usize = memory.data(256 * 4, 16);

/** Links the block. Its column must be whole; a randomised one becomes the bytes themselves. */
export function linkBlock(): void {
  linkColumn();
  if (!load<u32>(STATE, RANDOMISED)) return;
  const bytes = load<u32>(STATE, BYTES);
  let place = load<u32>(STATE, ORIGIN);
  for (let i: u32 = 0; i < bytes; i++) {
    const link = load<u32>(chain + ((place as usize) << 2));
    store<u8>(column + i, link);
    place = link >>> 8;
  }
  invertBits(column, bytes);
  linkInOrder();
  store<u32>(STATE, 0, CHAIN);
}

/** After the state and the column were restored in the midst of giving. */
export function linkAgain(): void {
  if (load<u32>(STATE, RANDOMISED)) linkInOrder();
  else linkColumn();
}

function linkColumn(): void {
  const bytes = load<u32>(STATE, BYTES);
  memory.fill(NEXT, 0, 256 * 4);
  for (let i: u32 = 0; i < bytes; i++) {
    const at = NEXT + ((load<u8>(column + i) as usize) << 2);
    store<u32>(at, load<u32>(at) + 1);
  }
  let sum: u32 = 0;
  for (let at = NEXT; at < NEXT + 256 * 4; at += 4) {
    const count = load<u32>(at);
    store<u32>(at, sum);
    sum += count;
  }
  for (let i: u32 = 0; i < bytes; i++) {
    const byte = load<u8>(column + i) as u32;
    const at = NEXT + ((byte as usize) << 2);
    const place = load<u32>(at);
    store<u32>(at, place + 1);
    store<u32>(chain + ((place as usize) << 2), (i << 8) | byte);
  }
}

function linkInOrder(): void {
  const bytes = load<u32>(STATE, BYTES);
  for (let i: u32 = 0; i < bytes; i++) store<u32>(chain + ((i as usize) << 2), ((i + 1) << 8) | (load<u8>(column + i) as u32));
}

export function startGiving(): void {
  store<u32>(STATE, load<u32>(STATE, ORIGIN), CHAIN);
  store<u32>(STATE, load<u32>(STATE, BYTES), LEFT);
  store<u32>(STATE, 0, GIVEN_CRC);
  store<u32>(STATE, 0, ROW);
  store<u32>(STATE, 0, REPEAT);
}

/** Gives up to `room` bytes of the block: how many. Fewer only when there are no more. */
export function give(output: usize, room: u32): u32 {
  const limit = output + room;
  let out = output;
  let place = load<u32>(STATE, CHAIN);
  let left = load<u32>(STATE, LEFT);
  let last = load<u32>(STATE, LAST);
  let row = load<u32>(STATE, ROW);
  let repeat = load<u32>(STATE, REPEAT);
  const links = chain;
  while (true) {
    if (repeat > 0) {
      const free = (limit - out) as u32;
      const step = repeat < free ? repeat : free;
      memory.fill(out, last as u8, step);
      out += step;
      repeat -= step;
    }
    while (left > 0 && out < limit) {
      const link = load<u32>(links + ((place as usize) << 2));
      place = link >>> 8;
      left--;
      const byte = link & 255;
      if (row == 4) {
        // Behind four equal bytes: how many more there are.
        repeat = byte;
        row = 0;
        break;
      }
      row = byte == last ? row + 1 : 1;
      last = byte;
      store<u8>(out, byte);
      out++;
    }
    if (repeat == 0 ? left == 0 || out >= limit : out >= limit) break;
  }
  const given = (out - output) as u32;
  store<u32>(STATE, place, CHAIN);
  store<u32>(STATE, left, LEFT);
  store<u32>(STATE, last, LAST);
  store<u32>(STATE, row, ROW);
  store<u32>(STATE, repeat, REPEAT);
  store<u32>(STATE, updateCrc(load<u32>(STATE, GIVEN_CRC), output, given), GIVEN_CRC);
  return given;
}
