import { realpath, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DiskError } from "../core/errors.ts";
import { targetById } from "../formats/registry.ts";
import { type ConvertPlan, type ConvertPorts, type ConvertRequest, planConvert, runConvert } from "../jobs/convert.ts";
import type { Disk } from "../jobs/disk.ts";
import { convertChain } from "../jobs/keep-chain.ts";
import type { Report } from "../jobs/progress.ts";
import { salvageReport } from "../jobs/salvage-report.ts";
import { createFileSink } from "../platform/node/file-sink.ts";
import { reasonOf } from "../platform/node/file-source.ts";
import { presetById } from "../presets/index.ts";
import { type Arguments, type OptionSpec, parseArguments } from "./arguments.ts";
import { creationOptions, TARGET } from "./creation-options.ts";
import { asksForOptions, formatHelp } from "./format-help.ts";
import { FROM, OPENING, readOpening, requireMember, snapshotName } from "./opening.ts";
import { hex, isJson, OUTPUT, PROGRESS, printJson, printRemark, printText } from "./output.ts";
import type { Session } from "./session.ts";
import { BASE, baseFor, printSteps, SHAPING, shapedDisk } from "./shaping.ts";
import type { Verb } from "./verb.ts";

export const SALVAGE: OptionSpec = {
  names: ["--salvage"],
  kind: "flag",
  help: "carry on, with zeros for what cannot be read, and list every such range in a file beside the target",
};

const OPTIONS = {
  from: FROM,
  ...TARGET,
  progress: PROGRESS,
  salvage: SALVAGE,
  noVerify: { names: ["--no-verify"], kind: "flag", help: "do not read back what was written" },
  noSourceCheck: { names: ["--no-source-check"], kind: "flag", help: "do not compare checksums over whole files of the source first" },
  ...SHAPING,
  ...BASE,
  keepChain: {
    names: ["--keep-chain"],
    kind: "flag",
    help: "write every layer as an image of its own: DST, and DST-1, DST-2 … from the base on",
  },
  ...OPENING,
  output: OUTPUT,
} as const;

export const convert: Verb = {
  summary: "Writes the disk of an image as another image, and reads that back.",
  options: OPTIONS,
  operands: "SRC DST",
  exits: { 0: "done", 1: "error" },
  failure: 1,
  async run(words, session) {
    const given = parseArguments(words, OPTIONS);
    const preset = given.value("preset");
    if (preset !== undefined && given.value("to") !== undefined) throw new DiskError("usage", "--preset chooses the format: leave -O out");
    if (preset !== undefined && given.value("base") !== undefined)
      throw new DiskError(
        "usage",
        "--preset makes a disk that the target takes by itself, and a layer needs its base: leave one of -B and --preset out",
      );
    const wanted = preset === undefined ? (given.value("to") ?? "raw") : presetById(preset).format;
    if (asksForOptions(given.list("options"))) {
      printText(formatHelp(wanted));
      return 0;
    }
    const [source, named, ...more] = given.operands;
    if (!source || !named || more.length > 0) throw new DiskError("usage", "convert takes one source and one target");
    const format = targetById(wanted).id;
    const opening = { ...(await readOpening(given)), snapshot: snapshotName(given.value("snapshot")) };
    const opened = await session.openDisk(source, given.value("from"), opening);
    requireMember(opening, [opened.chain[0]]);
    const shaped = await shapedDisk(opened, { source, target: named }, given, session);
    const { disk } = shaped;
    const options = creationOptions(format, given.list("options"), given.has("compress"));
    const request = {
      format,
      options: { ...shaped.preset?.request.options, ...options },
      name: basename(named),
      salvage: given.has("salvage"),
      verify: !given.has("noVerify"),
      checkSource: !given.has("noSourceCheck"),
      over: await baseFor(disk, named, given, opening, session),
    };
    const order = { disk, request, sourceName: basename(source), target: named };
    if (given.has("keepChain")) {
      if (disk !== opened || request.over !== undefined)
        throw new DiskError("usage", "--keep-chain writes the layers as they are: no --size, --slim, --preset or -B");
      return writeChain(order, given, session);
    }
    const code = await writeConverted(order, given, session);
    if (shaped.preset !== null && !isJson(given)) printSteps(shaped.preset);
    return code;
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
  await announce(plan, dirname(target), request.salvage ? [report] : [], session);
  for (const note of disk.notes) if (note.severity === "warning") printRemark(`warning: ${note.text}`);
  const ports = portsIn(dirname(target), session);
  const result = await runConvert(plan, ports, given.has("progress") ? printProgress() : () => {}, session.signal);
  if (given.has("progress")) process.stdout.write("    (100.00/100%)\n");
  if (result.lost.length > 0) await writeReport(report, salvageReport(sourceName, basename(target), result.lost), result.lost.length);
  if (isJson(given)) {
    const { files, written, verified, blake3, lost } = result;
    printJson({ format: request.format, "virtual-size": disk.size, files, written, verified, blake3: blake3 && hex(blake3), lost });
  }
  return 0;
}

/** The same for every layer of a chain; the base's file has the number 1. */
async function writeChain({ disk, request, target }: Order, given: Arguments, session: Session): Promise<number> {
  const [stem, extension] = splitExtension(basename(target));
  const names = disk.chain.map((_, i) => (i === disk.chain.length - 1 ? basename(target) : `${stem}-${i + 1}${extension}`));
  for (const note of disk.notes) if (note.severity === "warning") printRemark(`warning: ${note.text}`);
  const folder = dirname(target);
  await requireOutputs(names.map((name) => join(folder, name)).toReversed(), session);
  const report = given.has("progress") ? printProgress() : () => {};
  const onPlan = (plan: ConvertPlan) => announce(plan, folder, [], session);
  const results = await convertChain(disk, { ...request, names }, portsIn(folder, session), onPlan, report, session.signal);
  const layers = results.map(({ files, written, verified }) => ({ files, written, verified }));
  if (isJson(given)) printJson({ format: request.format, "virtual-size": disk.size, layers });
  return 0;
}

function splitExtension(name: string): [stem: string, extension: string] {
  const dot = name.lastIndexOf(".");
  return dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
}

/** Refuses what must not be written over, and says what the target cannot carry. */
async function announce(plan: ConvertPlan, folder: string, reports: readonly string[], session: Session): Promise<void> {
  await requireOutputs([...plan.files.map((name) => join(folder, name)), ...reports], session);
  const blocked = plan.losses.some((loss) => loss.severity === "blocker");
  for (const loss of blocked ? [] : plan.losses) printRemark(`note: ${loss.what}: ${loss.why}`);
}

const portsIn = (folder: string, session: Session): ConvertPorts => ({
  pool: session.pool,
  compute: session.compute,
  createSink: (files) => createFileSink(folder, files, () => session.checkUnchanged()),
  breathe: () => new Promise<void>((resolve) => setImmediate(resolve)),
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
