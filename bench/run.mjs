/**
 * `npm run bench [-- --only=terminal,growth,scaling,kernels,page --pairs=5 --folder=DIR --input=FILE --page-mib=2048]`: all benches, and
 * docs/benchmarks.md from what they printed. Parts that are not run keep their numbers of the last time, with their date. Let nothing
 * else run meanwhile.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { report, shortTable } from "./report.mjs";
import { benchFolder, givenOptions, readyInput } from "./setting.mjs";

const PARTS = {
  kernels: async (setting) => (await import("./kernels.mjs")).benchKernels(setting),
  terminal: async (setting) => (await import("./terminal.mjs")).benchTerminal(setting),
  growth: async (setting) => (await import("./growth.mjs")).benchGrowth(setting),
  scaling: async (setting) => (await import("./scaling.mjs")).benchScaling(setting),
  page: benchWholePage,
};

/** A picked file costs the browser some ten seconds a GiB to close, whoever writes it: `--page-mib=512` is a shorter look. */
async function benchWholePage({ input, folder, pairs, pageMib: mib }) {
  const { benchBuiltPage, benchPage } = await import("./page.mjs");
  const part = join(folder, `input-${mib}M.raw`);
  execFileSync("dd", [`if=${input}`, `of=${part}`, "bs=1M", `count=${mib}`, "conv=sparse", "status=none"]);
  try {
    return { mib, ...(await benchPage({ input: part, pairs })), ...(await benchBuiltPage({ input: part })) };
  } finally {
    rmSync(part);
  }
}

const root = join(import.meta.dirname, "..");
const kept = join(root, "build/bench");
const given = givenOptions();
const only = given.only?.split(",") ?? Object.keys(PARTS);
const unknown = only.filter((name) => !(name in PARTS));
if (unknown.length > 0) throw new Error(`--only=${unknown.join(",")}: the parts are ${Object.keys(PARTS).join(", ")}`);
const folder = benchFolder(given);
const setting = {
  pairs: Number(given.pairs ?? 5),
  runs: Number(given.runs ?? 3),
  pageMib: Number(given["page-mib"] ?? 2048),
  folder,
  input: readyInput(given, folder),
};

const firstLine = (command, ...words) => {
  try {
    return execFileSync(command, words, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).split("\n")[0];
  } catch {
    return `${command}: not installed`;
  }
};
const machine = {
  date: new Date().toISOString().slice(0, 10),
  processor: `${cpus().length} cores, ${cpus()[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
  versions: [process.version.replace("v", "Node "), firstLine("qemu-img", "--version"), firstLine("chromium", "--version")],
  commit: firstLine("git", "-C", root, "rev-parse", "--short", "HEAD"),
};

mkdirSync(kept, { recursive: true });
for (const name of only) {
  console.log(`— ${name}`);
  const results = await PARTS[name](setting);
  writeFileSync(join(kept, `${name}.json`), JSON.stringify({ machine, pairs: setting.pairs, results }));
}
const parts = Object.keys(PARTS).flatMap((name) => {
  try {
    return [[name, JSON.parse(readFileSync(join(kept, `${name}.json`), "utf8"))]];
  } catch {
    return []; // never run here
  }
});
const measured = Object.fromEntries(parts);
writeFileSync(join(root, "docs/benchmarks.md"), report(measured));
const readme = join(root, "README.md");
const [before, after] = ["<!-- benchmarks -->", "<!-- /benchmarks -->"];
const text = readFileSync(readme, "utf8");
const short = shortTable(measured);
if (short !== null) writeFileSync(readme, `${text.split(before)[0]}${before}\n\n${short}\n\n${after}${text.split(after)[1]}`);
console.log("docs/benchmarks.md and the README's table are written");
