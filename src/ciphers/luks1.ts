// LUKS version 1, big endian.
// References
// - [LUKS] C. Fruhwirth, LUKS On-Disk Format Specification, version 1.2.3: figures 1 to 3 (header), 4.1 (master key), appendix (names)
// - [DM] Linux, Documentation/admin-guide/device-mapper/dm-crypt.rst: chaining modes and initialization vectors
import { DiskError, type DiskErrorCode } from "../core/errors.ts";
import type { ByteSource, Json } from "../core/model.ts";
import type { KeyHash, SectorCipherName } from "../core/ports.ts";
import { bytes, struct, u16, u32 } from "../core/struct.ts";

export const SECTOR = 512;
export const MAGIC = "LUKS\xba\xbe";

/** [LUKS] figure 1 */
export const HEADER = struct("be", {
  magic: bytes(6),
  version: u16,
  "cipher-name": bytes(32),
  "cipher-mode": bytes(32),
  "hash-spec": bytes(32),
  "payload-offset": u32,
  "key-bytes": u32,
  "mk-digest": bytes(20),
  "mk-digest-salt": bytes(32),
  "mk-digest-iter": u32,
  uuid: bytes(40),
});
/** [LUKS] figure 2 */
export const KEY_SLOT = struct("be", {
  active: u32,
  iterations: u32,
  salt: bytes(32),
  "key-material-offset": u32,
  stripes: u32,
});
/** [LUKS] figure 4: LUKS_NUMKEYS, LUKS_KEY_ENABLED, LUKS_KEY_DISABLED, LUKS_STRIPES */
export const KEY_SLOTS = 8;
const ENABLED = 0x00ac71f3;
const DISABLED = 0x0000dead;
export const STRIPES = 4000;
export const HEADER_BYTES = HEADER.bytes + KEY_SLOTS * KEY_SLOT.bytes;

/** More than cryptsetup makes of ten seconds on a fast machine; trying them takes a quarter of a minute on a usual one. */
export const MOST_ITERATIONS = 2 ** 25;

export interface KeySlot {
  readonly active: boolean;
  readonly iterations: number;
  readonly salt: Uint8Array;
  /** Bytes from the start of the header; `stripes` times the key's length. */
  readonly material: { readonly at: number; readonly length: number };
  readonly stripes: number;
  /** Why an active slot cannot be used. */
  readonly problem: DiskError | null;
}

/** A validated header. */
export interface Luks1 {
  /** "aes" */
  readonly cipherName: string;
  readonly cipher: SectorCipherName;
  readonly hash: KeyHash;
  readonly keyBytes: number;
  /** Bytes from the start of the header to the encrypted disk, where that follows it. */
  readonly payloadAt: number;
  readonly digest: { readonly value: Uint8Array; readonly salt: Uint8Array; readonly iterations: number };
  readonly uuid: string;
  readonly slots: readonly KeySlot[];
  /** Where the first of them lies in the file. */
  readonly slotsAt: number;
  /** Features that are not read here, by name; `cipher` and `hash` are then whatever the header says. */
  readonly unsupported: readonly string[];
}

type Fields = ReturnType<typeof HEADER.read>;

/** [LUKS] figure 1: text ends at the first zero byte. */
const textOf = (field: Uint8Array): string => {
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
};

const CIPHERS: readonly string[] = ["plain", "plain64", "essiv:sha256"].flatMap((vector) => [`cbc-${vector}`, `xts-${vector}`]);
const HASHES: readonly string[] = ["sha1", "sha256", "sha512"];

/**
 * Reads the header at the start of `area`, which holds the key slots too. `at`: where the area lies in `file`, for messages.
 * Throws `corrupt` or `unsupported` (another version); ciphers and hashes that are not read are told in `unsupported`.
 */
export async function readLuks1(area: ByteSource, file: string, at = 0): Promise<Luks1> {
  if (area.size < HEADER_BYTES)
    throw new DiskError("corrupt", `luks: ${file} has ${area.size} bytes for a header of ${HEADER_BYTES}: it is truncated`, { file, at });
  const start = await area.read(0, HEADER_BYTES);
  const fields = HEADER.read(start);
  const refuse = (code: DiskErrorCode, field: keyof Fields, text: string) =>
    new DiskError(code, `luks: ${field} ${text}`, { file, at: at + HEADER.offsetOf(field) });
  if (String.fromCharCode(...fields.magic) !== MAGIC) throw refuse("corrupt", "magic", "is missing: there is no LUKS header");
  if (fields.version !== 1) throw refuse("unsupported", "version", `is ${fields.version}, expected 1`);
  const cipherName = textOf(fields["cipher-name"]);
  const cipherMode = textOf(fields["cipher-mode"]);
  const hash = textOf(fields["hash-spec"]);
  const unsupported: string[] = [];
  if (cipherName !== "aes" || !CIPHERS.includes(cipherMode)) unsupported.push(`the cipher ${cipherName}-${cipherMode}`);
  if (!HASHES.includes(hash)) unsupported.push(`the hash ${hash}`);
  const keyBytes = fields["key-bytes"];
  const lengths = cipherMode.startsWith("xts") ? [32, 64] : [16, 24, 32];
  // Other ciphers have keys of other lengths.
  if (unsupported.length === 0 && !lengths.includes(keyBytes))
    throw refuse("corrupt", "key-bytes", `is ${keyBytes}, expected ${lengths.join(", ")} for aes-${cipherMode}`);
  const iterations = fields["mk-digest-iter"];
  if (iterations === 0) throw refuse("corrupt", "mk-digest-iter", "is 0, expected at least 1");
  if (iterations > MOST_ITERATIONS) throw refuse("limit", "mk-digest-iter", `is ${iterations}, at most ${MOST_ITERATIONS} are tried`);
  const slots = Array.from({ length: KEY_SLOTS }, (_, i) => readSlot(start, i, keyBytes, area.size, file, at));
  return {
    cipherName,
    cipher: cipherMode as SectorCipherName,
    hash: hash as KeyHash,
    keyBytes,
    payloadAt: fields["payload-offset"] * SECTOR,
    digest: { value: fields["mk-digest"], salt: fields["mk-digest-salt"], iterations },
    uuid: textOf(fields.uuid),
    slots,
    slotsAt: at + HEADER.bytes,
    unsupported,
  };
}

function readSlot(start: Uint8Array, index: number, keyBytes: number, areaBytes: number, file: string, at: number): KeySlot {
  const place = HEADER.bytes + index * KEY_SLOT.bytes;
  const fields = KEY_SLOT.read(start, place);
  const { iterations, salt, stripes } = fields;
  const fault = (code: DiskErrorCode, field: keyof typeof fields, text: string) =>
    new DiskError(code, `luks: ${field} of key slot ${index} ${text}`, { file, at: at + place + KEY_SLOT.offsetOf(field) });
  const material = { at: fields["key-material-offset"] * SECTOR, length: stripes * keyBytes };
  const problem = (): DiskError | null => {
    if (fields.active === DISABLED) return null;
    if (fields.active !== ENABLED) return fault("corrupt", "active", `is 0x${fields.active.toString(16)}, which is neither on nor off`);
    if (iterations === 0) return fault("corrupt", "iterations", "is 0, expected at least 1");
    if (iterations > MOST_ITERATIONS) return fault("limit", "iterations", `is ${iterations}, at most ${MOST_ITERATIONS} are tried`);
    if (stripes === 0 || stripes > STRIPES) return fault("corrupt", "stripes", `is ${stripes}, expected ${STRIPES}`);
    const end = material.at + Math.ceil(material.length / SECTOR) * SECTOR;
    if (material.at < HEADER_BYTES || end > areaBytes)
      return fault("corrupt", "key-material-offset", `puts the key at ${material.at} to ${end}, of ${areaBytes} bytes after the header`);
    return null;
  };
  return { active: fields.active !== DISABLED, iterations, salt, stripes, material, problem: problem() };
}

/** As `qemu-img info` shows a LUKS header. */
export function luksDetails({ cipherName, cipher, hash, keyBytes, payloadAt, digest, uuid, slots }: Luks1): Record<string, Json> {
  const [mode = "", vector = ""] = cipher.split("-");
  const [generator = "", generatorHash] = vector.split(":");
  return {
    "ivgen-alg": generator,
    ...(generatorHash !== undefined && { "ivgen-hash-alg": generatorHash }),
    "hash-alg": hash,
    "cipher-alg": `${cipherName}-${(mode === "xts" ? keyBytes / 2 : keyBytes) * 8}`,
    uuid,
    "cipher-mode": mode,
    slots: slots.map(({ active, iterations, stripes, material }) =>
      active ? { active, iters: iterations, stripes, "key-offset": material.at } : { active, "key-offset": material.at },
    ),
    "payload-offset": payloadAt,
    "master-key-iters": digest.iterations,
  };
}
