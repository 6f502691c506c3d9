import { basename } from "node:path";
import { DiskError } from "../core/errors.ts";
import { targetById } from "../formats/registry.ts";
import { presetById } from "../presets/index.ts";
import { type Arguments, parseArguments, sourceAndTarget } from "./arguments.ts";
import { creationOptions, TARGET } from "./creation-options.ts";
import { asksForOptions, formatHelp } from "./format-help.ts";
import { readOpening, requireMember, snapshotName } from "./opening.ts";
import { isJson, printText } from "./output.ts";
import { BASE, baseFor, printSteps, SHAPING, shapedDisk } from "./shaping.ts";
import type { Verb } from "./verb.ts";
import { SALVAGE, VERIFY, WRITING, writeChain, writeConverted } from "./writing.ts";

const OPTIONS = {
  ...WRITING,
  ...TARGET,
  ...SALVAGE,
  ...VERIFY,
  noSourceCheck: { names: ["--no-source-check"], kind: "flag", help: "do not compare checksums over whole files of the source first" },
  ...SHAPING,
  ...BASE,
  keepChain: {
    names: ["--keep-chain"],
    kind: "flag",
    help: "write every layer as an image of its own: DST, and DST-1, DST-2 … from the base on",
  },
} as const;

/** What cannot go together, before any file is opened. */
function requireOneKind(given: Arguments): void {
  if (given.has("preset") && given.has("to")) throw new DiskError("usage", "--preset chooses the format: leave -O out");
  if (given.has("preset") && given.has("base"))
    throw new DiskError(
      "usage",
      "--preset makes a disk that the target takes by itself, and a layer needs its base: leave one of -B and --preset out",
    );
  if (given.has("keepChain") && ["size", "slim", "preset", "base"].some((name) => given.has(name)))
    throw new DiskError("usage", "--keep-chain writes the layers as they are: no --size, --slim, --preset or -B");
}

export const convert: Verb = {
  summary: "Writes the disk of an image as another image, and reads that back.",
  options: OPTIONS,
  operands: "SRC DST",
  exits: { 0: "done", 1: "error" },
  failure: 1,
  async run(words, session) {
    const given = parseArguments(words, OPTIONS);
    requireOneKind(given);
    const preset = given.value("preset");
    const wanted = preset === undefined ? (given.value("to") ?? "raw") : presetById(preset).format;
    if (asksForOptions(given.list("options"))) {
      printText(formatHelp(wanted));
      return 0;
    }
    const [source, named] = sourceAndTarget(given, "convert");
    const format = targetById(wanted).id;
    const opening = { ...(await readOpening(given)), snapshot: snapshotName(given.value("snapshot")) };
    const opened = await session.openDisk(source, given.value("from"), opening);
    requireMember(opening, [opened.chain[0]]);
    const options = creationOptions(format, given.list("options"), given.has("compress"));
    const shaped = await shapedDisk(opened, { source, target: named }, options, given, session);
    const { disk } = shaped;
    const request = {
      format,
      options: shaped.preset?.request.options ?? options,
      name: basename(named),
      salvage: given.has("salvage"),
      verify: !given.has("noVerify"),
      checkSource: !given.has("noSourceCheck"),
      over: await baseFor(disk, named, given, opening, session),
    };
    const order = { disk, request, sourceName: basename(source), target: named };
    if (given.has("keepChain")) return writeChain(order, given, session);
    const code = await writeConverted(order, given, session);
    if (shaped.preset !== null && !isJson(given)) printSteps(shaped.preset);
    return code;
  },
};
