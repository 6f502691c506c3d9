import { realpath, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DiskError } from "../core/errors.ts";
import { type ConvertRequest, planConvert, runConvert } from "../jobs/convert.ts";
import type { Disk } from "../jobs/disk.ts";
import type { Report } from "../jobs/progress.ts";
import { salvageReport } from "../jobs/salvage-report.ts";
import { createFileSink } from "../platform/node/file-sink.ts";
import { reasonOf } from "../platform/node/file-source.ts";
import { type Arguments, parseArguments } from "./arguments.ts";
import { creationOptions } from "./creation-options.ts";
import type { Verb } from "./main.ts";
import { OPENING, OPENING_USAGE, readOpening, snapshotName } from "./opening.ts";
import { hex, isJson, OUTPUT, printJson, printRemark } from "./output.ts";
import type { Session } from "./session.ts";

const OPTIONS = {
  from: { names: ["-f", "--format"], kind: "value" },
  to: { names: ["-O", "--target-format"], kind: "value" },
  options: { names: ["-o", "--options"], kind: "list" },
  compress: { names: ["-c", "--compress"], kind: "flag" },
  snapshot: { names: ["-l", "--snapshot"], kind: "value" },
  progress: { names: ["-p", "--progress"], kind: "flag" },
  salvage: { names: ["--salvage"], kind: "flag" },
  noVerify: { names: ["--no-verify"], kind: "flag" },
  noSourceCheck: { names: ["--no-source-check"], kind: "flag" },
  ...OPENING,
  output: OUTPUT,
} as const;

export const convert: Verb = {
  usage: `[-f FMT] -O FMT [-o NAME=VALUE,…] [-c] [-l SNAPSHOT] [-p] [--salvage] [--no-verify] [--no-source-check] [--output=json] ${OPENING_USAGE} SRC DST`,
  failure: 1,
  async run(words, session) {
    const given = parseArguments(words, OPTIONS);
    const [source, named, ...more] = given.operands;
    if (!source || !named || more.length > 0) throw new DiskError("usage", "convert takes one source and one target");
    const format = given.value("to") ?? "raw";
    const opening = { ...(await readOpening(given)), snapshot: snapshotName(given.value("snapshot")) };
    const disk = await session.openDisk(source, given.value("from"), opening);
    const request = {
      format,
      options: creationOptions(format, given.list("options"), given.has("compress")),
      name: basename(named),
      salvage: given.has("salvage"),
      verify: !given.has("noVerify"),
      checkSource: !given.has("noSourceCheck"),
    };
    return writeConverted({ disk, request, sourceName: basename(source), target: named }, given, session);
  },
};

/** What is to be written, where, and from what. */
export interface Order {
  readonly disk: Disk;
  readonly request: ConvertRequest;
  readonly sourceName: string;
  /** Path of the main output file. */
  readonly target: string;
}

/** Plans, tells what the target cannot carry, and does it. */
export async function writeConverted(order: Order, given: Arguments, session: Session): Promise<number> {
  const { disk, sourceName } = order;
  // A link is followed, as writing to it would: the data belongs where it leads.
  const target = await realpath(order.target).catch(() => order.target);
  const request = { ...order.request, name: basename(target) };
  const plan = await planConvert(disk, request, session, session.signal);
  const report = `${target}.salvage.txt`;
  const outputs = [...plan.files.map((name) => join(dirname(target), name)), ...(request.salvage ? [report] : [])];
  for (const output of outputs) await requireOtherFile(output, await session.openedPaths());
  await requireFree(outputs);
  const blocked = plan.losses.some((loss) => loss.severity === "blocker");
  for (const loss of blocked ? [] : plan.losses) printRemark(`note: ${loss.what}: ${loss.why}`);
  for (const note of disk.notes) if (note.severity === "warning") printRemark(`warning: ${note.text}`);
  const ports = {
    pool: session.pool,
    compute: session.compute,
    createSink: (files: readonly string[]) => createFileSink(dirname(target), files, () => session.checkUnchanged()),
    breathe: () => new Promise<void>((resolve) => setImmediate(resolve)),
  };
  const result = await runConvert(plan, ports, given.has("progress") ? printProgress() : () => {}, session.signal);
  if (given.has("progress")) process.stdout.write("    (100.00/100%)\n");
  if (result.lost.length > 0) await writeReport(report, salvageReport(sourceName, basename(target), result.lost), result.lost.length);
  if (isJson(given)) {
    const { files, written, verified, blake3, lost } = result;
    printJson({ format: request.format, "virtual-size": disk.size, files, written, verified, blake3: blake3 && hex(blake3), lost });
  }
  return 0;
}

/** A file that the user did not name is replaced only together with the one that was named: it belongs to that image. */
async function requireFree([main, ...others]: readonly string[]): Promise<void> {
  const exists = (path: string): Promise<boolean> =>
    stat(path)
      .then(() => true)
      .catch(() => false);
  if (main === undefined || (await exists(main))) return;
  for (const other of others)
    if (await exists(other))
      throw new DiskError("usage", `${basename(other)} exists and would be replaced; remove it or choose another name or folder`, {
        file: basename(other),
      });
}

/** Writing over a file that is being read would destroy it. */
async function requireOtherFile(target: string, sources: readonly string[]): Promise<void> {
  const folder = await realpath(dirname(target)).catch((cause: NodeJS.ErrnoException) => {
    throw new DiskError("io", `the folder of ${basename(target)} cannot be used: ${reasonOf(cause)}`, { cause });
  });
  const real = await realpath(target).catch(() => join(folder, basename(target)));
  const facts = await stat(real).catch(() => null);
  if (facts !== null && !facts.isFile())
    throw new DiskError("io", `${basename(target)} exists and is not a regular file`, { file: basename(target) });
  for (const source of sources) {
    const other = await stat(source);
    if (source === real || (facts !== null && other.ino === facts.ino && other.dev === facts.dev))
      throw new DiskError("usage", `${basename(target)} is the source or a part of it; choose another name`, { file: basename(target) });
  }
}

function printProgress(): Report {
  let last = -1;
  return ({ phase, done, total }) => {
    const share = total === 0 ? 1 : done / total;
    const percent = Math.floor(phase === "read" ? share * 60 : 60 + share * 40);
    if (percent === last || phase === "source" || phase === "finish" || phase === "hash") return;
    last = percent;
    process.stdout.write(`    (${percent.toFixed(2)}/100%)\r`);
  };
}

async function writeReport(path: string, text: string, count: number): Promise<void> {
  await writeFile(path, text).catch((cause: NodeJS.ErrnoException) => {
    const file = basename(path);
    throw new DiskError("io", `the target is written, but not the list of what was lost, ${file}: ${reasonOf(cause)}`, { file, cause });
  });
  printRemark(`warning: ${count} ranges could not be read and are zero in the target; listed in ${basename(path)}`);
}
