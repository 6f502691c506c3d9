/** Section "matrix": every variant that qemu-img writes is read, every variant that Spindle writes is what other programs read. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pythonWith } from "../executables.mjs";
import { makeDisk } from "./disks.mjs";
import { checkExitCodes } from "./exit-codes.mjs";
import { infoFaults, mapFaults } from "./facts.mjs";
import { OPINION_PROGRAMS } from "./opinions.mjs";
import { forEachOf } from "./report.mjs";
import { isFull, REPRESENTATIVES, tableFaults, targets } from "./targets.mjs";
import { PASSPHRASE, readableVariants } from "./variants.mjs";
import { successFault } from "./verdicts.mjs";
import { driverOf, identicalFault, imageFaults, measureFaults } from "./written.mjs";

/** Every disk here has little data; what takes longer than this reads or writes what is not there. */
const MOST_SECONDS = 15;
/** Drivers of qemu-img that call everything data. */
const NO_HOLES = ["vhdx"];
const NEEDED = ["qemu-img", "qemu-io"];

export async function checkMatrix(section, context) {
  const { judges, work, spindle } = context;
  await section.row("options: the tested ones are the offered ones", () => tableFaults(spindle));
  const lacking = NEEDED.find((name) => judges[name] === null);
  if (lacking !== undefined) {
    section.skip("all conversions", `${lacking} is not installed, which makes and judges the images`);
    return;
  }
  for (const name of OPINION_PROGRAMS) if (judges[name] === null) section.skip(`judge ${name}`, "not installed");
  const python = pythonWith("pyvhdi");
  if (python === null) section.skip("judge libvhdi", "its Python module is not installed (Debian package python3-libvhdi)");
  for (const name of ["sfdisk", "mkfs.ext4"]) if (judges[name] === null) section.skip(`${name} content`, "not installed");
  const disks = join(work, "disks");
  mkdirSync(disks, { recursive: true });
  for (const name of ["gpt", "odd", "zero", "sparse", "dense"]) await makeDisk(name, join(disks, `${name}.raw`), judges);
  // Nobody can skip the holes of a raw file here: the huge disk comes as qcow2.
  await judges["qemu-img"].must(["convert", "-f", "raw", "-O", "qcow2", join(disks, "sparse.raw"), join(disks, "sparse.qcow2")]);
  const passphrase = join(work, "passphrase");
  writeFileSync(passphrase, PASSPHRASE);
  const all = { ...context, section, qemuImg: judges["qemu-img"], disks, python, passphrase };
  await Promise.all([
    forEachOf([...readableVariants().entries()], ([i, variant]) => checkRead(all, variant, join(work, `read-${i}`))),
    forEachOf([...targets().entries()], ([i, target]) => checkWrite(all, target, join(work, `write-${i}`))),
    checkPairs(all),
    checkExitCodes(all),
    section.row("measure knows qemu-img's compression_type", async () =>
      successFault(await spindle(["measure", "--size", "1G", "-O", "qcow2", "-o", "compression_type=zstd"])),
    ),
  ]);
}

/** A row with a folder of its own, which goes when it ends. */
async function rowIn(section, name, folder, action) {
  if (!section.wants(name)) return;
  mkdirSync(folder, { recursive: true });
  try {
    await section.row(name, action);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const checkRead = ({ section, spindle, qemuImg, judges, disks, passphrase }, variant, folder) =>
  rowIn(section, `read ${variant.name}`, folder, async () => {
    const run = { cwd: folder };
    const image = `disk.${variant.format}`;
    const disk = join(disks, `${variant.disk}.raw`);
    await variant.make(qemuImg, disk, image, run, judges["qemu-io"]);
    const secret = variant.encrypted ? ["--passphrase-file", passphrase] : [];
    if (variant.changed) await qemuImg.must(["convert", "-f", variant.format, "-O", "raw", image, "expected.raw"], run);
    const result = await spindle(["convert", ...secret, ...(variant.read ?? []), "-O", "raw", image, "out.raw"], run);
    if (result.code !== 0) return successFault(result);
    const expected = variant.changed ? join(folder, "expected.raw") : disk;
    const faults = [await identicalFault(qemuImg, ["-f", "raw", "-F", "raw", expected, "out.raw"], folder)];
    if (variant.read === undefined) faults.push(...(await factsFaults(spindle, qemuImg, image, run, variant, secret)));
    return faults;
  });

async function factsFaults(spindle, qemuImg, image, run, { format, holesInData, encrypted, hasNoMap }, secret) {
  const allow = { holesInData, freeIsPresent: format === "vdi" || format === "vpc", tellsNoHoles: NO_HOLES.includes(format) };
  const faults = [];
  // qemu-img takes the passphrase of `map` as an object only, and then names the file otherwise.
  for (const verb of encrypted || hasNoMap ? ["info"] : ["info", "map"]) {
    const ours = await spindle([verb, "--output=json", ...secret, image], run);
    if (ours.code !== 0) {
      faults.push(`${verb}: ${successFault(ours)}`);
      continue;
    }
    const theirs = JSON.parse(await qemuImg.must([verb, "--output=json", "-f", format, image], run));
    faults.push(...(verb === "info" ? infoFaults(JSON.parse(ours.stdout), theirs) : mapFaults(JSON.parse(ours.stdout), theirs, allow)));
  }
  return faults;
}

const sourceOf = (disks, { disk }) => join(disks, disk === "sparse" ? "sparse.qcow2" : `${disk}.raw`);

const checkWrite = (context, target, folder) =>
  rowIn(context.section, `write ${target.name}`, folder, async () => {
    const { spindle, disks } = context;
    const source = sourceOf(disks, target);
    const image = target.file;
    const out = join(folder, "out");
    mkdirSync(out);
    const result = await spindle(["convert", ...target.words, source, image], { cwd: out, seconds: MOST_SECONDS });
    if (result.code !== 0) return successFault(result);
    const foreseen = await measureFaults(spindle, target, source, out, MOST_SECONDS);
    return [...foreseen, ...(await imageFaults(context, target, image, join(disks, `${target.disk}.raw`), out))];
  });

/** From every writer to a few, and from a few to every writer: sources and targets know nothing of each other but the disk. */
async function checkPairs({ section, spindle, qemuImg, disks, work }) {
  const disk = join(disks, "odd.raw");
  const sources = [];
  for (const [i, target] of REPRESENTATIVES.entries()) {
    const folder = join(work, `from-${i}`);
    mkdirSync(folder);
    const result = await spindle(["convert", ...target.words, disk, target.file], { cwd: folder });
    if (result.code === 0) sources.push({ ...target, image: join(folder, target.file) });
    else section.fail(`from ${target.name}`, successFault(result));
  }
  const pairs = sources
    .flatMap((from) => REPRESENTATIVES.map((to) => ({ from, to })))
    .filter(({ from, to }, i) => (from.isCommon || to.isCommon) && (isFull || i % 4 === 0));
  await forEachOf([...pairs.entries()], ([i, { from, to }]) => {
    const folder = join(work, `pair-${i}`);
    return rowIn(section, `from ${from.name} to ${to.name}`, folder, async () => {
      const image = to.file;
      const result = await spindle(["convert", ...to.words, from.image, image], { cwd: folder });
      if (result.code !== 0) return successFault(result);
      if (driverOf(to) !== null) return identicalFault(qemuImg, ["-f", "raw", "-F", to.format, disk, image], folder);
      // Other programs have judged what is written here; the bytes do not depend on where the disk came from.
      return successFault(await spindle(["compare", "-s", disk, image], { cwd: folder }));
    });
  });
}
