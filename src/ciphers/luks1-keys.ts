import { DiskError } from "../core/errors.ts";
import type { ByteSource } from "../core/model.ts";
import type { Compute, KeyDerivation, KeyHash, SectorCipher } from "../core/ports.ts";
import { type KeySlot, type Luks1, MOST_ITERATIONS, SECTOR } from "./luks1.ts";

/**
 * Of all that may have to be tried: eight slots of eight million each, or five of a machine on which cryptsetup's two seconds are
 * worth twelve million.
 */
const MOST_ITERATIONS_IN_ALL = 2 * MOST_ITERATIONS;

export interface Unlocking {
  readonly header: Luks1;
  /** The header and what follows it. */
  readonly area: ByteSource;
  /** Name of the image, for messages. */
  readonly file: string;
  readonly passphrase: string;
  readonly compute: Compute;
  readonly signal: AbortSignal | undefined;
}

/**
 * The cipher of the disk's data. Tries one key slot after the other ([LUKS] figure 7). Throws `passphrase` when none opens,
 * `corrupt` or `limit` when none could be tried, `limit` before the first one when all of them would take too long.
 */
export async function unlockLuks1(unlocking: Unlocking): Promise<SectorCipher> {
  const { header, file, compute } = unlocking;
  if (header.unsupported.length > 0) throw new Error("luks: an unsupported header cannot be unlocked");
  const active = header.slots.filter((slot) => slot.active);
  const usable = active.filter((slot) => slot.problem === null);
  if (active.length === 0) throw new DiskError("corrupt", `luks: no key slot of ${file} is in use: nothing can open it`, { file });
  if (usable.length === 0) throw (active[0] as KeySlot).problem;
  const iterations = usable.reduce((sum, slot) => sum + slot.iterations + header.digest.iterations, 0);
  if (iterations > MOST_ITERATIONS_IN_ALL)
    throw new DiskError(
      "limit",
      `luks: iterations of the ${usable.length} key slots of ${file}, with mk-digest-iter for each, are ${iterations} together, at most ${MOST_ITERATIONS_IN_ALL} are tried`,
      { file, at: header.slotsAt },
    );
  const passphrase = new TextEncoder().encode(unlocking.passphrase);
  for (const slot of usable) {
    const key = await keyInSlot(unlocking, slot, passphrase);
    if (await isMasterKey(unlocking, key)) return compute.sectorCipher(header.cipher, key);
  }
  const damaged = active.length - usable.length;
  const tried = usable.length === 1 ? "does not open the key slot" : `opens none of ${usable.length} key slots`;
  const more = damaged === 0 ? "" : `; slots that are damaged and cannot be tried: ${damaged}`;
  throw new DiskError("passphrase", `${file}: the passphrase is wrong: it ${tried}${more}`, { file });
}

/** What a slot holds under this passphrase: the master key, or noise. */
async function keyInSlot(unlocking: Unlocking, slot: KeySlot, passphrase: Uint8Array): Promise<Uint8Array> {
  const { header, area, compute, signal } = unlocking;
  const { salt, iterations, material, stripes } = slot;
  const { hash, keyBytes, cipher } = header;
  const key = await derive(unlocking, { hash, passphrase, salt, iterations, length: keyBytes });
  const split = await area.read(material.at, Math.ceil(material.length / SECTOR) * SECTOR, signal);
  // [LUKS] 2.4: key material is encrypted like the disk, in sectors counted from its own start.
  (await compute.sectorCipher(cipher, key)).decrypt(split, 0);
  return mergeStripes(split, keyBytes, stripes, hash, compute);
}

/** [LUKS] 2.4, AFmerge: every stripe but the last is added and diffused, the last is added. */
async function mergeStripes(split: Uint8Array, length: number, stripes: number, hash: KeyHash, compute: Compute): Promise<Uint8Array> {
  let key: Uint8Array = new Uint8Array(length);
  for (let stripe = 0; stripe < stripes; stripe++) {
    for (let i = 0; i < length; i++) key[i] = (key[i] as number) ^ (split[stripe * length + i] as number);
    if (stripe < stripes - 1) key = await diffuse(key, hash, compute);
  }
  return key;
}

const HASH_BYTES: Readonly<Record<KeyHash, number>> = { sha1: 20, sha256: 32, sha512: 64 };

/** [LUKS] 2.4, H2: each piece of a hash's length becomes the hash of its number and itself, the last one cut to its length. */
async function diffuse(key: Uint8Array, hash: KeyHash, compute: Compute): Promise<Uint8Array> {
  const out = new Uint8Array(key.length);
  const step = HASH_BYTES[hash];
  const pieces = Array.from({ length: Math.ceil(key.length / step) }, async (_, i) => {
    const piece = key.subarray(i * step, (i + 1) * step);
    const message = new Uint8Array(4 + piece.length);
    new DataView(message.buffer).setUint32(0, i);
    message.set(piece, 4);
    out.set((await compute.digest(hash, message)).subarray(0, piece.length), i * step);
  });
  await Promise.all(pieces);
  return out;
}

async function isMasterKey(unlocking: Unlocking, key: Uint8Array): Promise<boolean> {
  const { hash, digest } = unlocking.header;
  const { value, salt, iterations } = digest;
  const found = await derive(unlocking, { hash, passphrase: key, salt, iterations, length: value.length });
  return found.every((byte, i) => byte === value[i]);
}

/** One derivation cannot be interrupted: a signal is heard before each. */
function derive({ compute, signal }: Unlocking, derivation: KeyDerivation): Promise<Uint8Array> {
  signal?.throwIfAborted();
  return compute.deriveKey(derivation);
}
