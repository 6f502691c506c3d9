import { DiskError } from "../core/errors.ts";
import { compareDisks } from "../jobs/compare.ts";
import { requireReadable } from "../jobs/disk.ts";
import { parseArguments } from "./arguments.ts";
import { OPENING, readOpening, requireMember } from "./opening.ts";
import { isJson, OUTPUT, PROGRESS, printJson, printLine, showsProgress } from "./output.ts";
import type { Verb } from "./verb.ts";

const OPTIONS = {
  first: { names: ["-f"], kind: "value", value: "FMT", help: "read the first image as this format, whatever its content" },
  second: { names: ["-F"], kind: "value", value: "FMT", help: "the same for the second image" },
  ...OPENING,
  strict: { names: ["-s"], kind: "flag", help: "disks of different sizes are different" },
  quiet: { names: ["-q"], kind: "flag", help: "print nothing" },
  progress: PROGRESS,
  output: OUTPUT,
} as const;

/** Compares what two images show to a guest. Exit codes as qemu-img's: 0 the same, 1 different, above 1 an error. */
export const compare: Verb = {
  summary: "Compares what two images show to a guest.",
  options: OPTIONS,
  operands: "FILE1 FILE2",
  exits: { 0: "the same", 1: "different", 2: "error" },
  failure: 2,
  async run(words, session) {
    const given = parseArguments(words, OPTIONS);
    const [left, right, ...more] = given.operands;
    if (left === undefined || right === undefined || more.length > 0) throw new DiskError("usage", "compare takes two files");
    const opening = await readOpening(given);
    const a = await session.openDisk(left, given.value("first"), opening);
    const b = await session.openDisk(right, given.value("second"), opening);
    requireMember(opening, [a.chain[0], b.chain[0]]);
    requireReadable(a);
    requireReadable(b);
    const sizeDiffers = a.size !== b.size;
    const say = (line: string): void => (given.has("quiet") || isJson(given) ? undefined : printLine(line));
    if (sizeDiffers && given.has("strict")) {
      if (isJson(given)) printJson({ identical: false, offset: null, "virtual-sizes": [a.size, b.size] });
      say("Strict mode: Image size mismatch!");
      return 1;
    }
    const report = showsProgress(given)
      ? ({ done, total }: { done: number; total: number }) => process.stdout.write(`    (${((done / total) * 100).toFixed(2)}/100%)\r`)
      : () => {};
    const { differsAt, where } = await compareDisks(a, b, session.pool, report, session.signal);
    await session.checkUnchanged();
    if (isJson(given)) printJson({ identical: differsAt === null, offset: differsAt, where, "virtual-sizes": [a.size, b.size] });
    if (sizeDiffers) say("Warning: Image size mismatch!");
    say(differsAt === null ? "Images are identical." : `Content mismatch at offset ${differsAt}!`);
    if (where !== "") say(`That is ${where}.`);
    return differsAt === null ? 0 : 1;
  },
};
