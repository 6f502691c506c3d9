import { DiskError } from "../core/errors.ts";
import { requireReadable } from "../jobs/disk.ts";
import { mapRuns } from "../jobs/walk.ts";
import { parseArguments } from "./arguments.ts";
import { createMapRows } from "./map-rows.ts";
import { readOpening, requireMember, SOURCE } from "./opening.ts";
import { isJson, OUTPUT, parseSize } from "./output.ts";
import type { Verb } from "./verb.ts";

const OPTIONS = {
  ...SOURCE,
  start: { names: ["-s", "--start-offset"], kind: "value", value: "OFFSET", help: "where on the disk to begin" },
  length: { names: ["-l", "--max-length"], kind: "value", value: "LENGTH", help: "how much of the disk to list" },
  output: OUTPUT,
} as const;

export const map: Verb = {
  summary: "Lists where the disk's data lie in the files.",
  options: OPTIONS,
  operands: "FILE",
  exits: { 0: "done", 1: "error" },
  failure: 1,
  async run(words, session) {
    const given = parseArguments(words, OPTIONS);
    const [path, ...more] = given.operands;
    if (path === undefined || more.length > 0) throw new DiskError("usage", "map takes one file");
    const opening = await readOpening(given);
    const disk = await session.openDisk(path, given.value("from"), opening);
    requireMember(opening, [disk.chain[0]]);
    requireReadable(disk);
    const start = Math.min(parseSize(given.value("start") ?? "0"), disk.size);
    const end = Math.min(start + parseSize(given.value("length") ?? String(disk.size)), disk.size);
    const rows = createMapRows(disk.chain, isJson(given), (bytes, done) => process.stdout.write(bytes, done));
    for await (const runs of mapRuns(disk, start, end, session.signal)) rows.add(runs);
    rows.end();
    return 0;
  },
};
