import { basename } from "node:path";
import { DiskError } from "../core/errors.ts";
import { planRepair } from "../jobs/repair.ts";
import { parseArguments } from "./arguments.ts";
import { printFindings } from "./check.ts";
import { writeConverted } from "./convert.ts";
import type { Verb } from "./main.ts";
import { OPENING, OPENING_USAGE, readOpening } from "./opening.ts";
import { OUTPUT, printRemark } from "./output.ts";

const OPTIONS = {
  from: { names: ["-f", "--format"], kind: "value" },
  progress: { names: ["-p", "--progress"], kind: "flag" },
  salvage: { names: ["--salvage"], kind: "flag" },
  ...OPENING,
  output: OUTPUT,
} as const;

/** Checks an image and writes a copy of it whose tables are right; the image itself is not touched. */
export const repair: Verb = {
  usage: `[-f FMT] [-p] [--salvage] [--output=json] ${OPENING_USAGE} SRC DST`,
  failure: 1,
  async run(words, session) {
    const given = parseArguments(words, OPTIONS);
    const [source, target, ...more] = given.operands;
    if (!source || !target || more.length > 0) throw new DiskError("usage", "repair takes one source and one target");
    const context = session.context(source, await readOpening(given));
    const file = await session.openFile(source);
    const { check, disk, format, options, losses } = await planRepair(
      file,
      context,
      given.value("from"),
      session.pool,
      () => {},
      session.signal,
    );
    if (check !== null) printFindings(check.report, printRemark);
    for (const { what, why } of losses) printRemark(`note: ${what}: ${why}`);
    const salvage = given.has("salvage");
    // The check has compared the source's own checksums already, but only told of it.
    const request = { format, options, name: basename(target), salvage, verify: true, checkSource: !salvage };
    return writeConverted({ disk, request, sourceName: basename(source), target }, given, session);
  },
};
