/** Section "malformed": damaged and hostile images end in a clear error or give exactly what they were made from. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { contentHash } from "./content-hash.mjs";
import { generated, lackOf } from "./generators.mjs";
import { oneLine } from "./programs.mjs";
import { forEachOf } from "./report.mjs";
import { readExceptions, readTable } from "./table.mjs";
import { clearErrorFault, leftoverFault, remarksOf } from "./verdicts.mjs";

const MOST_SECONDS = 5;
const MOST_STREAM_SECONDS = 60;
const MOST_KIB = 512 << 10;
/** A remark about something else (a padded last sector) does not count as a report of damage. */
const SPEAKS_OF_DAMAGE = /damaged|corrupt|cannot be read|could not be read|changed|modified/i;
/** Nothing but zeros, packed a thousandfold: with a place to write them to, they may just be written, in their time. */
const MAY_STREAM = /^stop at a size limit or stream it/;
const GENERATOR = "make-malformed.sh";

export async function checkMalformed(section, context) {
  const { corpus, build } = context;
  const lack = lackOf(corpus, GENERATOR, ["bash", "perl", "qemu-img"]);
  if (lack !== "") return section.skip("all rows", lack);
  const images = await generated({
    corpus,
    generator: GENERATOR,
    given: process.env.SPINDLE_GENERATED ? join(process.env.SPINDLE_GENERATED, "malformed") : null,
    folder: join(build, "malformed"),
    proof: "seed.nz_sha256",
    words: ["--no-judge"],
    seconds: 300,
  });
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

async function checkRow(context, row, number) {
  const { section, spindle, images, work } = context;
  if (!section.wants(row.name)) return;
  const source = join(images, row.name);
  const out = join(work, `malformed-${number}`);
  mkdirSync(out, { recursive: true });
  const seconds = MAY_STREAM.test(row.expect) ? MOST_STREAM_SECONDS : 4 * MOST_SECONDS;
  const attempt = () => spindle(["convert", "-O", "raw", source, join(out, "disk.raw")], { seconds });
  try {
    await section.row(row.name, async () => {
      let result = await attempt();
      // Time is the only thing here that a busy machine can spoil: what was slow once is asked again.
      if (result.seconds > MOST_SECONDS && !result.late && !MAY_STREAM.test(row.expect)) {
        rmSync(out, { recursive: true });
        mkdirSync(out);
        result = await attempt();
      }
      const faults = [await contentsFault(context, row, result, source, out), limitFault(row, result)];
      return faults.filter((fault) => fault !== "").map((fault) => `${fault} [${row.what}; expected: ${row.expect.slice(0, 80)}]`);
    });
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

function limitFault({ expect }, { late, seconds, peakKib }) {
  if (late) return `no end after ${seconds.toFixed(1)} s`;
  if (seconds > MOST_SECONDS && !MAY_STREAM.test(expect)) return `took ${seconds.toFixed(1)} s, twice`;
  return peakKib > MOST_KIB ? `took ${peakKib >> 10} MiB of memory` : "";
}

async function contentsFault({ judges, seed, tool }, row, result, source, out) {
  if (result.late) return "";
  if (result.code !== 0) return [clearErrorFault(result, source), leftoverFault(out)].filter((fault) => fault !== "").join("; ");
  const target = join(out, "disk.raw");
  if (!existsSync(target)) return "exit code 0 without an output file";
  const found = await contentHash(target, tool);
  if (found === seed) return "";
  if (MAY_STREAM.test(row.expect)) return found === zerosHash(statSync(target).size) ? "" : "other bytes than zeros";
  if (/^decode as (zero|stored)/.test(row.expect)) return sameAsJudge(judges["qemu-img"], source, target);
  const reported = remarksOf(result).join(" | ");
  if (/damaged blocks reported|loud warning/.test(row.expect) && SPEAKS_OF_DAMAGE.test(reported)) return "";
  return `exit code 0 with other contents than the seed's${reported === "" ? " and no word about it" : `; said: ${reported.slice(0, 200)}`}`;
}

/** The content hash of a disk without data. */
function zerosHash(size) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(size));
  return createHash("sha256").update(bytes).digest("hex");
}

async function sameAsJudge(qemuImg, source, target) {
  const { code, stdout, stderr } = await qemuImg.run(["compare", "-F", "raw", source, target]);
  return code === 0 ? "" : `not what qemu-img reads: ${oneLine(stdout + stderr)}`;
}
