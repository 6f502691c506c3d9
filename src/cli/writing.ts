import { lstat, realpath, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DiskError } from "../core/errors.ts";
import { type ConvertPlan, type ConvertPorts, type ConvertRequest, planConvert, runConvert } from "../jobs/convert.ts";
import type { Disk } from "../jobs/disk.ts";
import { convertChain, layerNames } from "../jobs/keep-chain.ts";
import type { Report } from "../jobs/progress.ts";
import { salvageReport } from "../jobs/salvage-report.ts";
import { createFileSink } from "../platform/node/file-sink.ts";
import { reasonOf } from "../platform/node/file-source.ts";
import type { Arguments, OptionSpecs } from "./arguments.ts";
import { SOURCE } from "./opening.ts";
import { hex, isJson, OUTPUT, PROGRESS, printJson, showsProgress } from "./output.ts";
import type { Session } from "./session.ts";
import { tellLosses, tellNotes } from "./shaping.ts";

/** Options of every verb that reads an image and writes another. */
export const WRITING = { ...SOURCE, progress: PROGRESS, output: OUTPUT } as const satisfies OptionSpecs;

export const SALVAGE = {
  salvage: {
    names: ["--salvage"],
    kind: "flag",
    help: "carry on, with zeros for what cannot be read, and list every such range in a file beside the target",
  },
} as const satisfies OptionSpecs;

export const VERIFY = {
  noVerify: { names: ["--no-verify"], kind: "flag", help: "do not read back what was written, nor hash the disk" },
} as const satisfies OptionSpecs;

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
  const target = await followed(order.target);
  const request = { ...order.request, name: basename(target) };
  const plan = await planConvert(disk, request, session, session.signal);
  const report = `${target}.salvage.txt`;
  await announce(plan, dirname(target), request.salvage ? [report] : [], session);
  tellNotes(disk, session);
  const ports = portsIn(dirname(target), session);
  const result = await runConvert(plan, ports, showsProgress(given) ? printProgress() : () => {}, session.signal);
  if (showsProgress(given)) process.stdout.write("    (100.00/100%)\n");
  for (const text of result.wrongSums) session.warn(text);
  if (result.lost.length > 0)
    await writeReport(report, salvageReport(sourceName, basename(target), result.lost), result.lost.length, session);
  if (isJson(given)) {
    const { files, written, verified, blake3, unhashed, lost } = result;
    const { warnings } = session;
    printJson({
      format: request.format,
      "virtual-size": disk.size,
      files,
      written,
      verified,
      blake3: blake3 && hex(blake3),
      ...(unhashed !== null && { "blake3-absent": unhashed }),
      lost,
      warnings,
    });
  }
  return 0;
}

/** The same for every layer of a chain; the base's file has the number 1. */
export async function writeChain(order: Order, given: Arguments, session: Session): Promise<number> {
  const { disk, request, sourceName } = order;
  const target = await followed(order.target);
  const folder = dirname(target);
  const names = layerNames(disk, basename(target));
  const reportOf = (name: string): string => `${join(folder, name)}.salvage.txt`;
  const outputs = [...names.map((name) => join(folder, name)), ...(request.salvage ? names.map(reportOf) : [])];
  tellNotes(disk, session);
  await requireOutputs([target, ...outputs.filter((output) => output !== target)], session);
  const report = showsProgress(given) ? printProgress() : () => {};
  const onPlan = (plan: ConvertPlan) => announce(plan, folder, [], session);
  const results = await convertChain(disk, { ...request, names }, portsIn(folder, session), onPlan, report, session.signal);
  for (const [i, { lost, wrongSums }] of results.entries()) {
    const name = names[i] as string;
    for (const text of wrongSums) session.warn(text);
    if (lost.length > 0) await writeReport(reportOf(name), salvageReport(sourceName, name, lost), lost.length, session);
  }
  const layers = results.map(({ files, written, verified, lost }) => ({ files, written, verified, lost }));
  if (isJson(given)) printJson({ format: request.format, "virtual-size": disk.size, layers, warnings: session.warnings });
  return 0;
}

/** Where writing to a path leads: a link is followed, for the data belongs where it leads. One that leads nowhere is refused, as by cp. */
async function followed(path: string): Promise<string> {
  const real = await realpath(path).catch(() => null);
  if (real !== null) return real;
  if ((await lstat(path).catch(() => null))?.isSymbolicLink() === true)
    throw new DiskError("usage", `${basename(path)} is a link that leads nowhere: remove it, or name the file that it is to lead to`, {
      file: basename(path),
    });
  return path;
}

/** Refuses what must not be written over, and says what the target cannot carry. */
async function announce(plan: ConvertPlan, folder: string, reports: readonly string[], session: Session): Promise<void> {
  await requireOutputs([...plan.files.map((name) => join(folder, name)), ...reports], session);
  const blocked = plan.losses.some((loss) => loss.severity === "blocker");
  if (!blocked) tellLosses(plan.losses, session);
}

const portsIn = (folder: string, session: Session): ConvertPorts => ({
  pool: session.pool,
  compute: session.compute,
  createSink: (files) => createFileSink(folder, files, () => session.checkUnchanged()),
});

/** Refuses to write over what is read, or over what was not named: of the outputs, the first is. */
async function requireOutputs(outputs: readonly string[], session: Session): Promise<void> {
  for (const output of outputs) await requireOtherFile(output, await session.openedPaths());
  await requireFree(outputs);
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
  const real = await followed(join(folder, basename(target)));
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

async function writeReport(path: string, text: string, count: number, session: Session): Promise<void> {
  await writeFile(path, text).catch((cause: NodeJS.ErrnoException) => {
    const file = basename(path);
    throw new DiskError("io", `the target is written, but not the list of what was lost, ${file}: ${reasonOf(cause)}`, { file, cause });
  });
  const ranges = count === 1 ? "1 range could not be read and is" : `${count} ranges could not be read and are`;
  session.warn(`${ranges} zero in the target; listed in ${basename(path)}`);
}
