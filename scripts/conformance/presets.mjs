/**
 * Section "presets": what is written for each target is what the target says that it takes. Every rule has its negative control: a copy
 * of the result that breaks the rule is refused by it.
 */
import { closeSync, cpSync, ftruncateSync, mkdirSync, openSync, readdirSync, readSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { noise, text } from "./disks.mjs";
import { packedArchive } from "./preset-readers.mjs";
import { diskRules, TARGETS } from "./preset-rules.mjs";
import { oneLine } from "./programs.mjs";
import { forEachOf } from "./report.mjs";
import { isFull } from "./targets.mjs";

const MIB = 1 << 20;
const GPT_ROW = "sgdisk finds no problem";
const NEEDED = ["qemu-img", "sfdisk", "sgdisk"];

/** The disks of a machine for both firmware kinds, of one for BIOS with an odd size, of one for UEFI only. */
const DISKS = {
  gpt: {
    size: 33 * MIB + 7 * 512,
    label: "gpt",
    parts: [
      "start=2048,size=2048,type=21686148-6449-6E6F-744E-656564454649",
      "start=4096,size=16384,type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
      "start=20480,size=45056,type=0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    ],
  },
  mbr: { size: 10 * MIB + 512, label: "dos", parts: ["start=2048,size=16000,type=83,bootable"] },
  uefi: {
    size: 12 * MIB,
    label: "gpt",
    parts: ["start=2048,size=16384,type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B"],
  },
};

/** Targets whose firmware does not start from these disks. */
const REFUSALS = [
  { id: "hyper-v-gen1", disk: "uefi" },
  { id: "hyper-v-gen2", disk: "mbr" },
];
const isRefused = (row) => REFUSALS.some(({ id, disk }) => id === row.id && disk === row.disk);

export async function checkPresets(section, context) {
  const { judges, work } = context;
  const lacking = NEEDED.find((name) => !judges[name]);
  if (lacking !== undefined) {
    section.skip("all presets", `${lacking} is not installed, which makes and judges the disks`);
    return;
  }
  const folder = join(work, "presets");
  mkdirSync(folder, { recursive: true });
  for (const name of Object.keys(DISKS)) await makeDisk(name, join(folder, `${name}.raw`), judges);
  // The usual run tries the second disk for every second target.
  const rows = Object.keys(TARGETS).flatMap((id, i) => (isFull || i % 2 === 0 ? ["gpt", "mbr"] : ["gpt"]).map((disk) => ({ id, disk })));
  const all = { ...context, section, folder };
  for (const { id, disk } of REFUSALS) await checkRefusal(all, id, disk);
  await forEachOf(
    rows.filter((row) => !isRefused(row)),
    ({ id, disk }) => checkTarget(all, id, disk),
  );
}

async function makeDisk(name, path, { sfdisk }) {
  const { size, label, parts } = DISKS[name];
  const fd = openSync(path, "w");
  ftruncateSync(fd, size);
  for (const [i, line] of parts.entries()) {
    const start = Number(/start=(\d+)/.exec(line)[1]) * 512;
    const bytes = i % 2 === 0 ? noise(400 * 1024 + 512, i + 1) : text(300 * 1024, i);
    writeSync(fd, bytes, 0, bytes.length, start);
    writeSync(fd, bytes, 0, 512, start + Number(/size=(\d+)/.exec(line)[1]) * 512 - 512);
  }
  closeSync(fd);
  await sfdisk.must(["-q", "-X", label, path, "--no-reread", "--no-tell-kernel"], {
    input: `${parts.join("\n")}\n`,
  });
}

const convert = ({ folder, spindle }, id, disk, out) =>
  spindle(["convert", "-f", "raw", "--preset", id, join(folder, `${disk}.raw`), TARGETS[id].file], { cwd: out });

/** What the target does not take is refused, with a reason, and nothing is written. */
const checkRefusal = (context, id, disk) =>
  context.section.row(`${id} refuses ${disk}`, async () => {
    const out = join(context.folder, `${id}-${disk}-refused`);
    mkdirSync(out);
    const { code, stderr } = await convert(context, id, disk, out);
    const left = readdirSync(out);
    return [
      code === 0 ? "it was converted" : "",
      /GPT|UEFI|BIOS/.test(stderr) ? "" : `the reason is not told: ${oneLine(stderr)}`,
      left.length === 0 ? "" : `left behind: ${left.join(", ")}`,
    ];
  });

async function checkTarget(context, id, disk) {
  const { section, folder } = context;
  const place = join(folder, `${id}-${disk}`);
  const wanted = (name) => section.wants(`${id} of ${disk}: ${name}`);
  const source = join(folder, `${disk}.raw`);
  const rules = [...TARGETS[id].rules, ...diskRules(source)];
  const names = rules.flatMap(({ says }) => [says, `when spoilt, not ${says}`]);
  if (![...names, GPT_ROW].some(wanted)) return;
  // Not a row of its own: whichever row is wanted needs it.
  const result = await make(context, id, disk, place).catch((error) => section.fail(`${id} of ${disk}`, error.message));
  try {
    if (result === undefined) return;
    for (const rule of rules) {
      await section.row(`${id} of ${disk}: ${rule.says}`, () => faultOf(rule.check, result));
      // The rules are the same whatever the disk.
      if (disk === "gpt")
        await section.row(`${id} of gpt: when spoilt, not ${rule.says}`, () => controlFault(rule, result, `${place}-spoilt`));
    }
    if (disk === "gpt") await section.row(`${id} of ${disk}: ${GPT_ROW}`, () => gptFault(context, result));
  } finally {
    for (const used of [place, `${place}-spoilt`]) rmSync(used, { recursive: true, force: true });
  }
}

/** The image, in a folder of its own, and beside it the disk that an independent program sees in it. */
async function make(context, id, disk, place) {
  const { file, driver } = TARGETS[id];
  const folder = join(place, "out");
  mkdirSync(folder, { recursive: true });
  const { code, stderr } = await convert(context, id, disk, folder);
  if (code !== 0) throw new Error(`convert ended with ${code}: ${oneLine(stderr)}`);
  const result = { folder, name: file, path: join(folder, file), disk: join(place, "disk.raw") };
  if (driver === null) await packedArchive(result.path, result.disk);
  else await context.judges["qemu-img"].must(["convert", "-f", driver, "-O", "raw", result.path, result.disk]);
  return result;
}

/** A header that is not one at all is a fault too; any other error is a mistake of this program. */
async function faultOf(check, result) {
  try {
    return await check(result);
  } catch (error) {
    if (error.constructor !== Error) throw new Error(`the check itself failed: ${error.stack}`);
    return error.message;
  }
}

/** Spoils a copy of the image, or of the disk in it, and asks again. */
async function controlFault({ check, broken, spoils }, result, place) {
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place);
  const copy = { ...result };
  if (spoils === "disk") {
    copy.disk = join(place, "disk.raw");
    copySparse(result.disk, copy.disk);
  } else {
    copy.folder = join(place, "out");
    copy.path = join(copy.folder, result.name);
    cpSync(result.folder, copy.folder, { recursive: true });
  }
  const renamed = await broken(copy);
  return (await faultOf(check, { ...copy, ...renamed })) === "" ? "the spoilt copy was taken" : "";
}

/** The disk may have a GiB, nearly all of it zeros. */
function copySparse(from, to) {
  const [source, target] = [openSync(from, "r"), openSync(to, "w")];
  const bytes = Buffer.alloc(MIB);
  const zeros = Buffer.alloc(MIB);
  let at = 0;
  for (let got = readSync(source, bytes, 0, MIB, at); got > 0; got = readSync(source, bytes, 0, MIB, at)) {
    if (bytes.compare(zeros, 0, got, 0, got) !== 0) writeSync(target, bytes, 0, got, at);
    at += got;
  }
  ftruncateSync(target, at);
  closeSync(source);
  closeSync(target);
}

async function gptFault({ judges }, { disk }) {
  const { stdout } = await judges.sgdisk.run(["-v", disk]);
  return /No problems found/.test(stdout) ? "" : oneLine(stdout);
}
