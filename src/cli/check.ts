import { DiskError } from "../core/errors.ts";
import type { CheckReport } from "../core/model.ts";
import { openImage } from "../formats/registry.ts";
import { checkImage } from "../jobs/check.ts";
import { parseArguments } from "./arguments.ts";
import { readOpening, requireMember, SOURCE } from "./opening.ts";
import { isJson, OUTPUT, printJson, printLine, printRemark } from "./output.ts";
import type { Verb } from "./verb.ts";

const OPTIONS = { ...SOURCE, output: OUTPUT } as const;

/** Exit codes as qemu-img's. */
const CLEAN = 0;
const CORRUPT = 2;
const LEAKS = 3;
const NOT_SUPPORTED = 63;

export const check: Verb = {
  summary: "Checks the tables of an image, every compressed block and every checksum that it carries.",
  options: OPTIONS,
  operands: "FILE",
  exits: {
    [CLEAN]: "no errors",
    1: "error: it could not be checked",
    [CORRUPT]: "corruptions",
    [LEAKS]: "leaked clusters, no corruptions",
    [NOT_SUPPORTED]: "the format has nothing to check",
  },
  failure: 1,
  async run(words, session) {
    const given = parseArguments(words, OPTIONS);
    const [path, ...more] = given.operands;
    if (path === undefined || more.length > 0) throw new DiskError("usage", "check takes one file");
    const file = await session.openFile(path);
    const opening = await readOpening(given);
    const context = await session.context(path, opening);
    // What is wrong with the image is for the check to tell.
    const named = opening.member === undefined ? null : await openImage(file, context, given.value("from")).catch(() => null);
    if (named !== null) requireMember(opening, [named]);
    const checked = await checkImage(file, context, given.value("from"), session.pool, () => {}, session.signal);
    await session.checkUnchanged();
    if (checked === null) {
      printRemark("this image format has nothing to check");
      return NOT_SUPPORTED;
    }
    const { format, report } = checked;
    if (isJson(given)) printJson(toJson(path, format, report));
    else printHuman(report);
    if (report.corruptions > 0) return CORRUPT;
    return report.leaks > 0 ? LEAKS : CLEAN;
  },
};

function toJson(path: string, format: string, report: CheckReport) {
  return {
    "image-end-offset": report.imageEndOffset,
    "total-clusters": report.totalClusters,
    "check-errors": 0,
    corruptions: report.corruptions,
    leaks: report.leaks,
    "allocated-clusters": report.allocatedClusters,
    "compressed-clusters": report.compressedClusters,
    "fragmented-clusters": report.fragmentedClusters,
    filename: path,
    format,
    findings: report.findings,
  };
}

const SEVERITIES = { corruption: "ERROR", leak: "Leaked", warning: "Warning" } as const;

export function printFindings({ findings }: CheckReport, print: (line: string) => void): void {
  for (const { severity, text, guest } of findings)
    print(`${SEVERITIES[severity]}: ${text}${guest === null ? "" : ` (disk offsets ${guest.start} to ${guest.start + guest.length})`}`);
}

function printHuman(report: CheckReport): void {
  printFindings(report, printLine);
  if (report.corruptions === 0 && report.leaks === 0) printLine("No errors were found on the image.");
  else printLine(`${report.corruptions} errors and ${report.leaks} leaked clusters were found on the image.`);
  if (report.totalClusters > 0) {
    const share = ((report.allocatedClusters / report.totalClusters) * 100).toFixed(2);
    const packed = ((report.compressedClusters / Math.max(1, report.allocatedClusters)) * 100).toFixed(2);
    printLine(`${report.allocatedClusters}/${report.totalClusters} = ${share}% allocated, ${packed}% compressed clusters`);
  }
  printLine(`Image end offset: ${report.imageEndOffset}`);
}
