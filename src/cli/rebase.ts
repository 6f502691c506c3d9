import { basename } from "node:path";
import { DiskError } from "../core/errors.ts";
import { targetById } from "../formats/registry.ts";
import { parseArguments, sourceAndTarget } from "./arguments.ts";
import { creationOptions, TARGET } from "./creation-options.ts";
import { readOpening, requireMember, snapshotName } from "./opening.ts";
import { BASE, baseFor } from "./shaping.ts";
import type { Verb } from "./verb.ts";
import { VERIFY, WRITING, writeConverted } from "./writing.ts";

const OPTIONS = {
  ...WRITING,
  ...TARGET,
  to: { ...TARGET.to, help: "format to write; the image's own when none is given" },
  ...BASE,
  base: { ...BASE.base, names: ["-b", "-B", "--backing"] },
  ...VERIFY,
} as const;

/** A conversion whose point is the base; nothing of the image or its chain is changed. */
export const rebase: Verb = {
  summary: "Writes an image anew as a layer over another base; the image itself stays as it is.",
  options: OPTIONS,
  operands: "SRC DST",
  exits: { 0: "done", 1: "error" },
  failure: 1,
  async run(words, session) {
    const given = parseArguments(words, OPTIONS);
    const [source, named] = sourceAndTarget(given, "rebase");
    if (given.value("base") === undefined)
      throw new DiskError("usage", "rebase needs the new base: -b BASE; convert writes an image without one");
    const opening = { ...(await readOpening(given)), snapshot: snapshotName(given.value("snapshot")) };
    const disk = await session.openDisk(source, given.value("from"), opening);
    requireMember(opening, [disk.chain[0]]);
    const format = targetById(given.value("to") ?? (disk.chain[0]?.format as string)).id;
    const request = {
      format,
      options: creationOptions(format, given.list("options"), given.has("compress")),
      name: basename(named),
      salvage: false,
      verify: !given.has("noVerify"),
      checkSource: true,
      over: await baseFor(disk, named, given, opening, session),
    };
    return writeConverted({ disk, request, sourceName: basename(source), target: named }, given, session);
  },
};
