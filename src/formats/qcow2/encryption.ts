import { decryptedSource } from "../../ciphers/decrypted-source.ts";
import { legacyCipher, legacyNotes, legacySource, placedOnDisk } from "../../ciphers/legacy-aes.ts";
import { luksDetails, readLuks1 } from "../../ciphers/luks1.ts";
import { unlockLuks1 } from "../../ciphers/luks1-keys.ts";
import { sliceSource } from "../../core/bytes.ts";
import type { ByteSource, Extent, Json, Note, OpenContext, Volume } from "../../core/model.ts";
import type { SectorCipher } from "../../core/ports.ts";
import type { Header } from "./header.ts";
import * as q from "./spec.ts";

/** How an image is encrypted, and the key to its data if there is one. Compressed clusters are never encrypted. */
export interface Encryption {
  readonly kind: "AES" | "LUKS";
  /** Null: no passphrase was given, or the cipher is not read here. */
  readonly cipher: SectorCipher | null;
  readonly unsupported: readonly string[];
  readonly notes: readonly Note[];
  /** As in qemu-img's `encrypt`. */
  readonly details: { readonly [key: string]: Json };
}

/** Throws `passphrase` for a wrong one, where that can be told; `corrupt` for a damaged LUKS header. Null: not encrypted. */
export async function openEncryption(file: ByteSource, header: Header, context: OpenContext): Promise<Encryption | null> {
  const { compute, passphrase, signal } = context;
  const none = { unsupported: [], notes: [] };
  if (header.encryption === null) return null;
  if (header.encryption === "AES") {
    const cipher = passphrase === undefined ? null : await legacyCipher(passphrase, compute);
    return { ...none, kind: "AES", cipher, details: { format: "aes" } };
  }
  const area = luksArea(file, header);
  const luks = await readLuks1(area.source, file.name, area.at);
  const unlock = passphrase !== undefined && luks.unsupported.length === 0;
  const cipher = unlock ? await unlockLuks1({ header: luks, area: area.source, file: file.name, passphrase, compute, signal }) : null;
  const faults = luks.slots.flatMap(({ problem }) => (problem === null ? [] : [problem]));
  const notes = faults.map(({ message }): Note => ({ text: `A key slot cannot be used: ${message}.`, severity: "warning" }));
  return { kind: "LUKS", cipher, unsupported: luks.unsupported, notes, details: { ...luksDetails(luks), format: "luks" } };
}

/** [1] Full disk encryption header pointer: where the LUKS header and its key slots lie. */
function luksArea(file: ByteSource, { extensions, clusterSize }: Header): { source: ByteSource; at: number } {
  const place = extensions.crypto;
  if (place === null) throw new Error("qcow2: LUKS without its header extension");
  const refuse = (text: string) => q.problem("corrupt", `full disk encryption header: ${text}`, { file: file.name });
  if (place.offset === 0n || place.offset % BigInt(clusterSize) !== 0n)
    throw refuse(`offset is ${q.hex(place.offset)}, expected a multiple of the cluster size above 0`);
  if (place.offset + place.length > BigInt(file.size))
    throw refuse(`offset is ${q.hex(place.offset)} and length ${place.length}: it runs past the end of the file (${file.size} bytes)`);
  const at = Number(place.offset);
  return { source: sliceSource(file, at, Number(place.length)), at };
}

/** The part of a Volume that holds its data. */
export interface Data {
  readonly files: readonly ByteSource[];
  readonly extents: Volume["extents"];
  readonly notes: readonly Note[];
}

/**
 * `data` with its raw extents, which all lie in the last of its files, in a source that decrypts them; as it is without a key.
 * [1] crypt_method: LUKS counts sectors in the file that holds the clusters, AES on the disk.
 */
export async function decrypt(data: Data, size: number, { kind, cipher }: Encryption): Promise<Data> {
  if (cipher === null) return data;
  const file = data.files[data.files.length - 1] as ByteSource;
  const last = data.files.length;
  const disk = { file, size, extents: data.extents, cipher };
  const source = kind === "LUKS" ? decryptedSource(file, cipher) : legacySource(disk);
  const moved = (extents: readonly Extent[]) =>
    kind === "LUKS" ? extents.map((extent) => (extent.kind === "raw" ? { ...extent, file: last } : extent)) : placedOnDisk(extents, last);
  return {
    files: [...data.files, source],
    extents: async (start, length, signal) => moved(await data.extents(start, length, signal)),
    notes: kind === "LUKS" ? data.notes : [...data.notes, ...(await legacyNotes(disk))],
  };
}
