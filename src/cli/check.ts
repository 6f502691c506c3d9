import { DiskError } from "../core/errors.ts";
import type { CheckReport } from "../core/model.ts";
import { checkImage } from "../jobs/check.ts";
import { parseArguments } from "./arguments.ts";
import type { Verb } from "./main.ts";
import { OPENING, OPENING_USAGE, readOpening } from "./opening.ts";
import { isJson, OUTPUT, printJson, printLine, printRemark } from "./output.ts";

const OPTIONS = { from: { names: ["-f", "--format"], kind: "value" }, ...OPENING, output: OUTPUT } as const;

/** Exit codes as qemu-img's. */
const CLEAN = 0;
const CORRUPT = 2;
const LEAKS = 3;
const NOT_SUPPORTED = 63;

export const check: Verb = {
  usage: `[-f FMT] [--output=json] ${OPENING_USAGE} FILE`,
  failure: 1,
  async run(words, session) {
    const given = parseArguments(words, OPTIONS);
    const [path, ...more] = given.operands;
    if (path === undefined || more.length > 0) throw new DiskError("usage", "check takes one file");
    const file = await session.openFile(path);
    const context = session.context(path, await readOpening(given));
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
