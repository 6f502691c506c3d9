import { DiskError } from "../core/errors.ts";
import type { ByteSource } from "../core/model.ts";
import type { BlockPool, Compute } from "../core/ports.ts";
import { openDisk } from "./chain.ts";
import { createDigest, type DiskDigest, REGION } from "./digest.ts";
import { attachDisk } from "./disk.ts";
import { inOrder } from "./in-order.ts";
import type { Report } from "./progress.ts";
import { survey } from "./survey.ts";
import { blockOrders, MIN_GRAIN } from "./walk.ts";

export interface Expected {
  readonly format: string;
  /** Format id of the wrapping that it was written in; null: none. */
  readonly wrapping: string | null;
  readonly size: number;
  readonly digest: DiskDigest;
}

/** Opens what was written with its own reader and compares every block with what was read from the source. */
export async function verifyImage(
  files: readonly ByteSource[],
  expected: Expected,
  compute: Compute,
  pool: BlockPool,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const main = files[0] as ByteSource;
  const resolve = async ({ name }: { readonly name: string }) => files.find((file) => file.name === name) ?? null;
  const { wrapping, format } = expected;
  const innerFormat = wrapping === null ? undefined : format;
  const disk = await openDisk(main, { resolve, compute, innerFormat, anySize: true }, wrapping ?? format);
  if (disk.size !== expected.size)
    throw new DiskError("io", `${main.name}: written with a virtual size of ${disk.size} bytes instead of ${expected.size}`, {
      file: main.name,
    });
  const { dataBytes, packedBytes } = await survey(disk, { cells: 1, salvage: false }, signal);
  const attached = attachDisk(disk, pool);
  const digest = createDigest();
  let done = 0;
  try {
    const request = { unit: MIN_GRAIN, encoding: null, hash: true, units: false, salvage: false, start: 0, end: disk.size, onLost: null };
    for await (const { work, result } of inOrder(pool, blockOrders(attached, request, signal), signal)) {
      digest.add(result.hashAt, result.hashes);
      pool.release(result.buffer);
      done += work.dataBytes;
      report({
        phase: "verify",
        done,
        total: dataBytes + packedBytes,
        position: work.order.grains[work.order.grains.length - 1] as number,
      });
    }
  } finally {
    attached.detach();
  }
  const region = digest.firstDifference(expected.digest);
  if (region !== null) {
    const guest = { start: region, length: Math.min(REGION, disk.size - region) };
    throw new DiskError(
      "io",
      `${main.name}: what was written differs from the source between disk offsets ${region} and ${region + guest.length}`,
      { file: main.name, guest },
    );
  }
}
