import { DiskError } from "../../core/errors.ts";
import type { ByteSource, VerifyProgress } from "../../core/model.ts";
import type { Compute, HashName } from "../../core/ports.ts";

const STEP = 4 << 20;
const MOST_BYTES = 1 << 20;
const HASHES: Readonly<Record<string, HashName>> = { SHA1: "sha1", SHA256: "sha256" };

export interface Digest {
  readonly name: string;
  readonly hash: HashName;
  /** Lower-case hex. */
  readonly value: string;
}

/** §5.3: lines `SHA256(name)= hex`. Lines of other hashes are passed over. */
export async function readManifest(manifest: ByteSource): Promise<readonly Digest[]> {
  if (manifest.size > MOST_BYTES)
    throw new DiskError("limit", `${manifest.name}: a manifest of ${manifest.size} bytes`, { file: manifest.name });
  const text = new TextDecoder().decode(await manifest.read(0, manifest.size));
  return text.split(/\r?\n/).flatMap((line) => {
    const match = /^\s*(SHA1|SHA256)\s*\((.+)\)\s*=\s*([0-9a-fA-F]+)\s*$/.exec(line);
    if (match === null) return [];
    const [, hash = "", name = "", value = ""] = match;
    return [{ name, hash: HASHES[hash] as HashName, value: value.toLowerCase() }];
  });
}

/** Hashes the file from end to end. */
export async function verifyDigest(
  file: ByteSource,
  digest: Digest,
  compute: Compute,
  progress: VerifyProgress,
  signal?: AbortSignal,
): Promise<void> {
  const hash = compute.hash(digest.hash);
  for (let at = 0; at < file.size; at += STEP) {
    signal?.throwIfAborted();
    hash.update(await file.read(at, Math.min(STEP, file.size - at), signal));
    progress(at, file.size);
  }
  const actual = Array.from(hash.digest(), (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (actual !== digest.value)
    throw new DiskError("corrupt", `${file.name}: its ${digest.hash.toUpperCase()} is ${actual}, but the manifest states ${digest.value}`, {
      file: file.name,
      at: 0,
    });
}
