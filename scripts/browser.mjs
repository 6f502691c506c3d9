import { join } from "node:path";
import { isExecutable, which } from "./executables.mjs";

const commands = [
  "chromium",
  "google-chrome",
  "google-chrome-stable",
  "chromium-browser",
  "microsoft-edge",
  "microsoft-edge-stable",
  "msedge",
];

function installedPlaces() {
  if (process.platform === "darwin")
    return ["Chromium", "Google Chrome", "Microsoft Edge"].map((name) => `/Applications/${name}.app/Contents/MacOS/${name}`);
  if (process.platform !== "win32") return [];
  const folders = [process.env.ProgramFiles, process.env["ProgramFiles(x86)"], process.env.LOCALAPPDATA].filter(Boolean);
  return folders.flatMap((folder) => [
    join(folder, "Google/Chrome/Application/chrome.exe"),
    join(folder, "Chromium/Application/chrome.exe"),
    join(folder, "Microsoft/Edge/Application/msedge.exe"),
  ]);
}

/**
 * The browser for the tests: CHROMIUM_PATH, else Playwright's own, else an installed one; null when there is none.
 * `own` is where Playwright keeps its own, whether or not it is there.
 * A CHROMIUM_PATH that leads nowhere is an error: the tests must not quietly run in another browser.
 */
export function findBrowser(own) {
  const chosen = process.env.CHROMIUM_PATH;
  if (chosen) {
    if (!isExecutable(chosen)) throw new Error(`CHROMIUM_PATH is ${chosen}, which is not a program`);
    return chosen;
  }
  if (isExecutable(own)) return own;
  for (const name of commands) {
    const path = which(name);
    if (path !== null) return path;
  }
  return installedPlaces().find(isExecutable) ?? null;
}
