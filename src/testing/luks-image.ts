import { createCipheriv, createHash, pbkdf2Sync } from "node:crypto";
import { HEADER, KEY_SLOT, KEY_SLOTS, SECTOR } from "../ciphers/luks1.ts";
import type { KeyHash, SectorCipherName } from "../core/ports.ts";
import { noise } from "./disks.ts";

/** What OpenSSL makes of whole sectors: independent of the kernel in everything but how a sector's number is laid out. */
export function encryptSectors(name: SectorCipherName, key: Uint8Array, plain: Uint8Array, first: number): Uint8Array {
  const [mode = "", vector] = name.split("-");
  const bits = (key.length / (mode === "xts" ? 2 : 1)) * 8;
  const parts = Array.from({ length: plain.length / SECTOR }, (_, i) => {
    const number = BigInt(first) + BigInt(i);
    const iv = Buffer.alloc(16);
    iv.writeBigUInt64LE(vector === "plain" ? number & 0xffffffffn : number);
    const essiv = createCipheriv("aes-256-ecb", createHash("sha256").update(key).digest(), null);
    const used = vector === "essiv:sha256" ? essiv.setAutoPadding(false).update(iv) : iv;
    const cipher = createCipheriv(`aes-${bits}-${mode}`, key, used).setAutoPadding(false);
    return Buffer.concat([cipher.update(plain.subarray(i * SECTOR, (i + 1) * SECTOR)), cipher.final()]);
  });
  return new Uint8Array(Buffer.concat(parts));
}

export interface LuksSpec {
  readonly cipher: SectorCipherName;
  readonly hash: KeyHash;
  readonly keyBytes: number;
  readonly passphrases: readonly string[];
  readonly stripes: number;
}

/** A LUKS1 image of `plain` (whole sectors), its slots holding the passphrases in order; by node:crypto alone. */
export function luksImage({ cipher, hash, keyBytes, passphrases, stripes }: LuksSpec, plain: Uint8Array): Uint8Array<ArrayBuffer> {
  const iterations = 10;
  const key = noise(keyBytes, 77);
  const slotBytes = Math.ceil((stripes * keyBytes) / 4096) * 4096;
  const payloadAt = 4096 + KEY_SLOTS * slotBytes;
  const file = new Uint8Array(payloadAt + plain.length);
  const text = (words: string, length: number) => new Uint8Array(Buffer.concat([Buffer.from(words), Buffer.alloc(length)], length));
  const derive = (secret: string | Uint8Array, salt: Uint8Array, length: number) => pbkdf2Sync(secret, salt, iterations, length, hash);
  const digestSalt = noise(32, 78);
  const header = HEADER.write({
    magic: Uint8Array.of(0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe),
    version: 1,
    "cipher-name": text("aes", 32),
    "cipher-mode": text(cipher, 32),
    "hash-spec": text(hash, 32),
    "payload-offset": payloadAt / SECTOR,
    "key-bytes": keyBytes,
    "mk-digest": derive(key, digestSalt, 20),
    "mk-digest-salt": digestSalt,
    "mk-digest-iter": iterations,
    uuid: text("11111111-2222-3333-4444-555555555555", 40),
  });
  file.set(header);
  for (let i = 0; i < KEY_SLOTS; i++) {
    const salt = noise(32, 80 + i);
    const at = 4096 + i * slotBytes;
    const passphrase = passphrases[i];
    const active = passphrase === undefined ? 0xdead : 0xac71f3;
    file.set(KEY_SLOT.write({ active, iterations, salt, "key-material-offset": at / SECTOR, stripes }), HEADER.bytes + i * KEY_SLOT.bytes);
    if (passphrase === undefined) continue;
    const split = new Uint8Array(Math.ceil((stripes * keyBytes) / SECTOR) * SECTOR);
    split.set(splitKey(key, stripes, hash, i));
    file.set(encryptSectors(cipher, derive(passphrase, salt, keyBytes), split, 0), at);
  }
  file.set(encryptSectors(cipher, key, plain, 0), payloadAt);
  return file;
}

/** AFsplit: noise, and a last stripe that makes the whole come to the key. */
function splitKey(key: Uint8Array, stripes: number, hash: KeyHash, seed: number): Uint8Array {
  const out = noise(stripes * key.length, 90 + seed);
  let sum = Buffer.alloc(key.length);
  const add = (other: Uint8Array) => Buffer.from(sum.map((byte, i) => byte ^ (other[i] as number)));
  const step = createHash(hash).digest().length;
  for (let stripe = 0; stripe < stripes - 1; stripe++) {
    const mixed = add(out.subarray(stripe * key.length, (stripe + 1) * key.length));
    const pieces = Array.from({ length: Math.ceil(key.length / step) }, (_, i) => {
      const number = Buffer.alloc(4);
      number.writeUInt32BE(i);
      const piece = mixed.subarray(i * step, (i + 1) * step);
      return createHash(hash).update(number).update(piece).digest().subarray(0, piece.length);
    });
    sum = Buffer.concat(pieces);
  }
  out.set(add(key), (stripes - 1) * key.length);
  return out;
}
