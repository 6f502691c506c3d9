import { createHash } from "node:crypto";
import { createBlockMap, type Run } from "../core/block-map.ts";
import type { Volume } from "../core/model.ts";
import { same } from "./disks.ts";
import { readVolume, testCompute } from "./image-harness.ts";

const BLOCK = 64 << 10;
const WINDOW = 8 << 20;
const ZEROS = new Uint8Array(BLOCK);

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/**
 * What the corpora's tables call `nz_sha256`: SHA-256 over the 64 KiB blocks of a chain (newest first) that are not all zero, each after
 * its offset, and then the size (both u64, big-endian). Reads only what is allocated.
 */
export async function contentHash(chain: readonly Volume[]): Promise<string> {
  const { size } = chain[0] as Volume;
  const hash = createHash("sha256");
  const map = createBlockMap(chain, testCompute().mergeLayers);
  for (let at = 0; at < size; ) {
    const [first] = (await map(at, size - at)) as [Run, ...Run[]];
    const end = first.extent.start + first.extent.length;
    // The block in which the next data begins, or the end of the disk.
    const next = end === size ? size : end - (end % BLOCK);
    if (first.extent.kind === "zero" && next > at) {
      at = next;
      continue;
    }
    const bytes = await readVolume(chain, at, Math.min(WINDOW, size - at));
    for (let done = 0; done < bytes.length; done += BLOCK) {
      const block = bytes.subarray(done, done + BLOCK);
      if (!same(block, ZEROS.subarray(0, block.length))) hash.update(bigEndian(at + done)).update(block);
    }
    at += bytes.length;
  }
  return hash.update(bigEndian(size)).digest("hex");
}

function bigEndian(value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt(value));
  return out;
}
