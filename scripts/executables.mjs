import { spawnSync } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Where Debian keeps disk tools, which is not on every user's PATH. */
const systemFolders = process.platform === "linux" ? ["/usr/sbin", "/sbin"] : [];

/** Makes the system folders visible to this process and what it starts. */
export function widenPath() {
  const folders = (process.env.PATH ?? "").split(delimiter);
  process.env.PATH = [...folders, ...systemFolders.filter((folder) => !folders.includes(folder))].join(delimiter);
}

export function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** The full path of a command, or null. */
export function which(name) {
  const suffixes = process.platform === "win32" ? [".exe", ".cmd", ""] : [""];
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    for (const suffix of suffixes) {
      const path = join(folder, name + suffix);
      if (folder !== "" && isExecutable(path)) return path;
    }
  }
  return null;
}

/** The full path of a Python 3 that has the module, or null. Debian's modules are there for Debian's own Python only. */
export function pythonWith(module) {
  const pythons = [which("python3"), "/usr/bin/python3"];
  return pythons.find((path) => path !== null && spawnSync(path, ["-c", `import ${module}`]).status === 0) ?? null;
}
