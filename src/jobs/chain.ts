import { DiskError } from "../core/errors.ts";
import type { ByteSource, OpenContext, Volume } from "../core/model.ts";
import { openImage } from "../formats/registry.ts";
import { createDisk, type Disk } from "./disk.ts";

/** More layers than this is taken for a loop that identity did not catch. */
const MAX_LAYERS = 256;

/** Opens an image and, through the context's resolver, every parent below it. */
export async function openDisk(file: ByteSource, context: OpenContext, format?: string): Promise<Disk> {
  const chain: Volume[] = [];
  const opened: ByteSource[] = [];
  let next: ByteSource | null = file;
  let nextFormat = format;
  while (next !== null) {
    const source: ByteSource = next;
    if (chain.length === MAX_LAYERS || opened.some((other) => sameFile(other, source)))
      throw new DiskError("corrupt", `${source.name}: the chain of parents leads back to this file`, { file: source.name });
    opened.push(source);
    const volume: Volume = await openImage(source, chain.length === 0 ? context : { ...context, snapshot: undefined }, nextFormat);
    const child = chain[chain.length - 1];
    if (child !== undefined) requireIdentity(child, volume, source);
    chain.push(volume);
    next = null;
    if (volume.parent !== null) {
      next = await context.resolve(volume.parent);
      nextFormat = volume.parent.format ?? undefined;
      if (next === null) {
        const needs = volume.parent.name;
        throw new DiskError("missing-file", `${source.name} is a layer over “${needs}”, which was not given`, { file: source.name, needs });
      }
    }
  }
  return createDisk(chain, context.compute.mergeLayers);
}

/** A parent that was changed after its child was made shows other data below the child than the child was made over. */
function requireIdentity(child: Volume, parent: Volume, file: ByteSource): void {
  const expected = child.parent?.id ?? null;
  if (expected === null || parent.identity === null || expected === parent.identity) return;
  const name = child.files[0]?.name;
  throw new DiskError(
    "corrupt",
    `${file.name} has the id ${parent.identity}, but ${name} was made over ${expected}: it was changed afterwards or is another disk`,
    { file: file.name },
  );
}

function sameFile(a: ByteSource, b: ByteSource): boolean {
  return a === b || (a.origin !== null && b.origin !== null && a.origin.handle === b.origin.handle && a.origin.at === b.origin.at);
}
