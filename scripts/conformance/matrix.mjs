/** Section "matrix": every variant that qemu-img writes is read, every variant that Spindle writes is what qemu-img reads. */
import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { makeDisk } from "./disks.mjs";
import { checkExitCodes } from "./exit-codes.mjs";
import { checkFaults, infoFaults, mapFaults } from "./facts.mjs";
import { oneLine } from "./programs.mjs";
import { forEachOf } from "./report.mjs";
import { REPRESENTATIVES, tableFaults, targets } from "./targets.mjs";
import { readableVariants } from "./variants.mjs";
import { successFault } from "./verdicts.mjs";

/** Every disk here has little data; what takes longer than this reads or writes what is not there. */
const MOST_SECONDS = 15;
const NEEDED = ["qemu-img", "qemu-io"];

export async function checkMatrix(section, context) {
  const { judges, work, spindle } = context;
  await section.row("options: the tested ones are the offered ones", () => tableFaults(spindle));
  const lacking = NEEDED.find((name) => judges[name] === null);
  if (lacking !== undefined) {
    section.skip("all conversions", `${lacking} is not installed, which makes and judges the images`);
    return;
  }
  for (const name of ["7zz", "vmdkinfo"]) if (judges[name] === null) section.skip(`judge ${name}`, "not installed");
  for (const name of ["sfdisk", "mkfs.ext4"]) if (judges[name] === null) section.skip(`${name} content`, "not installed");
  const disks = join(work, "disks");
  mkdirSync(disks, { recursive: true });
  for (const name of ["gpt", "odd", "zero", "sparse", "dense"]) await makeDisk(name, join(disks, `${name}.raw`), judges);
  // Nobody can skip the holes of a raw file here: the huge disk comes as qcow2.
  await judges["qemu-img"].must(["convert", "-f", "raw", "-O", "qcow2", join(disks, "sparse.raw"), join(disks, "sparse.qcow2")]);
  const all = { ...context, section, qemuImg: judges["qemu-img"], disks };
  await forEachOf([...readableVariants().entries()], ([i, variant]) => checkRead(all, variant, join(work, `read-${i}`)));
  await forEachOf([...targets().entries()], ([i, target]) => checkWrite(all, target, join(work, `write-${i}`)));
  await checkPairs(all);
  await section.row("measure knows qemu-img's compression_type", async () =>
    successFault(await spindle(["measure", "--size", "1G", "-O", "qcow2", "-o", "compression_type=zstd"])),
  );
  await checkExitCodes(all);
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

const parse = (text) => JSON.parse(text);

async function identicalFault(qemuImg, words, cwd) {
  const { code, stdout, stderr } = await qemuImg.run(["compare", ...words], { cwd });
  return code === 0 && stdout.trim() === "Images are identical." ? "" : `qemu-img compare: ${oneLine(stdout + stderr)}`;
}

const checkRead = ({ section, spindle, qemuImg, judges, disks }, variant, folder) =>
  rowIn(section, `read ${variant.name}`, folder, async () => {
    const run = { cwd: folder };
    const image = `disk.${variant.format}`;
    const disk = join(disks, `${variant.disk}.raw`);
    await variant.make(qemuImg, disk, image, run, judges["qemu-io"]);
    if (variant.changed) await qemuImg.must(["convert", "-O", "raw", image, "expected.raw"], run);
    const result = await spindle(["convert", ...(variant.read ?? []), "-O", "raw", image, "out.raw"], run);
    if (result.code !== 0) return successFault(result);
    const expected = variant.changed ? join(folder, "expected.raw") : disk;
    const faults = [await identicalFault(qemuImg, ["-f", "raw", "-F", "raw", expected, "out.raw"], folder)];
    if (variant.read === undefined) faults.push(...(await factsFaults(spindle, qemuImg, image, run, variant)));
    return faults;
  });

async function factsFaults(spindle, qemuImg, image, run, { format, holesInData }) {
  const allow = { holesInData, freeIsPresent: format === "vdi" };
  const faults = [];
  for (const verb of ["info", "map"]) {
    const ours = await spindle([verb, "--output=json", image], run);
    if (ours.code !== 0) {
      faults.push(`${verb}: ${successFault(ours)}`);
      continue;
    }
    const theirs = parse(await qemuImg.must([verb, "--output=json", image], run));
    faults.push(...(verb === "info" ? infoFaults(parse(ours.stdout), theirs) : mapFaults(parse(ours.stdout), theirs, allow)));
  }
  return faults;
}

const sourceOf = (disks, { disk }) => join(disks, disk === "sparse" ? "sparse.qcow2" : `${disk}.raw`);

const checkWrite = (context, target, folder) =>
  rowIn(context.section, `write ${target.name}`, folder, async () => {
    const { spindle, disks } = context;
    const source = sourceOf(disks, target);
    const image = `disk.${target.format}`;
    const result = await spindle(["convert", ...target.words, source, image], { cwd: folder, seconds: MOST_SECONDS });
    if (result.code !== 0) return successFault(result);
    return [...(await imageFaults(context, target, image, folder)), await measureFault(spindle, target, source, folder)];
  });

/** What the independent programs say about an image of ours. */
async function imageFaults({ spindle, qemuImg, judges, disks }, target, image, folder) {
  const run = { cwd: folder };
  const disk = join(disks, `${target.disk}.raw`);
  const faults = [];
  // qemu-img does not know VMFS extents: the flat file is compared as it is.
  const isVmfs = target.options.subformat === "vmfs";
  const compared = isVmfs ? ["-F", "raw", disk, image.replace(".vmdk", "-flat.vmdk")] : ["-F", target.format, disk, image];
  faults.push(await identicalFault(qemuImg, ["-f", "raw", ...compared], folder));
  const own = await spindle(["check", "--output=json", image], run);
  if (target.format === "raw") {
    if (own.code !== 63) faults.push(`check of a raw disk ended with ${own.code}, not 63`);
    return faults;
  }
  if (own.code !== 0) faults.push(`spindle check: ${successFault(own)} ${oneLine(own.stdout)}`);
  if (!isVmfs) {
    const check = await qemuImg.run(["check", "--output=json", image], run);
    if (check.code !== 0) faults.push(`qemu-img check: ${oneLine(check.stdout + check.stderr)}`);
    else if (own.code === 0) faults.push(...checkFaults(parse(own.stdout), parse(check.stdout)));
    const info = parse(await qemuImg.must(["info", "--output=json", image], run));
    faults.push(...optionFaults(target, info), ...infoFaults(parse((await spindle(["info", "--output=json", image], run)).stdout), info));
  }
  if (target.format === "vmdk") faults.push(...(await vmdkFaults(judges, target, image, run)));
  return faults;
}

/** The image really is what was asked for, as far as qemu-img names it. */
function optionFaults({ format, options }, info) {
  const data = info["format-specific"]?.data ?? {};
  const expected = { format };
  const found = { format: info.format };
  if (format === "qcow2") {
    const unit = { k: 1024, M: 1 << 20 };
    const [, number, letter] = /^(\d+)(\w?)$/.exec(options.cluster_size ?? "64k");
    Object.assign(expected, { cluster: Number(number) * (unit[letter] ?? 1), compat: options.compat ?? "1.1" });
    Object.assign(found, { cluster: info["cluster-size"], compat: data.compat });
    if (expected.compat === "1.1") {
      Object.assign(expected, { "extended-l2": options.extended_l2 === "on", bits: Number(options.refcount_bits ?? 16) });
      Object.assign(found, { "extended-l2": data["extended-l2"], bits: data["refcount-bits"] });
      expected.compression = options.compression === "zstd" ? "zstd" : "zlib";
      found.compression = data["compression-type"];
    }
  }
  if (format === "vmdk") {
    expected.type = options.subformat;
    found.type = data["create-type"];
    if (options.cid) [expected.cid, found.cid] = [Number.parseInt(options.cid, 16), data.cid];
  }
  return Object.keys(expected)
    .filter((name) => expected[name] !== found[name])
    .map((name) => `asked for ${name} ${expected[name]}, written ${found[name]}`);
}

async function vmdkFaults(judges, target, image, run) {
  const faults = [];
  for (const [name, words] of Object.entries({ "7zz": ["t", image], vmdkinfo: [image] })) {
    // 7zz unpacks the whole disk, and reads no VMFS descriptor's extents.
    if (judges[name] === null || (name === "7zz" && target.disk === "sparse")) continue;
    const { code, stdout, stderr } = await judges[name].run(words, run);
    if (code !== 0) faults.push(`${name}: ${oneLine(stdout + stderr)}`);
  }
  return faults;
}

/** What was foreseen is enough, and exact where nothing is packed and no byte is zero. */
async function measureFault(spindle, target, source, folder) {
  const options = target.words.filter((word) => word !== "-c").map((word) => word.replace(",compression_type=zstd", ""));
  const result = await spindle(["measure", "--output=json", ...options, source], { seconds: MOST_SECONDS });
  if (result.code !== 0) return `measure: ${successFault(result)}`;
  const { required } = parse(result.stdout);
  const written = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  // The descriptor of a flat image names the output, which is not known beforehand.
  const slack = /flat|vmfs/i.test(target.options.subformat ?? "") ? 32 : 0;
  if (!target.packed && target.disk === "dense" && required - written > slack) return `measure says ${required}, written are ${written}`;
  return required >= written ? "" : `measure says ${required}, written are more: ${written}`;
}

/** From every writer to every writer. */
async function checkPairs({ section, spindle, qemuImg, disks, work }) {
  const disk = join(disks, "odd.raw");
  const sources = [];
  for (const [i, target] of REPRESENTATIVES.entries()) {
    const folder = join(work, `from-${i}`);
    mkdirSync(folder);
    const image = join(folder, `disk.${target.format}`);
    const result = await spindle(["convert", ...target.words, disk, image]);
    if (result.code === 0) sources.push({ ...target, image });
    else section.fail(`from ${target.name}`, successFault(result));
  }
  const pairs = sources.flatMap((from) => REPRESENTATIVES.map((to) => ({ from, to })));
  await forEachOf([...pairs.entries()], ([i, { from, to }]) => {
    const folder = join(work, `pair-${i}`);
    return rowIn(section, `from ${from.name} to ${to.name}`, folder, async () => {
      const image = `disk.${to.format}`;
      const result = await spindle(["convert", ...to.words, from.image, image], { cwd: folder });
      if (result.code !== 0) return successFault(result);
      return identicalFault(qemuImg, ["-f", "raw", "-F", to.format, disk, image], folder);
    });
  });
}
