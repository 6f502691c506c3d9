// The encryption of qcow and qcow2 with crypt_method 1.
// References
// - [QCOW2] QEMU, docs/interop/qcow2.rst, "Data encryption"
// - [CRYPTO] QEMU, crypto/block-qcow.c: the key is the passphrase, the vector the sector's number
import { checkRange } from "../core/bytes.ts";
import { DiskError } from "../core/errors.ts";
import type { ByteSource, Extent, Note, Volume } from "../core/model.ts";
import type { Compute, SectorCipher } from "../core/ports.ts";
import { showsPlainText } from "./decrypted-source.ts";

const SECTOR = 512;
const KEY_BYTES = 16;
/** How much data is looked at to tell whether the passphrase fits, and how many answers of the map are asked for. */
const SAMPLE_BYTES = 1 << 20;
const SAMPLE_CALLS = 16;

/** [CRYPTO] The key is the passphrase's first 16 bytes, filled up with zeros; there is nothing to check it against. */
export function legacyCipher(passphrase: string, compute: Compute): Promise<SectorCipher> {
  const key = new Uint8Array(KEY_BYTES);
  key.set(new TextEncoder().encode(passphrase).subarray(0, KEY_BYTES));
  return compute.sectorCipher("cbc-plain64", key);
}

/** What a decrypted disk is made of: its map (raw extents lie in `file`), and the file. */
export interface LegacyDisk {
  readonly file: ByteSource;
  readonly size: number;
  readonly extents: Volume["extents"];
  readonly cipher: SectorCipher;
}

/**
 * The decrypted data at their places on the disk, since sectors are numbered as the guest sees them: byte `n` of the source is byte
 * `n` of the disk. Only what the map calls raw is meant to be read; what lies between reads as zero.
 */
export function legacySource({ file, size, extents, cipher }: LegacyDisk): ByteSource {
  return {
    name: file.name,
    size,
    origin: null,
    async read(at, length, signal) {
      checkRange(this, at, length);
      const from = Math.floor(at / SECTOR) * SECTOR;
      const to = Math.min(Math.ceil((at + length) / SECTOR) * SECTOR, size);
      const out = new Uint8Array(Math.ceil((to - from) / SECTOR) * SECTOR);
      for (let next = from; next < to; ) {
        for (const extent of await extents(next, to - next, signal)) {
          next = extent.start + extent.length;
          if (extent.kind !== "raw") continue;
          // The disk may end inside a sector, the file holds all of it.
          const sectors = await file.read(extent.at, Math.ceil(extent.length / SECTOR) * SECTOR, signal);
          cipher.decrypt(sectors, extent.start / SECTOR);
          out.set(sectors, extent.start - from);
        }
      }
      return out.length === length ? out : out.slice(at - from, at - from + length);
    },
  };
}

/** A warning unless the beginning of the disk's data shows that the passphrase is right. */
export async function legacyNotes(disk: LegacyDisk): Promise<readonly Note[]> {
  const source = legacySource(disk);
  let left = SAMPLE_BYTES;
  let at = 0;
  let seen = false;
  try {
    for (let call = 0; call < SAMPLE_CALLS && at < disk.size && left > 0; call++) {
      for (const { kind, start, length } of await disk.extents(at, disk.size - at)) {
        at = start + length;
        if (kind !== "raw" || left <= 0) continue;
        seen = true;
        const sample = Math.min(length, left);
        if (showsPlainText(await source.read(start, sample))) return [];
        left -= sample;
      }
    }
  } catch (error) {
    // What is damaged is told when it is read.
    if (!(error instanceof DiskError)) throw error;
  }
  if (!seen && at >= disk.size) return [];
  const text =
    "This kind of encryption cannot tell a wrong passphrase, and the beginning of the disk does not show whether this one is right.";
  return [{ text, severity: "warning" }];
}

/** Extents as the map gives them, with raw ones in `files[file]`, a legacySource. */
export function placedOnDisk(extents: readonly Extent[], file: number): readonly Extent[] {
  return extents.map((extent) => (extent.kind === "raw" ? { ...extent, file, at: extent.start } : extent));
}
