import { join } from "node:path";
import { type Browser, test as base, type CDPSession, type Download, expect, type Locator, type Page } from "@playwright/test";
import { temporaryFolder } from "./images.ts";

interface PageFixtures {
  /** The start screen, with the network lock on. */
  readonly spindle: Page;
}
interface WorkerFixtures {
  /** A folder on the real drive for images and downloads. */
  readonly folder: string;
}

export const test = base.extend<PageFixtures, WorkerFixtures>({
  spindle: async ({ page }, use) => {
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(error.message));
    await page.addInitScript(watchLongTasks);
    await page.addInitScript(standInForPickers);
    await openStart(page);
    await use(page);
    expect(errors, "errors that nothing caught").toEqual([]);
  },
  folder: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads a fixture's needs from this pattern
    async ({}, use) => {
      const folder = temporaryFolder();
      await use(folder.path);
      folder.remove();
    },
    { scope: "worker" },
  ],
});
export { expect };

export async function openStart(page: Page, address = "/"): Promise<void> {
  await page.goto(address);
  await expect(page.getByRole("button", { name: "Network lock: on" })).toBeVisible({ timeout: 20_000 });
}

/** Runs in the page: a browser without a window closes its pickers at once, so results go to the private file system. */
function standInForPickers(): void {
  const host = globalThis as unknown as Record<string, unknown>;
  host["showSaveFilePicker"] = async ({ suggestedName }: { suggestedName: string }) =>
    (await navigator.storage.getDirectory()).getFileHandle(suggestedName, { create: true });
  host["showDirectoryPicker"] = async () => (await navigator.storage.getDirectory()).getDirectoryHandle("chosen", { create: true });
}

function watchLongTasks(): void {
  const tasks: number[] = [];
  (globalThis as unknown as { longTasks: number[] }).longTasks = tasks;
  const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => Math.round(entry.duration))));
  observer.observe({ type: "longtask", buffered: true });
}

/** Puts the page's long tasks (over 50 ms) into the report, as a remark: they depend on what else the machine does. */
export async function noteLongTasks(page: Page): Promise<void> {
  const tasks = await page.evaluate(() => (globalThis as unknown as { longTasks: number[] }).longTasks);
  test.info().annotations.push({ type: "long tasks", description: tasks.length === 0 ? "none" : `${tasks.join(", ")} ms` });
}

/** Chromium's word for a task over which a page feels stuck (W3C Long Tasks). */
export const LONG_TASK = 50;

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly args: { readonly name?: string };
  /** Microseconds on the processor. */
  readonly tdur?: number;
}

/**
 * The most processor time, in milliseconds, that one task of a page's main thread takes during `work`. By the clock a task takes longer
 * when the processor is busy with other threads; its own work does not.
 */
export async function longestTask(page: Page, work: () => Promise<void>): Promise<number> {
  const session = await (page.context().browser() as Browser).newBrowserCDPSession();
  const events: TraceEvent[] = [];
  session.on("Tracing.dataCollected", ({ value }) => events.push(...(value as unknown as TraceEvent[])));
  await session.send("Tracing.start", { transferMode: "ReportEvents", traceConfig: { includedCategories: ["toplevel"] } });
  await work();
  const complete = new Promise((resolve) => session.once("Tracing.tracingComplete", resolve));
  await session.send("Tracing.end");
  await complete;
  await session.detach();
  const thread = ({ pid, tid }: TraceEvent) => `${pid}/${tid}`;
  const mains = new Set(events.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain").map(thread));
  const tasks = events.filter((event) => event.ph === "X" && event.name.endsWith("RunTask") && mains.has(thread(event)));
  expect(tasks.length, "tasks of the main thread").toBeGreaterThan(0);
  return Math.max(...tasks.map(({ tdur = 0 }) => tdur)) / 1000;
}

/** Drops real files and folders onto the page, with the handles that a user's drop would bring. */
export async function drop(page: Page, ...files: readonly string[]): Promise<void> {
  const session: CDPSession = await page.context().newCDPSession(page);
  const data = { items: [], files: [...files], dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"] as const)
    await session.send("Input.dispatchDragEvent", { type, x: 100, y: 100, data });
  await session.detach();
}

export function card(page: Page, name: string): Locator {
  return page.getByRole("article", { name, exact: true });
}

/** Drops one image and waits until it can be converted. */
export async function openImage(page: Page, path: string): Promise<Locator> {
  await drop(page, path);
  const opened = card(page, path.slice(path.lastIndexOf("/") + 1));
  await expect(opened.getByRole("button", { name: /^Convert to/ })).toBeEnabled({ timeout: 15_000 });
  return opened;
}

/** Chooses the target and, under Options, values by their labels; waits for the plan. */
export async function chooseTarget(opened: Locator, format: string, options: Readonly<Record<string, string>> = {}): Promise<void> {
  await opened.getByLabel("For which target?").selectOption(`format/${format}`);
  if (Object.keys(options).length > 0) await opened.getByText("Options", { exact: true }).click();
  for (const [label, value] of Object.entries(options)) await opened.getByLabel(label, { exact: true }).selectOption(value);
  await expect(opened.getByText(/^Reads .* of data, writes up to/)).toBeVisible();
}

/** Chooses a target with rules of its own, by its id; waits for the plan. */
export async function choosePreset(opened: Locator, preset: string): Promise<void> {
  await opened.getByLabel("For which target?").selectOption(`preset/${preset}`);
  await expect(opened.getByText(/^Reads .* of data, writes up to|^It cannot be done/)).toBeVisible();
}

export async function waitVerified(opened: Locator): Promise<void> {
  await expect(opened.getByText("✓ verified: read back and compared block by block")).toBeVisible({ timeout: 45_000 });
}

/** Converts into the private store, and downloads each file of the result into `folder`; their paths. */
export async function convertToDownloads(page: Page, opened: Locator, folder: string): Promise<string[]> {
  await opened.getByRole("button", { name: "Save as download" }).click();
  await waitVerified(opened);
  const paths: string[] = [];
  for (const button of await opened.getByRole("button", { name: /^Download / }).all())
    paths.push(await keepDownload(page, folder, () => button.click()));
  return paths;
}

/** Does what starts a download; the path of the file, which has the name that the page gave it. */
export async function keepDownload(page: Page, folder: string, start: () => Promise<unknown>): Promise<string> {
  const [download]: [Download, unknown] = await Promise.all([page.waitForEvent("download"), start()]);
  const path = join(folder, download.suggestedFilename());
  await download.saveAs(path);
  return path;
}

/** Every file of the page's private file system, as "folder/name". */
export function privateFiles(page: Page): Promise<string[]> {
  return page.evaluate(async () => {
    const list = async (folder: FileSystemDirectoryHandle, prefix: string): Promise<string[]> => {
      const found: string[] = [];
      for await (const [name, handle] of folder.entries())
        if (handle.kind === "file") found.push(prefix + name);
        else found.push(...(await list(handle as FileSystemDirectoryHandle, `${prefix}${name}/`)));
      return found;
    };
    return list(await navigator.storage.getDirectory(), "");
  });
}

/** Fetches a file that the stand-in for the save picker has made, by way of a download. */
export function fetchPrivateFile(page: Page, name: string, folder: string): Promise<string> {
  return keepDownload(page, folder, () =>
    page.evaluate(async (wanted) => {
      const file = await (await (await navigator.storage.getDirectory()).getFileHandle(wanted)).getFile();
      const link = document.createElement("a");
      link.href = URL.createObjectURL(file);
      link.download = wanted;
      link.click();
    }, name),
  );
}
