import type { WorkerPool } from "../blocks/pool.ts";
import { DiskError } from "../core/errors.ts";
import type { Compute } from "../core/ports.ts";
import type { Loss } from "../core/target.ts";
import { formatById } from "../formats/registry.ts";
import { diskAt } from "../jobs/chain.ts";
import { type ConvertPlan, planConvert } from "../jobs/convert.ts";
import { baseOf, differingRanges, levelOf, type Over } from "../jobs/delta.ts";
import type { Disk } from "../jobs/disk.ts";
import type { Report } from "../jobs/progress.ts";
import { type ShapedDisk, shapeDisk } from "../jobs/shape.ts";
import { survey } from "../jobs/survey.ts";
import { readOptions, targetOf } from "../jobs/target.ts";
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
  { preset, size, slim, name: target }: ConvertRequest,
  pool: WorkerPool,
  compute: Compute,
  signal: AbortSignal,
): Promise<ShapedDisk> {
  const names = { source: name, target: target === "" ? undefined : target };
  return shapeDisk(disk, { preset, size, slim }, names, pool, compute, signal);
}

/** The disk as the request wants it, and the plan for it. Reads only. */
export async function prepare(
  subject: Subject,
  request: ConvertRequest,
  pool: WorkerPool,
  compute: Compute,
  signal: AbortSignal,
): Promise<Prepared> {
  const { over } = subject;
  const shaped = await shapedFor(subject, request, pool, compute, signal);
  const { format, name } = shaped.preset?.request ?? request;
  if (over !== undefined && name.toLowerCase() === over.base.name.toLowerCase())
    throw new DiskError("usage", `“${name}” is the name of the base: the layer needs another one beside it`);
  const options = { ...shaped.preset?.request.options, ...request.options };
  const { salvage } = request;
  const order = { format, options, name, salvage, verify: true, checkSource: !salvage, over };
  return { plan: await planConvert(shaped.disk, order, { pool, compute }, signal), shaped };
}

/** What the base of a delta means for a disk; where the disk does not lie over it, the two are compared. */
export async function overBase(
  disk: Disk,
  base: Disk,
  name: string,
  pool: WorkerPool,
  compute: Compute,
  report: Report,
  signal: AbortSignal,
): Promise<Over> {
  const top = base.chain[0];
  if (top === undefined) throw new Error("a chain has at least one volume");
  if (top.wrapping !== undefined)
    throw new DiskError("usage", `${name} is wrapped (${top.wrapping.join(", ")}): a layer cannot lie over it`);
  const level = levelOf(base, disk);
  if (level !== null) return { base: baseOf(top, name), disk: diskAt(disk, level, compute), changes: null };
  return { base: baseOf(top, name), disk: base, changes: await differingRanges(disk, base, pool, report, signal) };
}

/** Names for the layers of a chain, the base's first: "web-1.qcow2", "web-2.qcow2", and the newest's as it was given. */
export function layerNames(disk: Disk, name: string): string[] {
  const dot = name.lastIndexOf(".");
  const [stem, extension] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
  return disk.chain.map((_, i) => (i === disk.chain.length - 1 ? name : `${stem}-${i + 1}${extension}`));
}

/** The sums of a chain that is kept: the base as it would be written, and above it about what each layer holds itself. */
export async function prepareLayers(
  { disk }: Subject,
  request: ConvertRequest,
  pool: WorkerPool,
  compute: Compute,
  signal: AbortSignal,
): Promise<Pick<ConvertPlan, "files" | "outputBytes" | "logicalBytes" | "memoryBytes" | "losses"> & { readonly dataBytes: number }> {
  const { format, options, salvage } = request;
  const names = layerNames(disk, request.name);
  const [lowest = "", ...upper] = names;
  const base = diskAt(disk, disk.chain.length - 1, compute);
  const order = { format, options, name: lowest, salvage, verify: true, checkSource: !salvage };
  const plan = await planConvert(base, order, { pool, compute }, signal);
  let above = 0;
  for (let level = 0; level < disk.chain.length - 1; level++) {
    const { cells } = await survey(diskAt(disk, level, compute), { cells: 1, salvage: true, owners: true }, signal);
    const own = cells.owners?.[0];
    for (const bytes of [...(own?.data ?? []), ...(own?.packed ?? [])]) above += bytes;
  }
  const refused = plan.losses.some(({ severity }) => severity === "blocker") ? [] : layerLosses(disk, names, request);
  return {
    files: [...upper.toReversed(), ...plan.files],
    outputBytes: plan.outputBytes + above,
    logicalBytes: plan.logicalBytes + above,
    memoryBytes: plan.memoryBytes,
    losses: [...plan.losses, ...refused],
    dataBytes: plan.survey.dataBytes + plan.survey.packedBytes + above,
  };
}

/** Identities that a base could have: the real one is not known before the base is written. */
const SOME_CID = "01234567";
const SOME_UUID = "01234567-89ab-4cde-8f01-23456789abcd";

function layerLosses(disk: Disk, names: readonly string[], { format, options }: ConvertRequest): Loss[] {
  const row = formatById(format);
  const target = targetOf(row);
  if (target.overBase === undefined)
    return [{ what: "This format has no layers", why: "a chain cannot be kept in it", severity: "blocker" }];
  const given = readOptions(target, options);
  const losses = new Map<string, Loss>();
  const sizes = disk.chain.map((_, level) => disk.chain[level]?.size ?? 0).toReversed();
  for (let i = 1; i < names.length; i++) {
    const identity = row.id === "vmdk" ? SOME_CID : SOME_UUID;
    const base = { name: names[i - 1] as string, format: row.id, size: sizes[i - 1] as number, identity, details: {} };
    const found = target.overBase(base, { size: sizes[i] as number, name: names[i] as string, options: given, base });
    for (const loss of found) losses.set(`${loss.what} ${loss.why}`, loss);
  }
  return [...losses.values()];
}
