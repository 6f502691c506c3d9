import { basename } from "node:path";
import { DiskError } from "../core/errors.ts";
import type { TargetSpec } from "../core/target.ts";
import { formatById, targetById } from "../formats/registry.ts";
import { type ConvertPlan, planConvert, rehearse } from "../jobs/convert.ts";
import { requireReadable } from "../jobs/disk.ts";
import { createMeasure, fullyAllocatedSize, lossesOf, readOptions, targetOf, withoutSums } from "../jobs/target.ts";
import { parseArguments } from "./arguments.ts";
import { creationOptions, TARGET } from "./creation-options.ts";
import { asksForOptions, formatHelp } from "./format-help.ts";
import { readOpening, requireMember, SOURCE, snapshotName } from "./opening.ts";
import { isJson, OUTPUT, parseSize, printJson, printLine, printText } from "./output.ts";
import type { Verb } from "./verb.ts";

const OPTIONS = {
  ...SOURCE,
  ...TARGET,
  exact: { names: ["--exact"], kind: "flag", help: "read and pack everything, to know the exact size" },
  size: { names: ["--size"], kind: "value", value: "SIZE", help: "of an empty disk of this size: 64k, 1.5G" },
  output: OUTPUT,
} as const;

/**
 * What a target would take, before anything is written. From the tables alone it is the most that it can be; with `--exact` everything
 * is read and packed as in a conversion to a file named like the source, and nothing written.
 */
export const measure: Verb = {
  summary: "Tells what a target would take, before anything is written.",
  options: OPTIONS,
  operands: "[FILE]",
  exits: { 0: "done", 1: "error" },
  failure: 1,
  async run(words, session) {
    const given = parseArguments(words, OPTIONS);
    const wanted = given.value("to") ?? "raw";
    if (asksForOptions(given.list("options"))) {
      printText(formatHelp(wanted));
      return 0;
    }
    const [path, ...more] = given.operands;
    const stated = given.value("size");
    if (more.length > 0 || (path === undefined) === (stated === undefined))
      throw new DiskError("usage", "measure takes either one file or --size");
    const sizeOf = async (plan: ConvertPlan): Promise<number> =>
      given.has("exact") ? sum(await rehearse(plan, session, () => {}, session.signal)) : plan.logicalBytes;
    const row = targetById(wanted);
    const format = row.id;
    const target = targetOf(row);
    const opening = { ...(await readOpening(given)), snapshot: snapshotName(given.value("snapshot")) };
    const disk = path === undefined ? null : await session.openDisk(path, given.value("from"), opening);
    requireMember(opening, [disk?.chain[0]]);
    const options = creationOptions(format, given.list("options"), given.has("compress"));
    if (disk !== null) requireReadable(disk);
    const name = targetName(path ?? "disk", format);
    const request = { format, options, name, salvage: false, verify: false, checkSource: false };
    const plan = disk === null ? null : await planConvert(disk, request, session, session.signal);
    const size = disk?.size ?? Math.ceil(parseSize(stated as string) / SECTOR) * SECTOR;
    const spec: TargetSpec = plan?.spec ?? {
      size,
      name: request.name,
      options: readOptions(target, options),
      identity: new Uint8Array(16),
    };
    const blocker = (plan?.losses ?? lossesOf(target, spec)).find((loss) => loss.severity === "blocker");
    if (blocker !== undefined) throw new DiskError("limit", `${blocker.what}: ${blocker.why}`);
    const required =
      plan === null ? sum(createMeasure(target.create(spec, withoutSums(session.compute))).finish().sizes) : await sizeOf(plan);
    const fullyAllocated = fullyAllocatedSize(target, spec, session.compute);
    if (isJson(given)) printJson({ required, "fully-allocated": fullyAllocated });
    else for (const line of [`required size: ${required}`, `fully allocated size: ${fullyAllocated}`]) printLine(line);
    return 0;
  },
};

const SECTOR = 512;

/** Descriptors hold the names of their files, so these have a part in the size: the target is taken to be named like the source. */
function targetName(source: string, format: string): string {
  const extension = formatById(format).extensions[0];
  return `${basename(source).replace(/\.[^.]*$/, "")}${extension === undefined ? "" : `.${extension}`}`;
}

const sum = (sizes: readonly number[]): number => sizes.reduce((total, size) => total + size, 0);
