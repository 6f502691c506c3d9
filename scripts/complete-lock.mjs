/**
 * `node scripts/complete-lock.mjs`, after `npm install` has changed package-lock.json: names in it the optional packages for
 * other platforms that npm left out because the registry at hand does not serve them. `npm ci` refuses a lock file
 * without them. They are named without a hash, because nobody here has seen their bytes.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./child.mjs";

const systems = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "sunos", "win32"];
const processors = ["arm", "arm64", "ia32", "loong64", "mips64el", "ppc64", "riscv64", "s390x", "x64"];

/** `@biomejs/cli-linux-x64-musl` → the fields by which npm knows where a package belongs; null when the name does not say. */
function platformOf(name) {
  const words = name.split(/[-/]/);
  const os = systems.filter((system) => words.includes(system));
  const cpu = processors.filter((processor) => words.includes(processor));
  if (os.length !== 1 || cpu.length !== 1) return null;
  const libc = os[0] === "linux" ? [words.includes("musl") ? "musl" : "glibc"] : [];
  return { cpu, ...(libc.length > 0 ? { libc } : {}), os };
}

const path = join(root, "package-lock.json");
const lock = JSON.parse(readFileSync(path, "utf8"));
const added = {};
for (const entry of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const platform = platformOf(name);
    if (lock.packages[`node_modules/${name}`] !== undefined || platform === null) continue;
    added[`node_modules/${name}`] = { version, ...platform, ...(entry.dev ? { dev: true } : {}), optional: true };
  }
}
const { "": project, ...rest } = lock.packages;
const sorted = Object.entries({ ...rest, ...added }).sort(([a], [b]) => a.localeCompare(b, "en"));
lock.packages = { "": project, ...Object.fromEntries(sorted) };
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`package-lock.json: ${Object.keys(added).length} packages added`);
