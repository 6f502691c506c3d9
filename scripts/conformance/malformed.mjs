/** Section "malformed": damaged and hostile images end in a clear error or give exactly what they were made from. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { which } from "../executables.mjs";
import { contentHash } from "./content-hash.mjs";
import { oneLine, runProgram } from "./programs.mjs";
import { forEachOf } from "./report.mjs";
import { readExceptions, readTable } from "./table.mjs";
import { clearErrorFault, leftoverFault, remarksOf } from "./verdicts.mjs";

const MOST_SECONDS = 5;
const MOST_KIB = 512 << 10;
/** A remark about something else (a padded last sector) does not count as a report of damage. */
const SPEAKS_OF_DAMAGE = /damaged|corrupt|cannot be read|could not be read|changed|modified/i;
const GENERATOR = "make-malformed.sh";

export async function checkMalformed(section, context) {
  const { corpus, build } = context;
  if (corpus === null || !existsSync(join(corpus, GENERATOR))) {
    section.skip("all rows", `no ${GENERATOR}: set SPINDLE_CORPUS or put the corpus beside the repository as ../shared/corpus`);
    return;
  }
  const lacking = ["bash", "perl", "qemu-img"].find((program) => which(program) === null);
  if (lacking !== undefined) {
    section.skip("all rows", `${lacking} is not installed, which makes them`);
    return;
  }
  const given = process.env.SPINDLE_GENERATED && join(process.env.SPINDLE_GENERATED, "malformed");
  const images = given && existsSync(join(given, "seed.nz_sha256")) ? given : await generate(corpus, join(build, "malformed"));
  const seed = readFileSync(join(images, "seed.nz_sha256"), "utf8").trim();
  const rows = readTable(join(images, "manifest.tsv"));
  const recorded = readTable(join(corpus, "malformed-manifest.tsv"));
  if (rows.length < recorded.length) section.fail("generator", `made ${rows.length} images, ${recorded.length} are recorded`);
  const exceptions = readExceptions("malformed");
  for (const name of exceptions.keys())
    if (!rows.some((row) => row.name === name)) section.fail(`exception ${name}`, "the generator makes no such image");
  const row = { ...context, section, images, seed, tool: join(corpus, "nzhash") };
  await forEachOf([...rows.entries()], ([number, entry]) => {
    const expect = exceptions.get(entry.name)?.expect ?? entry.expect;
    return checkRow(row, { ...entry, expect }, number);
  });
}

/** Made once for one version of the generator and of qemu-img. */
async function generate(corpus, folder) {
  const stamp = join(folder, "made-by");
  const version = (await runProgram("qemu-img", ["--version"])).stdout;
  const mark = createHash("sha256")
    .update(readFileSync(join(corpus, GENERATOR)))
    .update(version)
    .digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === mark) return folder;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const { code, stderr } = await runProgram("bash", [join(corpus, GENERATOR), folder, "--no-judge"], { seconds: 300 });
  if (code !== 0) throw new Error(`${GENERATOR} ended with ${code}: ${oneLine(stderr)}`);
  writeFileSync(stamp, mark);
  return folder;
}

async function checkRow(context, row, number) {
  const { section, spindle, images, work } = context;
  if (!section.wants(row.name)) return;
  const source = join(images, row.name);
  const out = join(work, `malformed-${number}`);
  mkdirSync(out, { recursive: true });
  const attempt = () => spindle(["convert", "-O", "raw", source, join(out, "disk.raw")], { seconds: 4 * MOST_SECONDS });
  try {
    await section.row(row.name, async () => {
      let result = await attempt();
      // Time is the only thing here that a busy machine can spoil: what was slow once is asked again.
      if (result.seconds > MOST_SECONDS && !result.late) {
        rmSync(out, { recursive: true });
        mkdirSync(out);
        result = await attempt();
      }
      const faults = [await contentsFault(context, row, result, source, out), limitFault(result)];
      return faults.filter((fault) => fault !== "").map((fault) => `${fault} [${row.what}; expected: ${row.expect.slice(0, 80)}]`);
    });
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

function limitFault({ late, seconds, peakKib }) {
  if (late) return `no end after ${seconds.toFixed(1)} s`;
  if (seconds > MOST_SECONDS) return `took ${seconds.toFixed(1)} s, twice`;
  return peakKib > MOST_KIB ? `took ${peakKib >> 10} MiB of memory` : "";
}

async function contentsFault({ judges, seed, tool }, row, result, source, out) {
  if (result.late) return "";
  if (result.code !== 0) return [clearErrorFault(result, source), leftoverFault(out)].filter((fault) => fault !== "").join("; ");
  const target = join(out, "disk.raw");
  if (!existsSync(target)) return "exit code 0 without an output file";
  if ((await contentHash(target, tool)) === seed) return "";
  if (/^decode as (zero|stored)/.test(row.expect)) return sameAsJudge(judges["qemu-img"], source, target);
  const reported = remarksOf(result).join(" | ");
  if (/damaged blocks reported|loud warning/.test(row.expect) && SPEAKS_OF_DAMAGE.test(reported)) return "";
  return `exit code 0 with other contents than the seed's${reported === "" ? " and no word about it" : `; said: ${reported.slice(0, 200)}`}`;
}

async function sameAsJudge(qemuImg, source, target) {
  const { code, stdout, stderr } = await qemuImg.run(["compare", "-F", "raw", source, target]);
  return code === 0 ? "" : `not what qemu-img reads: ${oneLine(stdout + stderr)}`;
}
