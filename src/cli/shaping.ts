import { basename, dirname, resolve } from "node:path";
import { DiskError } from "../core/errors.ts";
import { diskAt } from "../jobs/chain.ts";
import { baseOf, differingRanges, levelOf, type Over } from "../jobs/delta.ts";
import type { Disk } from "../jobs/disk.ts";
import type { PresetPlan } from "../jobs/preset.ts";
import { type ShapedDisk, shapeDisk } from "../jobs/shape.ts";
import { PRESETS } from "../presets/index.ts";
import type { Arguments, OptionSpecs } from "./arguments.ts";
import type { Opening } from "./opening.ts";
import { humanSize, parseSize, printLine, printRemark } from "./output.ts";
import type { Session } from "./session.ts";

/** Options that say how the disk is to look in the target. */
export const SHAPING = {
  size: { names: ["--size"], kind: "value", value: "SIZE", help: "virtual size of the target: 8G, 64.5M; the source is not touched" },
  slim: { names: ["--slim"], kind: "flag", help: "leave out what file systems (ext, FAT, NTFS) mark as free" },
  preset: {
    names: ["--preset"],
    kind: "value",
    value: "NAME",
    help: `format, options and size as a target takes them: ${PRESETS.map(({ id }) => id).join(", ")}`,
  },
} as const satisfies OptionSpecs;

export const BASE = {
  base: {
    names: ["-B", "--backing"],
    kind: "value",
    value: "BASE",
    help: "write a layer over this image, which holds only what differs from it",
  },
  baseFormat: { names: ["-F", "--backing-format"], kind: "value", value: "FMT", help: "format of that image, whatever its content" },
} as const satisfies OptionSpecs;

/** The disk as the options want it, and what that means in words. */
export async function shapedDisk(
  disk: Disk,
  names: { source: string; target: string },
  given: Arguments,
  session: Session,
): Promise<ShapedDisk> {
  const stated = given.value("size");
  const shape = { size: stated === undefined ? undefined : parseSize(stated), slim: given.has("slim"), preset: given.value("preset") };
  const name = { source: basename(names.source), target: basename(names.target) };
  const shaped = await shapeDisk(disk, shape, name, session.pool, session.compute, session.signal);
  const blocker = shaped.losses.find(({ severity }) => severity === "blocker");
  if (blocker !== undefined) throw new DiskError("limit", `${blocker.what}: ${blocker.why}`);
  for (const { what, why, severity } of shaped.losses) printRemark(`${severity === "warning" ? "warning" : "note"}: ${what}: ${why}`);
  const { slimmed } = shaped;
  for (const { partition, kind, savedBytes } of slimmed?.fileSystems ?? [])
    printRemark(`note: ${humanSize(savedBytes)} less: free space of ${kind}${partition === null ? "" : ` in partition ${partition}`}`);
  for (const { why } of slimmed?.refused ?? []) printRemark(`warning: not slimmed: ${why}`);
  return shaped;
}

export function printSteps({ preset, steps }: PresetPlan): void {
  printLine(`To import it into ${preset.label}:`);
  for (const [i, { text, commands }] of steps.entries()) {
    printLine(`${String(i + 1).padStart(2)}. ${text}`);
    for (const command of commands) printLine(`      ${command}`);
  }
}

/** What a delta lies over: an image of the disk's own chain, or any other, which is compared with it. Undefined without `-B`. */
export async function baseFor(disk: Disk, target: string, given: Arguments, opening: Opening, session: Session): Promise<Over | undefined> {
  const path = given.value("base");
  if (path === undefined) {
    if (given.value("baseFormat") !== undefined) throw new DiskError("usage", "-F is the format of a base: -B names it");
    return undefined;
  }
  const below = await session.openDisk(path, given.value("baseFormat"), { ...opening, snapshot: undefined, member: undefined });
  const top = below.chain[0];
  if (top === undefined) throw new Error("a chain has at least one volume");
  if (top.wrapping !== undefined)
    throw new DiskError("usage", `${basename(path)} is wrapped (${top.wrapping.join(", ")}): a layer cannot lie over it`);
  if (resolve(dirname(path)) !== resolve(dirname(target)))
    printRemark(`note: ${basename(target)} looks for “${basename(path)}” in its own folder: put the two together`);
  const base = baseOf(top, basename(path));
  const level = levelOf(below, disk);
  if (level !== null) return { base, disk: diskAt(disk, level, session.compute), changes: null };
  return { base, disk: below, changes: await differingRanges(disk, below, session.pool, () => {}, session.signal) };
}
