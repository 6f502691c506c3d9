import { basename } from "node:path";
import { planRepair } from "../jobs/repair.ts";
import { parseArguments, sourceAndTarget } from "./arguments.ts";
import { printFindings } from "./check.ts";
import { readOpening, requireMember } from "./opening.ts";
import { printRemark } from "./output.ts";
import { tellLosses } from "./shaping.ts";
import type { Verb } from "./verb.ts";
import { SALVAGE, WRITING, writeConverted } from "./writing.ts";

const OPTIONS = { ...WRITING, ...SALVAGE } as const;

/** Checks an image and writes a copy of it whose tables are right; the image itself is not touched. */
export const repair: Verb = {
  summary: "Checks an image and writes a copy of it whose tables are right; the image itself is not touched.",
  options: OPTIONS,
  operands: "SRC DST",
  exits: { 0: "done", 1: "error" },
  failure: 1,
  async run(words, session) {
    const given = parseArguments(words, OPTIONS);
    const [source, target] = sourceAndTarget(given, "repair");
    const opening = await readOpening(given);
    const context = await session.context(source, opening);
    const file = await session.openFile(source);
    const { check, disk, format, options, losses } = await planRepair(
      file,
      context,
      given.value("from"),
      session.pool,
      () => {},
      session.signal,
    );
    requireMember(opening, [disk.chain[0]]);
    if (check !== null) printFindings(check.report, printRemark);
    tellLosses(losses, session);
    const salvage = given.has("salvage");
    // The check has compared the source's own checksums already, but only told of it.
    const request = { format, options, name: basename(target), salvage, verify: true, checkSource: true };
    return writeConverted({ disk, request, sourceName: basename(source), target }, given, session);
  },
};
