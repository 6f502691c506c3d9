import { basename, dirname, resolve } from "node:path";
import { DiskError } from "../core/errors.ts";
import type { Loss } from "../core/target.ts";
import { type Over, overBase } from "../jobs/delta.ts";
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
  options: Readonly<Record<string, string>>,
  given: Arguments,
  session: Session,
): Promise<ShapedDisk> {
  const stated = given.value("size");
  const size = stated === undefined ? undefined : parseSize(stated);
  const shape = { size, slim: given.has("slim"), preset: given.value("preset"), options };
  const name = { source: basename(names.source), target: basename(names.target) };
  const shaped = await shapeDisk(disk, shape, name, session.pool, session.compute, session.signal);
  const blocker = shaped.losses.find(({ severity }) => severity === "blocker");
  if (blocker !== undefined) throw new DiskError("limit", `${blocker.what}: ${blocker.why}`);
  tellLosses(shaped.losses, session);
  const { slimmed } = shaped;
  for (const { partition, kind, savedBytes } of slimmed?.fileSystems ?? [])
    printRemark(`note: ${humanSize(savedBytes)} less: free space of ${kind}${partition === null ? "" : ` in partition ${partition}`}`);
  for (const { why } of slimmed?.refused ?? []) session.warn(`not slimmed: ${why}`);
  return shaped;
}

export function tellLosses(losses: readonly Loss[], session: Session): void {
  for (const { what, why, severity } of losses)
    if (severity === "warning") session.warn(`${what}: ${why}`);
    else printRemark(`note: ${what}: ${why}`);
}

export function printSteps({ preset, steps }: PresetPlan): void {
  printLine(`To import it into ${preset.label}:`);
  for (const [i, { text, commands }] of steps.entries()) {
    printLine(`${String(i + 1).padStart(2)}. ${text}`);
    for (const command of commands) printLine(`      ${command}`);
  }
}

/** What readers warn of; their notes are for `info`. */
export function tellNotes({ notes }: Disk, session: Session): void {
  for (const { text, severity } of notes) if (severity === "warning") session.warn(text);
}

/** What a delta lies over: an image of the disk's own chain, or any other, which is compared with it. Undefined without `-B`. */
export async function baseFor(disk: Disk, target: string, given: Arguments, opening: Opening, session: Session): Promise<Over | undefined> {
  const path = given.value("base");
  if (path === undefined) {
    if (given.value("baseFormat") !== undefined) throw new DiskError("usage", "-F is the format of a base: -B names it");
    return undefined;
  }
  const below = await session.openDisk(path, given.value("baseFormat"), { ...opening, snapshot: undefined, member: undefined });
  if (resolve(dirname(path)) !== resolve(dirname(target)))
    printRemark(`note: ${basename(target)} looks for “${basename(path)}” in its own folder: put the two together`);
  tellNotes(below, session);
  return overBase(disk, below, basename(path), session, () => {}, session.signal);
}
