import type { BlockPool, Compute } from "../core/ports.ts";
import type { Loss } from "../core/target.ts";
import { readContents } from "./contents.ts";
import { type Disk, requireReadable } from "./disk.ts";
import { applyPreset, type PresetPlan } from "./preset.ts";
import { resizeDisk, safeSize } from "./resize.ts";
import { type SlimDisk, slimDisk } from "./slim.ts";

/** How a disk is to look in the target; the source stays as it is. */
export interface Shape {
  /** Virtual size in bytes; absent: as it is, or as the preset takes it. */
  readonly size?: number | undefined;
  /** Leave out what file systems mark as free. */
  readonly slim?: boolean | undefined;
  /** Id of the target that the disk is for. */
  readonly preset?: string | undefined;
  /** Options of that target's format, as the user wants them. */
  readonly options?: Readonly<Record<string, string>> | undefined;
}

export interface ShapedDisk {
  readonly disk: Disk;
  /** What was changed, and what the preset's target refuses (blockers); told before the work. */
  readonly losses: readonly Loss[];
  readonly slimmed: SlimDisk | null;
  readonly preset: PresetPlan | null;
}

/** `name.source`: of the disk; `name.target`: of the main output file, when the user has given one. Reads partition tables and file systems' headers; to slim, also their maps of free space. */
export async function shapeDisk(
  disk: Disk,
  shape: Shape,
  name: { readonly source: string; readonly target?: string | undefined },
  pool: BlockPool,
  compute: Compute,
  signal: AbortSignal,
): Promise<ShapedDisk> {
  if (shape.size === undefined && shape.slim !== true && shape.preset === undefined)
    return { disk, losses: [], slimmed: null, preset: null };
  requireReadable(disk);
  const preset = shape.preset === undefined ? null : await presetFor(shape.preset, shape, disk, name, pool, signal);
  const slimmed = shape.slim === true ? await slimDisk(disk, compute, signal) : null;
  const size = preset?.size ?? shape.size ?? disk.size;
  const slim = slimmed?.disk ?? disk;
  const resized = size === disk.size ? { disk: slim, changes: [] } : await resizeDisk(slim, size, pool, compute, signal);
  return { disk: resized.disk, losses: [...(preset?.losses ?? []), ...resized.changes], slimmed, preset };
}

async function presetFor(
  id: string,
  { size, options }: Shape,
  disk: Disk,
  name: { readonly source: string; readonly target?: string | undefined },
  pool: BlockPool,
  signal: AbortSignal,
): Promise<PresetPlan> {
  const partitions = await readContents(disk, pool, signal);
  const { sector } = await safeSize(disk, pool, signal);
  return applyPreset(id, { size: size ?? disk.size, sector, partitions, name: name.source }, name.target, options);
}
