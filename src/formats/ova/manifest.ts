import { DiskError } from "../../core/errors.ts";
import { hexText } from "../../core/hex.ts";
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

export interface Manifest {
  readonly digests: readonly Digest[];
  /** Hashes of lines that are passed over: `SHA512`. */
  readonly unread: readonly string[];
}

/** §5.3: lines `SHA256(name)= hex`. */
export async function readManifest(manifest: ByteSource): Promise<Manifest> {
  if (manifest.size > MOST_BYTES)
    throw new DiskError("limit", `${manifest.name}: a manifest of ${manifest.size} bytes`, { file: manifest.name });
  const text = new TextDecoder().decode(await manifest.read(0, manifest.size));
  const digests: Digest[] = [];
  const unread = new Set<string>();
  for (const line of text.split(/\r?\n/)) {
    const match = /^\s*([A-Z]+\d*)\s*\((.+)\)\s*=\s*([0-9a-fA-F]+)\s*$/.exec(line);
    if (match === null) continue;
    const [, stated = "", name = "", value = ""] = match;
    const hash = HASHES[stated];
    if (hash === undefined) unread.add(stated);
    else digests.push({ name, hash, value: value.toLowerCase() });
  }
  return { digests, unread: [...unread] };
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
  const actual = hexText(hash.digest());
  if (actual !== digest.value)
    throw new DiskError("corrupt", `${file.name}: its ${digest.hash.toUpperCase()} is ${actual}, but the manifest states ${digest.value}`, {
      file: file.name,
      at: 0,
    });
}
