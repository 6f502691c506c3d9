import { isNamedById } from "../chains/index.ts";
import { DiskError } from "../core/errors.ts";
import { plainName } from "../core/file-name.ts";
import type { ByteSource, FileReference, Range, Volume } from "../core/model.ts";
import type { BlockPool, Compute } from "../core/ports.ts";
import { openImage } from "../formats/registry.ts";
import type { Over } from "./delta.ts";
import { createDigest, type DiskDigest, REGION } from "./digest.ts";
import { attachDisk, createDisk, type Disk } from "./disk.ts";
import { inOrder } from "./in-order.ts";
import type { Report } from "./progress.ts";
import { survey } from "./survey.ts";
import { blockOrders, HASHES, mapRuns } from "./walk.ts";

export interface Expected {
  readonly format: string;
  /** Format id of the wrapping that it was written in; null: none. */
  readonly wrapping: string | null;
  readonly size: number;
  readonly digest: DiskDigest;
  /** Of a delta: what it lies over, and the units that it was to hold; `digest` covers these alone. */
  readonly changes: { readonly over: Over; within(): AsyncIterable<Range> } | undefined;
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
  const { changes } = expected;
  const written = await openWritten(files, expected, compute);
  const disk = changes === undefined ? createDisk([written], compute.mergeLayers) : openDelta(main, written, changes.over, compute);
  if (disk.size !== expected.size)
    throw new DiskError("io", `${main.name}: written with a virtual size of ${disk.size} bytes instead of ${expected.size}`, {
      file: main.name,
    });
  if (changes !== undefined) await requireNothingElse(disk, changes, signal);
  const { dataBytes, packedBytes } = await survey(disk, { cells: 1, salvage: false }, signal);
  const attached = attachDisk(disk, pool);
  const digest = createDigest();
  let done = 0;
  try {
    const request = { ...HASHES, start: 0, end: disk.size, within: changes?.within() };
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
    const where = `between disk offsets ${region} and ${region + guest.length}`;
    const why = "the drive did not keep it as it was, or the source was changed meanwhile";
    throw new DiskError("io", `${main.name}: what was written differs from what was read, ${where}: ${why}`, { file: main.name, guest });
  }
}

/** The image that was just written, its base not looked for. */
export function openWritten(
  files: readonly ByteSource[],
  { wrapping, format }: Pick<Expected, "wrapping" | "format">,
  compute: Compute,
): Promise<Volume> {
  const resolve = async ({ name }: { readonly name: string }) => files.find((file) => file.name === name) ?? null;
  const innerFormat = wrapping === null ? undefined : format;
  return openImage(files[0] as ByteSource, { resolve, compute, innerFormat, anySize: true }, wrapping ?? format);
}

/** The delta over the base that it was made for; it must name that base as it was told to, if only by its id where there is no name. */
function openDelta(main: ByteSource, delta: Volume, over: Over, { mergeLayers }: Compute): Disk {
  const { name, identity } = over.base;
  const parent = delta.parent;
  const isOver = (stated: FileReference): boolean =>
    (isNamedById(stated) || plainName(stated.name) === name) && (stated.id === null || stated.id === identity);
  if (parent === null || !isOver(parent))
    throw new DiskError("io", `${main.name}: written over “${parent?.name}” (${parent?.id}) instead of “${name}” (${identity})`, {
      file: main.name,
    });
  return createDisk([delta, ...over.disk.chain], mergeLayers);
}

/** Outside the units that it was to hold, a delta leaves everything to its base. */
async function requireNothingElse(disk: Disk, { within }: NonNullable<Expected["changes"]>, signal: AbortSignal): Promise<void> {
  let at = 0;
  const requireBase = async (end: number): Promise<void> => {
    for await (const runs of mapRuns(disk, at, end, signal))
      for (const { volume, extent } of runs)
        if (volume === 0 && !(extent.kind === "zero" && !extent.allocated)) {
          const [file, guest] = [disk.chain[0]?.files[0]?.name, { start: extent.start, length: extent.length }];
          throw new DiskError("io", `${file}: holds disk offset ${extent.start}, which its base has just so`, { file, guest });
        }
  };
  for await (const { start, length } of within()) {
    if (start > at) await requireBase(start);
    at = start + length;
  }
  if (at < disk.size) await requireBase(disk.size);
}
