import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { listen, staticServer } from "../../scripts/static-server.mjs";
import { launchHeadless, launchSession } from "./session.mjs";

const MIB = 1024 ** 2;
const THROTTLE = 4;

async function serve(directory) {
  if (!existsSync(join(directory, "index.html"))) throw new Error(`${directory} holds no page: build it first`);
  const server = staticServer(directory);
  return { server, address: `http://127.0.0.1:${await listen(server, 0)}/` };
}

/** Runs in the page: presses “Open files” as soon as it can be pressed, and notes when that is answered. */
function pressOpen() {
  globalThis.showOpenFilePicker = async () => {
    globalThis.answered ??= Date.now();
    throw new DOMException("nothing was chosen", "AbortError");
  };
  const press = () => {
    const button = [...document.querySelectorAll("button")].find(({ textContent }) => textContent === "Open files");
    if (button !== undefined && !button.disabled) button.click();
    if (globalThis.answered === undefined) requestAnimationFrame(press);
  };
  requestAnimationFrame(press);
}

/** Seconds from the start of the navigation until a press of “Open files” is answered, with nothing cached, on a slowed-down processor. */
export async function firstLoads(directory, times = 5) {
  const { server, address } = await serve(directory);
  const browser = await launchHeadless();
  try {
    const seconds = [];
    for (let i = 0; i < times; i++) {
      const context = await browser.newContext();
      const page = await context.newPage();
      const cdp = await context.newCDPSession(page);
      await cdp.send("Emulation.setCPUThrottlingRate", { rate: THROTTLE });
      await page.addInitScript(pressOpen);
      const started = Date.now();
      await page.goto(address);
      const answered = await page.waitForFunction(() => globalThis.answered);
      seconds.push(((await answered.jsonValue()) - started) / 1000);
      await context.close();
    }
    return seconds;
  } finally {
    await browser.close();
    server.close();
  }
}

/** Memory that a process has for itself, MiB: what its mapped files take is not its own. */
function ownMemory(pid) {
  try {
    return Number(/^Pss_Anon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0) / 1024;
  } catch {
    return 0; // not Linux, or it has just ended
  }
}

/** The tasks of the pages' main threads while `work` runs, in milliseconds of processor time and of the clock. */
async function traceTasks(cdp, work) {
  const events = [];
  cdp.on("Tracing.dataCollected", ({ value }) => events.push(...value));
  await cdp.send("Tracing.start", { transferMode: "ReportEvents", traceConfig: { includedCategories: ["toplevel"] } });
  await work();
  const complete = new Promise((resolve) => cdp.once("Tracing.tracingComplete", resolve));
  await cdp.send("Tracing.end");
  await complete;
  const thread = ({ pid, tid }) => `${pid}/${tid}`;
  const mains = new Set(events.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain").map(thread));
  return events
    .filter((event) => event.ph === "X" && /RunTask$/.test(event.name) && mains.has(thread(event)))
    .map(({ tdur = 0, dur }) => ({ processor: tdur / 1000, clock: dur / 1000 }));
}

/**
 * One conversion to compressed qcow2 in the built page, verified and all: the long tasks of its main thread and its memory at most.
 * `tasks`: those over 50 ms by the clock, which other programs lengthen too; `processor`: the most processor time of any task, ms.
 */
export async function watchConversion(directory, input) {
  const folder = mkdtempSync(join(tmpdir(), "spindle-bench-built-"));
  const { server, address } = await serve(directory);
  const session = await launchSession(folder, ["--enable-blink-features=ForceEagerMeasureMemory"]);
  try {
    const { page, context } = session;
    const cdp = await context.browser().newBrowserCDPSession();
    await page.goto(address);
    await page.getByRole("button", { name: "Network lock: on" }).waitFor();
    const dropping = await context.newCDPSession(page);
    const data = { items: [], files: [input], dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"]) await dropping.send("Input.dispatchDragEvent", { type, x: 100, y: 100, data });
    await page.getByRole("button", { name: /^Convert to/ }).waitFor();
    await page.getByLabel("For which target?").selectOption("format/qcow2");
    await page.getByText("Options", { exact: true }).click();
    await page.getByLabel("Compression", { exact: true }).selectOption("deflate");
    await page.getByText(/^Reads .* of data, writes up to/).waitFor();
    let counted = 0;
    let whole = 0;
    const takeMemory = async () => {
      const { processInfo } = await cdp.send("SystemInfo.getProcessInfo");
      whole = Math.max(whole, ...processInfo.filter(({ type }) => type === "renderer").map(({ id }) => ownMemory(id)));
      counted = Math.max(counted, (await page.evaluate(() => performance.measureUserAgentSpecificMemory())).bytes / MIB);
    };
    const all = await traceTasks(cdp, async () => {
      await page.getByRole("button", { name: "Save as download" }).click();
      // Asked now and then: Playwright's own waiting looks at the page in every frame.
      while (!(await page.evaluate(() => /✓ verified|The conversion stopped/.test(document.body.textContent)))) {
        await takeMemory();
        await wait(500);
      }
    });
    if (!(await page.getByText("✓ verified").isVisible())) throw new Error("the page's conversion failed");
    const clock = all.map((task) => task.clock).filter((duration) => duration > 50);
    return { tasks: clock, processor: Math.max(...all.map((task) => task.processor)), counted, whole };
  } finally {
    await session.end();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
