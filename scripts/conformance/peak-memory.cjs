/** Preloaded into the program under test: writes the process's largest resident size, in KiB, to descriptor 3 when it ends. */
const { readFileSync, writeSync } = require("node:fs");
const { isMainThread } = require("node:worker_threads");

/** Linux keeps the mark in /proc; resourceUsage also counts what the parent had before exec. */
function peakKib() {
  try {
    return Number(/^VmHWM:\s*(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))[1]);
  } catch {
    return process.resourceUsage().maxRSS;
  }
}

if (isMainThread) {
  process.once("exit", () => {
    try {
      writeSync(3, String(peakKib()));
    } catch {
      // Whoever started the program does not ask.
    }
  });
}
