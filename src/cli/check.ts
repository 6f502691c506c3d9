import { DiskError } from "../core/errors.ts";
import type { CheckReport } from "../core/model.ts";
import { detectFormat, formatContext } from "../formats/registry.ts";
import { parseArguments } from "./arguments.ts";
import type { Verb } from "./main.ts";
import { isJson, OUTPUT, printJson, printLine, printRemark } from "./output.ts";

const OPTIONS = { from: { names: ["-f", "--format"], kind: "value" }, output: OUTPUT } as const;

/** Exit codes as qemu-img's. */
const CLEAN = 0;
const CORRUPT = 2;
const LEAKS = 3;
const NOT_SUPPORTED = 63;

export const check: Verb = {
  usage: "[-f FMT] [--output=json] FILE",
  failure: 1,
  async run(words, session) {
    const given = parseArguments(words, OPTIONS);
    const [path, ...more] = given.operands;
    if (path === undefined || more.length > 0) throw new DiskError("usage", "check takes one file");
    const file = await session.openFile(path);
    const format = await detectFormat(file, given.value("from"));
    if (format.check === undefined) {
      printRemark("this image format has nothing to check");
      return NOT_SUPPORTED;
    }
    const report = await format.check(file, formatContext(session.context(path)), session.signal);
    if (isJson(given)) printJson(toJson(path, format.id, report));
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

function printHuman(report: CheckReport): void {
  for (const { severity, text } of report.findings)
    printLine(`${severity === "corruption" ? "ERROR" : severity === "leak" ? "Leaked" : "Warning"}: ${text}`);
  if (report.corruptions === 0 && report.leaks === 0) printLine("No errors were found on the image.");
  else printLine(`${report.corruptions} errors and ${report.leaks} leaked clusters were found on the image.`);
  if (report.totalClusters > 0) {
    const share = ((report.allocatedClusters / report.totalClusters) * 100).toFixed(2);
    const packed = ((report.compressedClusters / Math.max(1, report.allocatedClusters)) * 100).toFixed(2);
    printLine(`${report.allocatedClusters}/${report.totalClusters} = ${share}% allocated, ${packed}% compressed clusters`);
  }
  printLine(`Image end offset: ${report.imageEndOffset}`);
}
