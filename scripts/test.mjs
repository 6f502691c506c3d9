/**
 * `npm test`: installs what is missing, builds, runs every check and ends with the line `N passed, N failed[, N skipped]`.
 * `npm test -- --only=static|unit|conformance|e2e` runs a part. Under CI=true a skipped check is a failed one.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "./build.mjs";
import { checkPage, checkSources } from "./check.mjs";
import { root, runNode } from "./child.mjs";
import { ensureModules, ensureTestTools } from "./prepare.mjs";
import { listen, staticServer } from "./static-server.mjs";
import { checkTally, closing, emptyTally, failedTally, readPlaywright, readTally, runnerTally, sumTallies } from "./tally.mjs";

// Conformance first: it makes the damaged images that some unit tests read.
const stages = ["static", "conformance", "unit", "e2e"];
const reports = join(root, ".cache/test");
const strict = Boolean(process.env.CI) && process.env.CI !== "false";

function chosenStages() {
  const [argument, ...rest] = process.argv.slice(2);
  if (argument === undefined) return stages;
  const name = /^--only=(.+)$/.exec(argument)?.[1];
  if (stages.includes(name) && rest.length === 0) return [name];
  console.error(`npm test takes --only=${stages.join("|")}, not ${process.argv.slice(2).join(" ")}`);
  process.exit(2);
}

/** Runs a test runner that leaves its report in a file. */
async function runner(name, file, args, read, env = {}, seconds = 900) {
  const path = join(reports, `${name}.json`);
  rmSync(path, { force: true });
  const { code } = await runNode(file, args(path), { env: { SPINDLE_TALLY: path, PLAYWRIGHT_JSON_OUTPUT_FILE: path, ...env }, seconds });
  return runnerTally(name, code, existsSync(path) ? readFileSync(path, "utf8") : null, read);
}

async function freePort() {
  const server = staticServer(root);
  const port = await listen(server, 0);
  await new Promise((done) => server.close(done));
  return port;
}

const run = {
  static: async () => sumTallies([await checkSources(), await checkPage()]),
  unit: () =>
    runner(
      "unit",
      "node_modules/vitest/vitest.mjs",
      () => ["run", "--reporter=default", "--reporter=./scripts/vitest-reporter.mjs"],
      readTally,
    ),
  conformance: async () => {
    if (!existsSync(join(root, "scripts/conformance.mjs"))) return emptyTally();
    return runner("conformance", "scripts/conformance.mjs", (path) => [`--json=${path}`], readTally, {}, 1200);
  },
  e2e: async () =>
    runner("e2e", "node_modules/@playwright/test/cli.js", () => ["test"], readPlaywright, { SPINDLE_E2E_PORT: String(await freePort()) }),
};

/** A stage that throws has failed; the others still run. */
async function guarded(title, action) {
  console.log(`\n== ${title}`);
  try {
    return await action();
  } catch (error) {
    console.error(error);
    return failedTally(`${title}: ${error.message}`);
  }
}

async function runAll(wanted) {
  const install = async () => {
    await ensureModules();
    return emptyTally();
  };
  const tallies = [await guarded("install", install)];
  if (tallies[0].failures.length > 0) return tallies;
  let missing = [];
  const tools = async () => {
    missing = await ensureTestTools({ browser: wanted.includes("e2e"), tools: wanted.some((stage) => stage !== "static") });
    return { ...emptyTally(), skipped: missing };
  };
  tallies.push(await guarded("test tools", tools));
  tallies.push(await guarded("build", async () => checkTally("build", await build())));
  const runnable = wanted.filter((stage) => stage !== "e2e" || !missing.some(({ name }) => name === "browser"));
  for (const stage of runnable) tallies.push(await guarded(stage, run[stage]));
  return tallies;
}

const wanted = chosenStages();
mkdirSync(reports, { recursive: true });
const sum = sumTallies(await runAll(wanted));
console.log("");
for (const { name, reason } of sum.skipped) console.log(`skipped${strict ? " (which is a failure in CI)" : ""}: ${name}: ${reason}`);
for (const failure of sum.failures) console.log(`failed: ${failure}`);
const { line, failed } = closing(sum, strict);
console.log(line);
process.exitCode = failed === 0 ? 0 : 1;
