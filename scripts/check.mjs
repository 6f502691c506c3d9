/** The checks that run nothing: lint and format, types, file lengths, documents, page sizes. `node scripts/check.mjs` runs them all. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "./build.mjs";
import { root, runNode } from "./child.mjs";
import { headersFor } from "./lock-headers.mjs";
import { measurePage } from "./page-budget.mjs";
import { ensureModules } from "./prepare.mjs";
import { checkTally, sumTallies } from "./tally.mjs";

const MAX_LINES = 400;
const MAX_TEST_LINES = 600;
/** tsc: "No inputs were found in config file": a project whose folders have no file yet. */
const NO_INPUTS = "TS18003";

async function lint() {
  const { code } = await runNode("node_modules/@biomejs/biome/bin/biome", ["check", "--error-on-warnings", "--max-diagnostics=100"]);
  return checkTally("biome", code === 0 ? [] : [`exit code ${code}`]);
}

/** Every tsconfig.NAME.json but the one that the others extend. */
async function types() {
  const projects = readdirSync(root).filter((name) => /^tsconfig\..+\.json$/.test(name) && name !== "tsconfig.base.json");
  const tallies = [];
  for (const project of projects) {
    const { code, output } = await runNode("node_modules/typescript/bin/tsc", ["-p", project, "--pretty", "false"], { capture: true });
    if (output.includes(NO_INPUTS)) continue;
    if (code !== 0) console.log(`${project}:\n${output}`);
    tallies.push(checkTally(`tsc ${project}`, code === 0 ? [] : [`${output.match(/error TS/g)?.length ?? 1} errors`]));
  }
  return sumTallies(tallies);
}

function lengths() {
  const problems = [];
  for (const folder of ["src", "assembly", "e2e", "scripts"].filter((name) => existsSync(join(root, name)))) {
    for (const name of readdirSync(join(root, folder), { recursive: true })) {
      if (!/\.(?:[cm]?[jt]sx?|css)$/.test(name)) continue;
      const limit = folder === "e2e" || /\.(?:test|spec)\./.test(name) ? MAX_TEST_LINES : MAX_LINES;
      const lines = readFileSync(join(root, folder, name), "utf8")
        .trimEnd()
        .split("\n").length;
      if (lines > limit) problems.push(`${folder}/${name} has ${lines} lines, over ${limit}`);
    }
  }
  return checkTally("file lengths", problems);
}

/** The hosting page shows the headers to copy; they must be the ones that are tested. */
function documents() {
  const text = readFileSync(join(root, "docs/hosting.md"), "utf8");
  const headers = ["index.html", "sw.js"].flatMap((file) => Object.entries(headersFor(file)));
  const absent = headers.filter(([name, value]) => !text.includes(name) || !text.includes(value));
  return checkTally(
    "docs/hosting.md",
    absent.map(([name]) => `does not show ${name} as it is sent`),
  );
}

/** Needs the kernels to be built: their types are part of the program. */
export async function checkSources() {
  return sumTallies([await lint(), await types(), lengths(), documents()]);
}

/** Needs the page to be built. */
export async function checkPage() {
  const { lines, budgets } = await measurePage(join(root, "dist/page"));
  for (const line of lines) console.log(line);
  return sumTallies(budgets.map(({ name, problems }) => checkTally(name, problems)));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await ensureModules();
  const unbuilt = checkTally("build", await build());
  const { failures } = sumTallies([unbuilt, await checkSources(), await checkPage()]);
  for (const failure of failures) console.log(`failed: ${failure}`);
  process.exitCode = failures.length === 0 ? 0 : 1;
}
