/** What has to be true of an image that Spindle wrote, for every program that knows its kind. */
import { mkdirSync, readdirSync, statSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { TIB } from "./disks.mjs";
import { checkFaults, infoFaults } from "./facts.mjs";
import { opinionFaults, unpackAppliance } from "./opinions.mjs";
import { ending, oneLine } from "./programs.mjs";
import { bytesOf } from "./targets.mjs";
import { successFault } from "./verdicts.mjs";

const MIB = 1 << 20;
const QEMU_FORMATS = ["raw", "qcow2", "vmdk", "vdi", "vpc", "vhdx", "parallels", "qed", "dmg"];
/** Its drivers that cannot tell holes from data, so that a huge disk would be read whole, or that fail when they are asked (7.2). */
const BLIND_DRIVERS = ["vhdx", "dmg", "parallels", "qed"];

/** The name of qemu-img's driver for what was written, or null: it unpacks nothing and knows no VHDX with sectors of 4096 bytes. */
export const driverOf = ({ format, options }) =>
  QEMU_FORMATS.includes(format) && (options.packaging ?? "none") === "none" && options.logical_sector_size !== "4096" ? format : null;

export async function identicalFault(qemuImg, words, cwd) {
  const result = await qemuImg.run(["compare", ...words], { cwd, seconds: 180 });
  if (result.code === 0 && result.stdout.trim() === "Images are identical.") return "";
  return `qemu-img compare: ${ending(result)}: ${oneLine(result.stdout + result.stderr)}`;
}

/** Faults of `image` (a name in `folder`), which holds the disk in the file `disk`. */
export async function imageFaults(context, target, image, disk, folder) {
  const { spindle, judges } = context;
  const run = { cwd: folder };
  const driver = driverOf(target);
  const size = statSync(disk).size;
  const windows = size > 2 ** 32 ? windowsOf(size) : [[0, size]];
  const asked = [];
  const faults = [];
  if (driver !== null) {
    asked.push("qemu-img");
    faults.push(...(await qemuFaults(context, target, image, disk, windows, folder)));
  }
  if (driver !== "raw") {
    const place = { image: join(folder, image), disk, windows, folder, asked: (name) => asked.push(name) };
    faults.push(...(await opinionFaults(context, target, place)));
    faults.push(...(await ownFaults(context, target, image, driver, run)));
  } else {
    const own = await spindle(["check", image], run);
    if (own.code !== 63) faults.push(`check of a raw disk ended with ${own.code}, not 63`);
  }
  if (target.format === "ova") {
    asked.push("tar");
    faults.push(...(await applianceFaults(context, target, image, disk, windows, folder)));
  }
  if (asked.length === 0) faults.push(`no program here has judged it, of ${Object.keys(judges).join(", ")}`);
  return faults;
}

/** Whether qemu-img reads in `image` what is on the disk: whole, or in the windows where that would take it too long. */
async function contentFaults(qemuImg, driver, image, disk, windows, folder) {
  const isHuge = windows.length > 1;
  // For each grain of a VMDK it asks a raw file of a terabyte anew where its next data is; the same disk as qcow2 answers faster.
  if (isHuge && driver === "vmdk")
    return [await identicalFault(qemuImg, ["-f", "qcow2", "-F", driver, disk.replace(/raw$/, "qcow2"), image], folder)];
  if (!isHuge || !BLIND_DRIVERS.includes(driver)) return [await identicalFault(qemuImg, ["-f", "raw", "-F", driver, disk, image], folder)];
  const faults = [];
  for (const [start, length] of windows) {
    const part = (format, path) => `driver=raw,offset=${start},size=${length},file.driver=${format},file.file.filename=${path}`;
    const raw = `driver=raw,offset=${start},size=${length},file.driver=file,file.filename=${disk}`;
    const fault = await identicalFault(qemuImg, ["--image-opts", raw, part(driver, image)], folder);
    if (fault !== "") faults.push(`${fault} (from ${start})`);
  }
  return faults;
}

async function qemuFaults({ qemuImg }, target, image, disk, windows, folder) {
  const driver = driverOf(target);
  const faults = await contentFaults(qemuImg, driver, image, disk, windows, folder);
  if (driver === "raw") return faults;
  const info = JSON.parse(await qemuImg.must(["info", "--output=json", "-f", driver, image], { cwd: folder }));
  if (info["virtual-size"] !== statSync(disk).size) faults.push(`qemu-img sees ${info["virtual-size"]} bytes`);
  return [...faults, ...optionFaults(target, info)];
}

/** Of a huge disk: where its data is, and some places without any. */
function windowsOf(size) {
  const places = [0, 5 * MIB, 2 ** 31 - MIB, 2 ** 31, 2 ** 32 - MIB, 2 ** 32, TIB / 4 + 7 * MIB, 300 * 2 ** 30 - MIB, size - 2 * MIB];
  return places.map((start) => [start, 2 * MIB]);
}

/** `info` and `check` of Spindle, beside those of qemu-img where it has a driver. */
async function ownFaults({ spindle, qemuImg }, target, image, driver, run) {
  const faults = [];
  const own = await spindle(["check", "--output=json", image], run);
  const hasNoTables = target.format === "raw" || target.format === "xva";
  if (own.code !== 0 && !(own.code === 63 && hasNoTables)) faults.push(`spindle check: ${successFault(own)} ${oneLine(own.stdout)}`);
  if (driver === null) return faults;
  const check = await qemuImg.run(["check", "--output=json", "-f", driver, image], run);
  if (check.code === 0 && own.code === 0) faults.push(...checkFaults(JSON.parse(own.stdout), JSON.parse(check.stdout)));
  else if (check.code !== 63 && check.code !== 0) faults.push(`qemu-img check: ${oneLine(check.stdout + check.stderr)}`);
  const info = JSON.parse(await qemuImg.must(["info", "--output=json", "-f", driver, image], run));
  const ours = await spindle(["info", "--output=json", image], run);
  return [...faults, ...(ours.code === 0 ? infoFaults(JSON.parse(ours.stdout), info) : [`info: ${successFault(ours)}`])];
}

async function applianceFaults(context, target, image, disk, windows, folder) {
  const inside = join(folder, "appliance");
  mkdirSync(inside);
  const path = await unpackAppliance(context.judges, join(folder, image), inside);
  const stream = { ...target, format: "vmdk", options: { subformat: "streamOptimized" } };
  return [
    ...(await contentFaults(context.qemuImg, "vmdk", path, disk, windows, inside)),
    ...(await opinionFaults(context, stream, { image: path, disk, windows, folder: inside })),
  ];
}

/** The image really is what was asked for, as far as qemu-img names it. */
function optionFaults({ format, options }, info) {
  const data = info["format-specific"]?.data ?? {};
  const expected = { format };
  const found = { format: info.format };
  const expect = (name, wanted, there) => {
    expected[name] = wanted;
    found[name] = there;
  };
  if (format === "qcow2") {
    expect("cluster", bytesOf(options.cluster_size ?? "64k"), info["cluster-size"]);
    expect("compat", options.compat ?? "1.1", data.compat);
    if (data.compat === "1.1") {
      expect("extended-l2", options.extended_l2 === "on", data["extended-l2"]);
      expect("bits", Number(options.refcount_bits ?? 16), data["refcount-bits"]);
      expect("compression", options.compression === "zstd" ? "zstd" : "zlib", data["compression-type"]);
      expect("lazy refcounts", options.lazy_refcounts === "on", data["lazy-refcounts"]);
    }
    if (options.data_file) {
      expect("data file", options.data_file, basename(data["data-file"] ?? ""));
      expect("raw data file", options.data_file_raw === "on", data["data-file-raw"]);
    }
  }
  if (format === "vmdk") {
    expect("type", options.subformat === "vmfsThin" ? "vmfs" : options.subformat, data["create-type"]);
    if (options.cid) expect("cid", Number.parseInt(options.cid, 16), data.cid);
  }
  if (format === "vhdx" && options.block_size && options.block_size !== "auto")
    expect("block", bytesOf(options.block_size), info["cluster-size"]);
  if (format === "qed") expect("cluster", bytesOf(options.cluster_size ?? "64k"), info["cluster-size"]);
  return Object.keys(expected)
    .filter((name) => expected[name] !== found[name])
    .map((name) => `asked for ${name} ${expected[name]}, written ${found[name]}`);
}

/**
 * `measure --exact` foresees the size to the byte; without it what is foreseen is enough, and exact where nothing is packed and no
 * byte is zero. `folder` holds what was written, and nothing else.
 */
export async function measureFaults(spindle, target, source, folder, seconds) {
  const written = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  // Descriptors and archives have the name of the output in them, which is foreseen to be like the source's.
  const links = join(folder, "in");
  mkdirSync(links);
  symlinkSync(source, join(links, "disk.raw"));
  const from = source.endsWith(".qcow2") ? "qcow2" : "raw";
  const measure = async (...more) => {
    const result = await spindle(["measure", "--output=json", ...more, "-f", from, ...target.words, join(links, "disk.raw")], { seconds });
    return result.code === 0 ? JSON.parse(result.stdout).required : `measure: ${successFault(result)}`;
  };
  const exact = await measure("--exact");
  const faults = exact === written ? [] : [`measure --exact says ${exact}, written are ${written}`];
  if (target.disk !== "dense" && target.disk !== "odd") return faults;
  const required = await measure();
  if (typeof required === "string") return [...faults, required];
  if (required < written) faults.push(`measure says ${required}, written are more: ${written}`);
  if (!target.packed && target.disk === "dense" && required !== written) faults.push(`measure says ${required}, written are ${written}`);
  return faults;
}
