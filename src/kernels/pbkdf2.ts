import { DiskError } from "../core/errors.ts";
import type { KeyDerivation, KeyHash } from "../core/ports.ts";

/** Web Crypto's names. */
const NAMES: Readonly<Record<KeyHash, string>> = { sha1: "SHA-1", sha256: "SHA-256", sha512: "SHA-512" };

/** Web Crypto runs natively and off this thread. Browsers keep it from pages that came over plain HTTP. */
function subtle() {
  const { subtle: found } = crypto;
  if (found === undefined)
    throw new DiskError("unsupported", "encrypted images need a page that was loaded securely (https or localhost): this one was not");
  return found;
}

/** See Compute.digest. */
export async function digest(hash: KeyHash, message: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await subtle().digest(NAMES[hash], message.slice()));
}

/** See Compute.deriveKey. */
export async function deriveKey({ hash, passphrase, salt, iterations, length }: KeyDerivation): Promise<Uint8Array> {
  const key = await subtle().importKey("raw", passphrase.slice(), "PBKDF2", false, ["deriveBits"]);
  const algorithm = { name: "PBKDF2", hash: NAMES[hash], salt: salt.slice(), iterations } as const;
  return new Uint8Array(await subtle().deriveBits(algorithm, key, length * 8));
}
