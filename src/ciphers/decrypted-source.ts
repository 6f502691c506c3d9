import { checkRange } from "../core/bytes.ts";
import type { ByteSource } from "../core/model.ts";
import type { SectorCipher } from "../core/ports.ts";

const SECTOR = 512;

/**
 * The `size` bytes of `base` at `start`, decrypted; the sector at `start` has the number 0. Bytes of a last sector that `base` does
 * not hold whole cannot be read. Only the thread that holds the key can read it.
 */
export function decryptedSource(base: ByteSource, cipher: SectorCipher, start = 0, size = base.size - start): ByteSource {
  return {
    name: base.name,
    size,
    origin: null,
    async read(at, length, signal) {
      checkRange(this, at, length);
      const from = Math.floor(at / SECTOR) * SECTOR;
      const to = Math.ceil((at + length) / SECTOR) * SECTOR;
      const bytes = await base.read(start + from, to - from, signal);
      cipher.decrypt(bytes, from / SECTOR);
      return bytes.length === length ? bytes : bytes.slice(at - from, at - from + length);
    },
  };
}

const BLOCK = 16;

/**
 * Whether decrypted bytes are more than noise: some block of the cipher holds one byte throughout. Under a wrong key that is as good
 * as impossible; nearly every disk has zeros near its beginning.
 */
export function showsPlainText(bytes: Uint8Array): boolean {
  for (let at = 0; at + BLOCK <= bytes.length; at += BLOCK) {
    let i = 1;
    while (i < BLOCK && bytes[at + i] === bytes[at]) i++;
    if (i === BLOCK) return true;
  }
  return false;
}
