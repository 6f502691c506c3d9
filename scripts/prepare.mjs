/** Installs what the other scripts need and is not there yet. Uses nothing but Node: it runs before `npm ci`. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { findBrowser } from "./browser.mjs";
import { root, run, runNode } from "./child.mjs";
import { pythonWith, which, widenPath } from "./executables.mjs";
import { browserPackages, judges, pythonModules } from "./judges.mjs";

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Spindle needs Node 20.19 or newer; this is ${process.version}.`);
  process.exit(1);
}
widenPath();

const readPackages = (path) => JSON.parse(readFileSync(join(root, path), "utf8")).packages;

/** npm records what it has installed; an interrupted install leaves no record. Packages for other platforms may be absent. */
function modulesAreCurrent() {
  if (!existsSync(join(root, "node_modules/.package-lock.json"))) return false;
  const installed = readPackages("node_modules/.package-lock.json");
  const locked = readPackages("package-lock.json");
  return Object.entries(locked).every(([path, { version, optional, devOptional }]) => {
    if (path === "") return true;
    const found = installed[path];
    return found === undefined ? optional === true || devOptional === true : found.version === version && existsSync(join(root, path));
  });
}

/** The npm packages, exactly as package-lock.json says. Throws when they cannot be installed. */
export async function ensureModules() {
  if (modulesAreCurrent()) return;
  console.log("Installing the npm packages (npm ci) …");
  const args = ["ci", "--include=dev", "--no-audit", "--no-fund"];
  const npm = process.env.npm_execpath;
  const { code } = npm?.endsWith(".js") ? await run(process.execPath, [npm, ...args]) : await run("npm", args);
  if (code !== 0) throw new Error(`npm ci failed (exit code ${code})`);
}

const ownBrowser = async () => {
  const { chromium } = await import("@playwright/test");
  return chromium.executablePath();
};

const isDebianRoot = () => process.getuid?.() === 0 && existsSync("/etc/debian_version") && which("apt-get") !== null;

/** Those that are not there, as [name, Debian package]. */
const missingJudges = () => [
  ...Object.entries(judges).filter(([name]) => which(name) === null),
  ...Object.entries(pythonModules).filter(([name]) => pythonWith(name) === null),
];

async function aptInstall(packages) {
  console.log(`Installing Debian packages: ${packages.join(" ")} …`);
  const apt = async (...args) => {
    const options = ["-qq", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0"];
    const { code, output } = await run("apt-get", [...options, ...args], { env: { DEBIAN_FRONTEND: "noninteractive" }, capture: true });
    if (code !== 0) console.log(output);
    return code === 0;
  };
  const install = (names) => apt("install", "-y", "--no-install-recommends", ...names);
  await apt("update");
  if (await install(packages)) return;
  // One package that this release does not have must not cost the others.
  for (const name of packages) await install([name]);
}

/**
 * A browser and the judges, as far as this machine allows. Resolves to what is still missing, as names with a reason.
 * As root on Debian both come from apt, whose browser brings its system libraries; elsewhere Playwright fetches a browser.
 */
export async function ensureTestTools({ browser, tools }) {
  const own = browser ? await ownBrowser() : "";
  const lacksBrowser = () => browser && findBrowser(own) === null;
  const lacking = () => (tools ? missingJudges() : []);
  if (isDebianRoot()) {
    const packages = [...new Set(lacking().map(([, debian]) => debian)), ...(lacksBrowser() ? browserPackages : [])];
    if (packages.length > 0) await aptInstall(packages);
  }
  if (lacksBrowser()) {
    console.log("Installing a browser for the tests …");
    await runNode("node_modules/@playwright/test/cli.js", ["install", "--no-shell", "chromium"]);
  }
  const missing = lacking().map(([name, debian]) => ({ name: `judge ${name}`, reason: `not installed (Debian package ${debian})` }));
  if (lacksBrowser())
    missing.push({ name: "browser", reason: "no Chromium found or installed, so no e2e test runs; CHROMIUM_PATH can name one" });
  return missing;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await ensureModules();
  for (const { name, reason } of await ensureTestTools({ browser: true, tools: true })) console.log(`${name}: ${reason}`);
}
