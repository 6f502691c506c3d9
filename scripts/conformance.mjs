/**
 * Judges the built terminal program by other people's images, by damaged images and by independent tools.
 * `node scripts/conformance.mjs [--only=corpus,malformed,generated,matrix,behaviour,chains,presets] [--filter=TEXT] [--program=dist/spindle.js] [--json=PATH]`
 * One line per failed or skipped row, a summary per section; exit code 1 when a row failed.
 * Counts go to build/conformance.json; --json writes them in the form of tally.mjs as well.
 * SPINDLE_CORPUS names the folder of real images (../shared/corpus beside the repository), SPINDLE_GENERATED a folder where
 * malformed/ and small/ have been made already. SPINDLE_SEEDS names the seeds of the generated images, a section that is left out without it.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { checkBehaviour } from "./conformance/behaviour.mjs";
import { checkChains } from "./conformance/chains.mjs";
import { checkCorpus } from "./conformance/corpus.mjs";
import { checkGenerated } from "./conformance/generated.mjs";
import { checkMalformed } from "./conformance/malformed.mjs";
import { checkMatrix } from "./conformance/matrix.mjs";
import { OPINION_PROGRAMS } from "./conformance/opinions.mjs";
import { checkPresets } from "./conformance/presets.mjs";
import { judge, programAt } from "./conformance/programs.mjs";
import { createReport } from "./conformance/report.mjs";
import { widenPath } from "./executables.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const SECTIONS = {
  corpus: checkCorpus,
  malformed: checkMalformed,
  generated: checkGenerated,
  matrix: checkMatrix,
  behaviour: checkBehaviour,
  chains: checkChains,
  presets: checkPresets,
};
const JUDGES = [
  "qemu-img",
  "qemu-io",
  ...OPINION_PROGRAMS,
  "sfdisk",
  "sgdisk",
  "mkfs.ext4",
  "debugfs",
  "e2fsck",
  "taskset",
  "mount",
  "umount",
];

/** Working folders of runs that were killed. */
function removeAbandoned() {
  for (const name of readdirSync(build)) {
    const pid = Number(/^conformance-(\d+)$/.exec(name)?.[1]);
    if (pid > 0 && !isRunning(pid)) rmSync(join(build, name), { recursive: true, force: true });
  }
}

function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

widenPath();
const { values: given } = parseArgs({
  options: { only: { type: "string" }, filter: { type: "string" }, program: { type: "string" }, json: { type: "string" } },
});
/** Making the generated images takes minutes and gigabytes: that section runs when seeds are named, or when it is asked for. */
const usual = Object.keys(SECTIONS).filter((name) => name !== "generated" || process.env.SPINDLE_SEEDS !== undefined);
const wanted = given.only?.split(",") ?? usual;
if (!wanted.includes("generated")) console.log("generated: left out; SPINDLE_SEEDS=1,7 npm run conformance runs it too");
const unknown = wanted.find((name) => !(name in SECTIONS));
if (unknown !== undefined) {
  console.error(`--only takes ${Object.keys(SECTIONS).join(", ")}, not ${unknown}`);
  process.exit(2);
}

const program = resolve(given.program ?? join(root, "dist/spindle.js"));
const build = join(root, "build");
mkdirSync(build, { recursive: true });
const folder = resolve(root, process.env.SPINDLE_CORPUS ?? "../shared/corpus");
removeAbandoned();
const work = join(build, `conformance-${process.pid}`);
mkdirSync(work);
process.once("exit", () => rmSync(work, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

const context = {
  spindle: programAt(program),
  program,
  build,
  work,
  corpus: existsSync(join(folder, "manifest.tsv")) ? folder : null,
  judges: Object.fromEntries(JUDGES.map((name) => [name, judge(name)])),
};
const report = createReport(given.filter);
if (!existsSync(program)) await report.section("program", async (section) => section.fail(program, "is not built"));
else await Promise.all(wanted.map((name) => report.section(name, (section) => SECTIONS[name](section, context))));

const passed = report.sections.reduce((sum, section) => sum + section.passed, 0);
const failures = report.sections.flatMap((section) => section.failures);
const skips = report.sections.flatMap((section) => section.skips);
if (passed + failures.length + skips.length === 0) {
  failures.push("conformance: no row was checked");
  console.log("failed conformance: no row was checked");
}
writeFileSync(join(build, "conformance.json"), JSON.stringify({ passed, failed: failures.length, skipped: skips.length, skips }, null, 2));
if (given.json !== undefined) writeFileSync(given.json, JSON.stringify({ passed, failures, skipped: skips }));
console.log(`conformance: ${passed} passed, ${failures.length} failed, ${skips.length} skipped`);
process.exitCode = failures.length === 0 ? 0 : 1;
