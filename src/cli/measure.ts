import { basename } from "node:path";
import { DiskError } from "../core/errors.ts";
import type { TargetSpec } from "../core/model.ts";
import { formatById } from "../formats/registry.ts";
import { requireReadable } from "../jobs/disk.ts";
import { survey } from "../jobs/survey.ts";
import { createMeasure, fullyAllocatedSize, lossesOf, readOptions, targetOf } from "../jobs/target.ts";
import { parseArguments } from "./arguments.ts";
import { creationOptions } from "./creation-options.ts";
import type { Verb } from "./main.ts";
import { isJson, OUTPUT, parseSize, printJson, printLine } from "./output.ts";

const OPTIONS = {
  from: { names: ["-f"], kind: "value" },
  to: { names: ["-O"], kind: "value" },
  options: { names: ["-o"], kind: "list" },
  snapshot: { names: ["-l"], kind: "value" },
  size: { names: ["--size"], kind: "value" },
  output: OUTPUT,
} as const;

/** What a target would take, before anything is written; compression is not foreseen. */
export const measure: Verb = {
  usage: "[-O FMT] [-o NAME=VALUE,…] [-f FMT] [-l SNAPSHOT] [--output=json] (--size SIZE | FILE)",
  failure: 1,
  async run(words, session) {
    const given = parseArguments(words, OPTIONS);
    const [path, ...more] = given.operands;
    const stated = given.value("size");
    if (more.length > 0 || (path === undefined) === (stated === undefined))
      throw new DiskError("usage", "measure takes either one file or --size");
    const format = given.value("to") ?? "raw";
    const target = targetOf(formatById(format));
    const disk =
      path === undefined ? null : await session.openDisk(path, { format: given.value("from"), snapshot: given.value("snapshot") });
    if (disk !== null) requireReadable(disk);
    const size = disk?.size ?? parseSize(stated as string);
    const options = readOptions(target, creationOptions(format, given.list("options"), false));
    const spec: TargetSpec = { size, name: basename(path ?? "disk"), options, identity: new Uint8Array(16) };
    const blocker = lossesOf(target, spec).find((loss) => loss.severity === "blocker");
    if (blocker !== undefined) throw new DiskError("limit", `${blocker.what}: ${blocker.why}`);
    const needed = createMeasure(target.create(spec, session.compute));
    if (disk !== null)
      await survey(disk, { cells: 1, salvage: false, onData: (start, length) => needed.add(start, length) }, session.signal);
    const required = sum(needed.finish().sizes);
    const fullyAllocated = fullyAllocatedSize(target, spec, session.compute);
    if (isJson(given)) printJson({ required, "fully-allocated": fullyAllocated });
    else printLine(`required size: ${required}\nfully allocated size: ${fullyAllocated}`);
    return 0;
  },
};

const sum = (sizes: readonly number[]): number => sizes.reduce((total, size) => total + size, 0);
