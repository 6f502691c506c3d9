import type { WorkerPool } from "../blocks/pool.ts";
import { DiskError } from "../core/errors.ts";
import { plainName } from "../core/file-name.ts";
import type { Note, ResolveFile } from "../core/model.ts";
import { DISK_FORMATS } from "../formats/registry.ts";
import { readContents } from "../jobs/contents.ts";
import { type Disk, isLocked, unsupportedFeatures } from "../jobs/disk.ts";
import { type OwnerSums, survey } from "../jobs/survey.ts";
import { fileSource } from "../platform/browser/file-source.ts";
import type { ImageCard } from "./engine-api.ts";

/** Images may only name files that the user gave, and only by their plain names. */
export function resolver(files: readonly File[], remarks: Note[]): ResolveFile {
  return async (reference) => {
    const wanted = plainName(reference.name);
    const exact = files.filter(({ name }) => name === wanted);
    const found = exact.length > 0 ? exact : files.filter(({ name }) => name.toLowerCase() === wanted.toLowerCase());
    if (found.length > 1)
      throw new DiskError("usage", `there are ${found.length} files named “${wanted}”: give only the folder that this image belongs to`, {
        file: wanted,
      });
    if (found[0] === undefined) return null;
    if (wanted !== reference.name.replace(/^\.[/\\]/, ""))
      remarks.push({ text: `The image names “${reference.name}”; the “${found[0].name}” that was given is used.`, severity: "warning" });
    return fileSource(found[0]);
  };
}

export async function cardOf(
  disk: Disk,
  image: number,
  name: string,
  fileBytes: number,
  pool: WorkerPool,
): Promise<Omit<ImageCard, "files">> {
  const top = disk.chain[0];
  if (top === undefined) throw new Error("a chain has at least one volume");
  const unsupported = unsupportedFeatures(disk);
  const locked = isLocked(disk);
  const readable = unsupported.length === 0 && !locked;
  const signal = new AbortController().signal;
  const sums = readable
    ? await survey(disk, { cells: 1, salvage: true, owners: true }, signal)
    : { dataBytes: 0, packedBytes: 0, zeroBytes: 0, holeBytes: 0, cells: { owners: [] } };
  const contents = readable ? await readContents(disk, pool, signal) : null;
  // A bare disk that was cut off is told by its reader and by its partition table.
  const notes = [...new Map([...disk.notes, ...(contents?.notes ?? [])].map((note) => [note.text, note])).values()];
  return {
    image,
    name,
    format: top.format,
    label: DISK_FORMATS.find(({ id }) => id === top.format)?.label ?? top.format,
    variant: top.variant,
    size: disk.size,
    fileBytes,
    dataBytes: sums.dataBytes,
    packedBytes: sums.packedBytes,
    zeroBytes: sums.zeroBytes + sums.holeBytes,
    owners: disk.chain.map((volume, i) => ({ name: volume.files[0]?.name ?? volume.format, bytes: total(sums.cells.owners?.[i]) })),
    partitions: contents && { kind: contents.kind, entries: contents.entries },
    notes,
    snapshots: top.snapshots,
    unsupported,
    encrypted: disk.chain.some((volume) => volume.encrypted),
    locked,
    wrapping: top.wrapping ?? [],
    details: top.details,
  };
}

/** What one volume is the newest holder of, bytes. */
function total(sums: OwnerSums | undefined): number {
  return sums === undefined ? 0 : [...sums.data, ...sums.packed].reduce((sum, bytes) => sum + bytes, 0);
}
