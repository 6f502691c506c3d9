/**
 * Reproduces every row of docs/other-tools.md: makes the image, lets the other tools and the built terminal program read it, and
 * compares exit codes and contents with what the page says.
 * `node scripts/other-tools.mjs [--update] [--only=TEXT] [--program=dist/spindle.js] [--json=PATH]`
 * --update writes the tables into the page; --json leaves the counts in the form of tally.mjs.
 * Exit code 1 when a row does not reproduce or the page says something else. A row whose program is missing is skipped, and so is
 * one where another version of a program does otherwise: the page speaks of the versions that it names.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { root } from "./child.mjs";
import { forEachOf } from "./conformance/report.mjs";
import { widenPath } from "./executables.mjs";
import { Contradiction, laboratory } from "./other-tools/laboratory.mjs";
import { machineDisks } from "./other-tools/machine-disks.mjs";
import { namesInside } from "./other-tools/names-inside.mjs";
import { phoneAndMacImages, refusals } from "./other-tools/other-images.mjs";
import { rowsOf, table, withTable } from "./other-tools/page.mjs";
import { rawFallbacks } from "./other-tools/taken-for-raw.mjs";
import { summary, truncation } from "./other-tools/truncation.mjs";
import { versionOf } from "./other-tools/versions.mjs";
import { writtenImages } from "./other-tools/written-images.mjs";

const prose = { head: ["image", "other tools", "Spindle"], cells: ({ title }, { other, spindle }) => [title, other, spindle] };
const cut = {
  head: ["image", "qemu-img convert", "qemu-img check", "7-Zip", "Spindle"],
  cells: ({ title }, { converted, checked, other, spindle }) => [title, converted, checked, other, spindle],
};
const SECTIONS = {
  content: { ...prose, rows: [...machineDisks, ...rawFallbacks, ...phoneAndMacImages] },
  truncation: { ...cut, rows: truncation, below: summary },
  names: { ...prose, rows: namesInside },
  refused: { ...prose, rows: refusals },
  written: { ...prose, rows: writtenImages },
};

widenPath();
const { values: given } = parseArgs({
  options: { update: { type: "boolean" }, only: { type: "string" }, program: { type: "string" }, json: { type: "string" } },
});
const program = resolve(given.program ?? join(root, "dist/spindle.js"));
const pageAt = join(root, "docs/other-tools.md");
const page = readFileSync(pageAt, "utf8");
const stated = new Map(rowsOf(page, "versions"));
const everyTool = [...new Set(Object.values(SECTIONS).flatMap(({ rows }) => rows.flatMap(({ tools }) => tools)))].sort();
const installed = new Map(await Promise.all(everyTool.map(async (name) => [name, await versionOf(name)])));

const work = mkdtempSync(join(tmpdir(), "spindle-other-tools-"));
process.once("exit", () => rmSync(work, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

const outcomes = new Map();
const tally = { passed: 0, failures: [], skipped: [] };

function fail(name, reason) {
  tally.failures.push(`${name}: ${reason}`);
  console.log(`failed  ${name}: ${reason}`);
}

function skip(name, reason) {
  tally.skipped.push({ name, reason });
  console.log(`skipped ${name}: ${reason}`);
}

const isOther = (tool) => tool !== "spindle" && stated.has(tool) && installed.get(tool) !== stated.get(tool);

async function reproduce(section, row, index) {
  const name = `${section}: ${row.title}`;
  const missing = row.tools.filter((tool) => installed.get(tool) === null);
  if (missing.length > 0) return skip(name, `not installed: ${missing.join(", ")}`);
  const folder = join(work, `${section}-${index}`);
  try {
    outcomes.set(row, await row.run(laboratory(folder, program)));
  } catch (error) {
    const { by } = error;
    if (!(error instanceof Contradiction)) fail(name, error.stack);
    else if (!given.update && isOther(by)) skip(name, `${by} ${installed.get(by)} does otherwise than ${stated.get(by)}: ${error.message}`);
    else fail(name, error.message);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A table and what is said below it. */
function tableText({ head, rows, cells, below }) {
  const seen = rows.map((row) => outcomes.get(row));
  const lines = table(
    head,
    rows.map((row, i) => cells(row, seen[i])),
  );
  return below ? `${lines}\n${below(seen)}\n` : lines;
}

/** Sets the reproduced rows beside the page's. */
function compare(section, { rows, cells, below }) {
  const written = rowsOf(page, section).map((line) => line.join(" | "));
  const titles = written.map((line) => line.split(" | ")[0]);
  for (const title of titles)
    if (!rows.some((row) => row.title === title)) fail(`${section}: ${title}`, "stands in the page, but is no row");
  for (const row of rows.filter((candidate) => outcomes.has(candidate))) {
    const line = cells(row, outcomes.get(row)).join(" | ");
    const name = `${section}: ${row.title}`;
    if (written.includes(line)) {
      tally.passed++;
      console.log(`as said ${name}`);
    } else if (row.tools.some(isOther)) skip(name, `reproduced in other words, with other versions: ${line}`);
    else fail(name, `the page says otherwise (--update writes it): ${line}`);
  }
  if (below && rows.every((row) => outcomes.has(row) && !row.tools.some(isOther))) {
    const text = below(rows.map((row) => outcomes.get(row)));
    if (!page.includes(text)) fail(`${section}: summary`, `the page says otherwise: ${text}`);
  }
}

function update() {
  const used = table(
    ["program", "version"],
    everyTool.map((name) => [name, installed.get(name)]),
  );
  const text = Object.entries(SECTIONS).reduce(
    (so, [name, section]) => withTable(so, name, tableText(section)),
    withTable(page, "versions", used),
  );
  writeFileSync(pageAt, text);
  console.log(`${pageAt} is written`);
}

if (existsSync(program)) {
  const wanted = Object.entries(SECTIONS)
    .flatMap(([section, { rows }]) => rows.map((row, index) => ({ section, row, index })))
    .filter(({ section, row }) => `${section}: ${row.title}`.includes(given.only ?? ""));
  await forEachOf(wanted, ({ section, row, index }) => reproduce(section, row, index));
} else fail("program", `${program} is not built (node scripts/build.mjs)`);

if (!given.update) for (const [name, section] of Object.entries(SECTIONS)) compare(name, section);
else if (tally.failures.length + tally.skipped.length === 0 && given.only === undefined) update();
else fail("page", "is written only when every row was reproduced");

if (!given.update && tally.passed + tally.failures.length + tally.skipped.length === 0) fail("other tools", "no row was checked");
if (given.json !== undefined) writeFileSync(given.json, JSON.stringify(tally));
console.log(`other tools: ${tally.passed} as the page says, ${tally.failures.length} failed, ${tally.skipped.length} skipped`);
process.exitCode = tally.failures.length === 0 ? 0 : 1;
