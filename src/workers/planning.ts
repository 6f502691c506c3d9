import { DiskError } from "../core/errors.ts";
import type { BlockPool, Compute } from "../core/ports.ts";
import { diskAt } from "../jobs/chain.ts";
import { type ConvertPlan, planConvert } from "../jobs/convert.ts";
import type { Over } from "../jobs/delta.ts";
import type { Disk } from "../jobs/disk.ts";
import { layerLosses, layerNames } from "../jobs/keep-chain.ts";
import { type ShapedDisk, shapeDisk } from "../jobs/shape.ts";
import { survey } from "../jobs/survey.ts";
import { PRESETS } from "../presets/index.ts";
import type { ConvertRequest, ImportCard, PresetCard } from "./engine-api.ts";

/** A plan, and what the disk was made into for it. */
export interface Prepared {
  readonly plan: ConvertPlan;
  readonly shaped: ShapedDisk;
}

/** What a request is about. */
export interface Subject {
  readonly disk: Disk;
  /** Of the source's file. */
  readonly name: string;
  readonly over: Over | undefined;
}

const DESKTOPS = ["workstation", "virtualbox", "utm", "parallels"];
const CLOUDS = ["azure", "aws", "gce", "digitalocean"];

export function presetCards(): PresetCard[] {
  return PRESETS.map(({ id, label, help, format, options, rules }) => {
    const group = CLOUDS.includes(id) ? "cloud" : DESKTOPS.includes(id) ? "desktop" : "server";
    return { id, label, help, group, format, options, rules };
  });
}

export function importCard({ preset }: ShapedDisk): ImportCard | null {
  return preset && { label: preset.preset.label, steps: preset.steps };
}

/** The disk as the request wants it. */
export function shapedFor(
  { disk, name }: Subject,
  { preset, size, slim, options, name: target }: ConvertRequest,
  pool: BlockPool,
  compute: Compute,
  signal: AbortSignal,
): Promise<ShapedDisk> {
  const names = { source: name, target: target === "" ? undefined : target };
  return shapeDisk(disk, { preset, size, slim, options }, names, pool, compute, signal);
}

/** Refuses what would be passed over, or be another disk than the one that was compared with the base. */
export function requireOneKind({ preset, size, slim, keepLayers, base }: ConvertRequest): void {
  const isShaped = size !== undefined || slim === true;
  if (keepLayers === true && (isShaped || preset !== undefined || base !== undefined))
    throw new DiskError("usage", "layers are kept as they are: without another size, free space left out, a target or a base");
  if (base === undefined) return;
  if (preset !== undefined)
    throw new DiskError("usage", "a target takes a disk by itself, and a layer needs its base: choose either the target or the base");
  if (isShaped)
    throw new DiskError("usage", "a layer over a base is made of the disk as it is: without another size or free space left out");
}

/** The disk as the request, which is not for layers, wants it, and the plan for it. Reads only. */
export async function prepare(
  subject: Subject,
  request: ConvertRequest,
  pool: BlockPool,
  compute: Compute,
  signal: AbortSignal,
): Promise<Prepared> {
  requireOneKind(request);
  if (request.keepLayers === true) throw new Error("layers are planned by prepareLayers");
  const { over } = subject;
  const shaped = await shapedFor(subject, request, pool, compute, signal);
  const { format, options, name } = shaped.preset?.request ?? request;
  const { salvage } = request;
  const order = { format, options, name, salvage, verify: true, checkSource: true, over };
  return { plan: await planConvert(shaped.disk, order, { pool, compute }, signal), shaped };
}

/** The sums of a chain that is kept: the base as it would be written, and above it about what each layer holds itself. */
export async function prepareLayers(
  { disk }: Subject,
  request: ConvertRequest,
  pool: BlockPool,
  compute: Compute,
  signal: AbortSignal,
): Promise<Pick<ConvertPlan, "files" | "outputBytes" | "logicalBytes" | "memoryBytes" | "losses"> & { readonly dataBytes: number }> {
  requireOneKind(request);
  const { format, options, salvage } = request;
  const names = layerNames(disk, request.name);
  const [lowest = "", ...upper] = names;
  const base = diskAt(disk, disk.chain.length - 1, compute);
  const order = { format, options, name: lowest, salvage, verify: true, checkSource: true };
  const plan = await planConvert(base, order, { pool, compute }, signal);
  let above = 0;
  for (let level = 0; level < disk.chain.length - 1; level++) {
    const { cells } = await survey(diskAt(disk, level, compute), { cells: 1, salvage: true, owners: true }, signal);
    const own = cells.owners?.[0];
    for (const bytes of [...(own?.data ?? []), ...(own?.packed ?? [])]) above += bytes;
  }
  const refused = plan.losses.some(({ severity }) => severity === "blocker") ? [] : layerLosses(disk, { names, format, options }, compute);
  return {
    files: [...upper.toReversed(), ...plan.files],
    outputBytes: plan.outputBytes + above,
    logicalBytes: plan.logicalBytes + above,
    memoryBytes: plan.memoryBytes,
    losses: [...plan.losses, ...refused],
    dataBytes: plan.survey.dataBytes + plan.survey.packedBytes + above,
  };
}
