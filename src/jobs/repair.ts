import { DiskError } from "../core/errors.ts";
import type { ByteSource, OpenContext, Volume } from "../core/model.ts";
import type { BlockPool } from "../core/ports.ts";
import type { Loss } from "../core/target.ts";
import { formatById, openImage } from "../formats/registry.ts";
import { checkImage, type ImageCheck, layerOf } from "./check.ts";
import { type Disk, requireReadable } from "./disk.ts";
import type { Report } from "./progress.ts";
import { optionsLike } from "./target.ts";

/** What a repaired copy would be: the same disk in the same format with tables written anew. */
export interface Repair {
  readonly check: ImageCheck | null;
  readonly disk: Disk;
  readonly format: string;
  readonly options: Readonly<Record<string, string>>;
  /** What the copy will not carry. */
  readonly losses: readonly Loss[];
}

/**
 * Repairing is copying: every block that the image's tables lead to is written into a new image whose tables are right. Leaks,
 * wrong counts, damaged redundant headers and a log that was not played back are gone from the copy. Data that cannot be read
 * stops it, unless it is made with `salvage`. The image itself is not touched.
 */
export async function planRepair(
  file: ByteSource,
  context: OpenContext,
  formatId: string | undefined,
  pool: BlockPool,
  report: Report,
  signal: AbortSignal,
): Promise<Repair> {
  const check = await checkImage(file, context, formatId, pool, report, signal);
  const disk = layerOf(await openImage(file, context, formatId), context.compute);
  return { check, disk, ...repairOptions(disk) };
}

/** How a repaired copy of an opened image is to be written. Throws `unsupported` when none can be. */
export function repairOptions({ chain }: Disk): Pick<Repair, "format" | "options" | "losses"> {
  const volume = chain[0] as Volume;
  const file = volume.files[0]?.name;
  const format = formatById(volume.format);
  if (format.target === undefined)
    throw new DiskError("unsupported", `${file}: ${format.label} is not written here; convert it to another format`, { file });
  if (volume.parent !== null)
    throw new DiskError("unsupported", `${file} is a layer over “${volume.parent.name}”; convert it, which makes one image of both`, {
      file,
    });
  requireReadable({ chain: [volume] });
  const losses: Loss[] = [];
  if (volume.wrapping !== undefined)
    losses.push({ what: "The wrapping", why: `the copy is not in ${volume.wrapping.join(" and ")}`, severity: "warning" });
  if (volume.identity !== null)
    losses.push({
      what: "The image's id",
      why: `${volume.identity} stays with it: layers over it do not take the copy for it`,
      severity: "warning",
    });
  if (volume.snapshots.length > 0)
    losses.push({ what: "Internal snapshots", why: "the copy holds the current state only", severity: "warning" });
  if (volume.encrypted) losses.push({ what: "Encryption", why: "the copy is not encrypted", severity: "warning" });
  return { format: format.id, options: optionsLike(format.target, volume), losses };
}
