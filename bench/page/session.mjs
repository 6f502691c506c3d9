import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { chromium } from "@playwright/test";
import { findBrowser } from "../../scripts/browser.mjs";
import { which } from "../../scripts/executables.mjs";

const WINDOW_TOOLS = ["Xvfb", "openbox", "xdotool"];
const QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"];

/** Those programs that a window needs and that are not installed. */
export const missingWindowTools = () => WINDOW_TOOLS.filter((name) => which(name) === null);

function launchOptions() {
  const own = chromium.executablePath();
  const browser = findBrowser(own);
  if (browser === null) throw new Error("no Chromium was found: set CHROMIUM_PATH");
  const args = [...QUIET, "--disable-sync", ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])];
  return { args, ...(browser === own ? { channel: "chromium" } : { executablePath: browser }) };
}

/** A browser without a window. */
export const launchHeadless = () => chromium.launch({ ...launchOptions(), headless: true });

/**
 * A browser with a profile of its own in `folder` (in a private window the private file system would lie in memory), in a window on a
 * display of its own where that is possible: a picked file asks for permission, which only a window can show.
 */
export async function launchSession(folder, extraArgs = []) {
  const headless = missingWindowTools().length > 0;
  const display = `:${90 + (process.pid % 100)}`;
  const started = [];
  const start = (command, ...args) => started.push(spawn(command, args, { stdio: "ignore", env: { ...process.env, DISPLAY: display } }));
  if (!headless) {
    start("Xvfb", display, "-screen", "0", "1280x1024x24", "-nolisten", "tcp");
    for (let i = 0; i < 100 && !existsSync(`/tmp/.X11-unix/X${display.slice(1)}`); i++) await wait(100);
    start("openbox");
  }
  const stop = () => {
    for (const program of started.splice(0).reverse()) program.kill();
  };
  process.once("exit", stop); // the bench may be interrupted
  const options = launchOptions();
  const context = await chromium.launchPersistentContext(join(folder, "profile"), {
    ...options,
    headless,
    args: [...options.args, ...extraArgs, "--window-size=1100,800", "--window-position=0,0"],
    env: { ...process.env, ...(headless ? {} : { DISPLAY: display }) },
    viewport: null,
  });
  return {
    context,
    page: context.pages()[0] ?? (await context.newPage()),
    press: (key) => spawnSync("xdotool", ["key", key], { env: { ...process.env, DISPLAY: display } }),
    async end() {
      await context.close();
      stop();
    },
  };
}

/** Gives the bench page a folder as a user's drop would, and answers the browser's question about writing with the keyboard. */
export async function giveFolder({ context, page, press }, folder) {
  mkdirSync(folder, { recursive: true });
  const cdp = await context.newCDPSession(page);
  const data = { items: [], files: [folder], dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"]) await cdp.send("Input.dispatchDragEvent", { type, x: 100, y: 200, data });
  await cdp.detach();
  await page.waitForFunction(() => document.title === "folder taken");
  await page.getByRole("heading").click(); // the question needs a user's gesture
  await page.evaluate(() => globalThis.bench.askPermission());
  const answer = () => page.evaluate(() => globalThis.bench.permission);
  for (let i = 0; i < 10 && (await answer()) === "open"; i++) {
    await wait(700);
    if ((await answer()) !== "open") break;
    for (const key of ["Tab", "Return"]) press(key);
    await wait(300);
  }
  if ((await answer()) !== "granted") throw new Error(`writing to the dropped folder: ${await answer()}`);
}

/** Processor seconds that all of the browser's processes have used. */
export async function processorSeconds(cdp) {
  const { processInfo } = await cdp.send("SystemInfo.getProcessInfo");
  return processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0);
}
