import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const windows = process.platform === "win32";
const running = new Set();

/** Ends a child with everything that it started: a test runner leaves browsers behind otherwise. */
function end(child, signal) {
  try {
    if (windows) child.kill(signal);
    else process.kill(-child.pid, signal);
  } catch {
    // It has ended already.
  }
}

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
]) {
  process.on(signal, () => {
    for (const child of running) end(child, "SIGTERM");
    process.exit(code);
  });
}

/**
 * Runs a command in the repository and resolves to its exit code, with its output when `capture` is set (it streams to the
 * terminal otherwise). Never rejects: a command that cannot be started has code 127, one that outlives `seconds` has 124.
 */
export function run(command, args, { seconds = 600, env = {}, capture = false } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ["ignore", capture ? "pipe" : "inherit", capture ? "pipe" : "inherit"],
      detached: !windows,
      shell: windows && command === "npm",
    });
    let output = "";
    let late = false;
    for (const stream of [child.stdout, child.stderr]) stream?.setEncoding("utf8").on("data", (text) => (output += text));
    running.add(child);
    const timer = setTimeout(() => {
      late = true;
      console.error(`${command} ${args.join(" ")}: not done after ${seconds} s, ended`);
      end(child, "SIGKILL");
    }, seconds * 1000);
    const settle = (code) => {
      clearTimeout(timer);
      running.delete(child);
      resolve({ code: late ? 124 : code, output });
    };
    child.on("error", (error) => {
      output += error.message;
      settle(127);
    });
    child.on("close", (code) => {
      end(child, "SIGKILL");
      settle(code ?? 1);
    });
  });
}

/** Runs a JavaScript file of the repository or of an installed package. */
export const runNode = (file, args = [], options = {}) => run(process.execPath, [join(root, file), ...args], options);
