import { createHash, pbkdf2Sync, randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SectorCipherName } from "../core/ports.ts";
import { encryptSectors as encrypt } from "../testing/luks-image.ts";
import { createSectorCipher } from "./aes.ts";
import { deriveKey, digest } from "./pbkdf2.ts";

const SECTOR = 512;

const variants: readonly (readonly [SectorCipherName, number])[] = (["plain", "plain64", "essiv:sha256"] as const).flatMap((vector) => [
  [`cbc-${vector}`, 16],
  [`cbc-${vector}`, 24],
  [`cbc-${vector}`, 32],
  [`xts-${vector}`, 32],
  [`xts-${vector}`, 64],
]);

describe("AES over sectors", () => {
  test.each(variants)("%s with a key of %i bytes undoes OpenSSL", async (name, keyBytes) => {
    const sectors = fc.integer({ min: 0, max: 2 ** 44 });
    const key = fc.uint8Array({ minLength: keyBytes, maxLength: keyBytes });
    const check = async (keyOf: Uint8Array, count: number, first: number) => {
      // OpenSSL refuses XTS with two equal keys.
      keyOf[0] = (keyOf[keyBytes / 2] as number) ^ 1;
      const plain = new Uint8Array(randomBytes(count * SECTOR));
      const bytes = encrypt(name, keyOf, plain, first);
      (await createSectorCipher(name, keyOf)).decrypt(bytes, first);
      expect(Buffer.from(bytes).equals(plain)).toBe(true);
    };
    await fc.assert(fc.asyncProperty(key, fc.integer({ min: 0, max: 5 }), sectors, check), { numRuns: 20 });
    await check(new Uint8Array(randomBytes(keyBytes)), 3, 0xfffffffe);
  });

  test("more than fits the kernel's memory at once", async () => {
    const key = new Uint8Array(randomBytes(64));
    const plain = new Uint8Array(randomBytes(1_300_000 - (1_300_000 % SECTOR)));
    const bytes = encrypt("xts-plain64", key, plain, 7);
    (await createSectorCipher("xts-plain64", key)).decrypt(bytes, 7);
    expect(Buffer.from(bytes).equals(plain)).toBe(true);
  });

  test("two keys in use at once do not disturb each other", async () => {
    const keys = [randomBytes(16), randomBytes(32)].map((key) => new Uint8Array(key));
    const plain = new Uint8Array(randomBytes(4 * SECTOR));
    const ciphers = await Promise.all(keys.map((key) => createSectorCipher("cbc-plain64", key)));
    for (const [i, cipher] of ciphers.entries()) {
      const bytes = encrypt("cbc-plain64", keys[i] as Uint8Array, plain, 3);
      cipher.decrypt(bytes, 3);
      expect(Buffer.from(bytes).equals(plain)).toBe(true);
    }
  });

  test("parts of sectors and keys of other lengths are errors", async () => {
    const cipher = await createSectorCipher("xts-plain64", new Uint8Array(32));
    expect(() => cipher.decrypt(new Uint8Array(511), 0)).toThrow("whole sectors");
    await expect(createSectorCipher("cbc-plain64", new Uint8Array(33))).rejects.toThrow("33 bytes");
  });
});

describe("keys", () => {
  test.each(["sha1", "sha256", "sha512"] as const)("PBKDF2 and digest with %s are OpenSSL's", async (hash) => {
    const bytes = fc.uint8Array({ maxLength: 100 });
    const rounds = fc.integer({ min: 1, max: 50 });
    const check = async (passphrase: Uint8Array, salt: Uint8Array, iterations: number, length: number) => {
      const key = await deriveKey({ hash, passphrase, salt, iterations, length });
      expect(Buffer.from(key).equals(pbkdf2Sync(passphrase, salt, iterations, length, hash))).toBe(true);
      expect(Buffer.from(await digest(hash, salt)).equals(createHash(hash).update(salt).digest())).toBe(true);
    };
    await fc.assert(fc.asyncProperty(bytes, bytes, rounds, fc.integer({ min: 1, max: 100 }), check), { numRuns: 20 });
  });
});
