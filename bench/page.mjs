/**
 * `node bench/page.mjs [INPUT] [--pairs=5] [--only=WORD] [--kinds=private,picked] [--engine-only | --built-only]`
 * Spindle's conversions in Chromium against the browser's own floor (see page/floor.ts), alternately, to the private file system and to a
 * picked file; every output is compared with its source by qemu-img. Then, of the page in dist/page: first load, long tasks, memory.
 * Needs Chromium and qemu-img; for picked files also Xvfb, openbox and xdotool.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { listen, staticServer } from "../scripts/static-server.mjs";
import { benchInput, sha256Of } from "./input.mjs";
import { buildBenchPage } from "./page/build.mjs";
import { firstLoads, watchConversion } from "./page/built-page.mjs";
import { giveFolder, launchSession, missingWindowTools, processorSeconds } from "./page/session.mjs";
import { median } from "./pairs.mjs";

const raw = { format: "raw", options: {} };
const qcow2 = { format: "qcow2", options: {} };

/** `from`: options with which qemu-img makes the source. `target`: ratio to the floor; null: the processor is the limit, see `busy`. */
const CONVERSIONS = [
  { name: "raw → qcow2", from: null, to: qcow2, target: 1.15 },
  { name: "raw → raw", from: null, to: raw, target: 1.15 },
  { name: "qcow2 → raw", from: [], to: raw, target: 1.15 },
  { name: "raw → qcow2 deflate", from: null, to: { format: "qcow2", options: { compression: "deflate" } }, target: null },
  { name: "raw → VMDK streamOptimized", from: null, to: { format: "vmdk", options: { subformat: "streamOptimized" } }, target: null },
  { name: "qcow2 deflate → raw", from: ["-c"], to: raw, target: null },
];

/** The page, built into `folder`, and its address. */
async function servePage(folder) {
  const outDir = join(folder, "page");
  await buildBenchPage(outDir);
  const server = staticServer(outDir);
  return { server, address: `http://127.0.0.1:${await listen(server, 0)}/` };
}

function sourceOf({ from }, input, folder) {
  if (from === null) return { path: input, format: "raw" };
  const path = join(folder, `source${from.join("")}.qcow2`);
  if (statSync(path, { throwIfNoEntry: false }) === undefined)
    execFileSync("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", ...from, "-W", "-m", "16", input, path]);
  return { path, format: "qcow2" };
}

/** One kind of handle and one conversion: pairs of the conversion and its floor, after one of each that does not count. */
async function measure(session, conversion, place, { input, folder, picked, pairs }) {
  const { page, cdp } = session;
  const source = sourceOf(conversion, input, folder);
  await page.locator("input").setInputFiles(source.path);
  const name = `out.${conversion.to.format}`;
  const compare = (path) => execFileSync("qemu-img", ["compare", "-f", "raw", "-F", conversion.to.format, input, path]);
  let expected = null;
  let download = null;
  /** What is in the private file system is saved and compared once; then it has to stay the same. */
  const check = async () => {
    if (place === "picked") return void compare(join(picked, name));
    if (expected !== null) {
      const found = await page.evaluate((one) => globalThis.bench.sha256(one), name);
      if (found !== expected) throw new Error(`${conversion.name}: SHA-256 ${found} after ${expected}`);
      return;
    }
    const started = performance.now();
    const [saving] = await Promise.all([page.waitForEvent("download"), page.evaluate((one) => globalThis.bench.download(one), name)]);
    const path = await saving.path();
    download = (performance.now() - started) / 1000;
    compare(path);
    expected = sha256Of(path);
    await saving.delete();
  };
  const run = async (work, checked) => {
    execFileSync("sync"); // what the run before has left to be written is not this one's
    const before = await processorSeconds(cdp);
    const result = await work();
    const processor = (await processorSeconds(cdp)) - before;
    if (checked) await check();
    await page.evaluate(([one, where]) => globalThis.bench.remove(one, where), [name, place]);
    return { ...result, busy: processor / ((result.seconds + result.close) * availableParallelism()) };
  };
  const convert = () => page.evaluate(([to, one, where]) => globalThis.bench.convert(to, one, where), [conversion.to, name, place]);
  const floor = (load) => page.evaluate(([moved, one, where]) => globalThis.bench.floor(moved, one, where), [load, name, place]);
  const runs = [];
  for (let i = 0; i <= pairs; i++) {
    const ours = await run(convert, true);
    const least = await run(() => floor({ written: ours.written, size: ours.size }), false);
    if (i > 0) runs.push({ ours, floor: least });
  }
  const pick = (side, what) => runs.map((pair) => pair[side][what]);
  return {
    name: conversion.name,
    handle: place,
    ours: pick("ours", "seconds"),
    floor: pick("floor", "seconds"),
    close: pick("ours", "close"),
    floorClose: pick("floor", "close"),
    ratio: median(runs.map((pair) => pair.ours.seconds / pair.floor.seconds)),
    /** Share of all cores that the browser used while converting, closing included. */
    busy: median(pick("ours", "busy")),
    /** Seconds of saving the private file as a download; null: it went to a picked file. */
    download,
    target: conversion.target,
  };
}

/** Picked files that hold the input between them, closed one after another and all at once, in turns. */
async function measureClosing({ page }, { input, pairs }) {
  await page.locator("input").setInputFiles(input);
  const ways = [
    [1, true],
    [4, false],
    [4, true],
  ].map(([count, together]) => ({ count, together, seconds: [] }));
  for (let i = 0; i <= pairs; i++)
    for (const { count, together, seconds: taken } of ways) {
      execFileSync("sync");
      const took = await page.evaluate(([files, atOnce]) => globalThis.bench.close(files, atOnce), [count, together]);
      if (i > 0) taken.push(took);
    }
  return ways;
}

/**
 * Rows of the table, and `closing`, null without picked files or with `only`; kinds of handle that cannot be had here are told through
 * `say` and left out.
 */
export async function benchPage({ input, pairs = 5, only = "", kinds = ["private", "picked"], say = console.log }) {
  const folder = mkdtempSync(join(tmpdir(), "spindle-bench-page-"));
  const rows = [];
  let closing = null;
  let session = null;
  let server = null;
  try {
    const served = await servePage(folder);
    server = served.server;
    session = await launchSession(folder);
    const { page, context } = session;
    session.cdp = await context.browser().newBrowserCDPSession();
    await page.goto(served.address);
    const absent = missingWindowTools();
    const picked = join(folder, "picked");
    if (kinds.includes("picked") && absent.length === 0) await giveFolder(session, picked);
    if (kinds.includes("picked") && absent.length > 0) say(`picked files are left out: ${absent.join(", ")} not installed`);
    for (const conversion of CONVERSIONS.filter(({ name }) => name.includes(only)))
      for (const place of kinds.filter((kind) => kind !== "picked" || absent.length === 0)) {
        const row = await measure(session, conversion, place, { input, folder, picked, pairs });
        say(line(row));
        rows.push(row);
      }
    if (kinds.includes("picked") && absent.length === 0 && "closing".includes(only)) {
      closing = await measureClosing(session, { input, pairs });
      for (const { count, together, seconds: taken } of closing)
        say(`closing ${count} picked file${count === 1 ? "" : together ? "s, all at once" : "s, one after another"}: ${seconds(taken)}`);
    }
  } finally {
    await session?.end();
    server?.close();
    rmSync(folder, { recursive: true, force: true });
  }
  return { rows, closing };
}

/** What is measured of the built page itself, told through `say`. */
export async function benchBuiltPage({ input, directory = join(import.meta.dirname, "../dist/page"), say = console.log }) {
  const loads = await firstLoads(directory);
  say(`first load to interactive, nothing cached, main thread slowed down 4 times: ${seconds(loads)} (target 1)`);
  const { tasks, processor, counted, whole } = await watchConversion(directory, input);
  const long = tasks.length === 0 ? "none" : tasks.map((duration) => duration.toFixed(0)).join(", ");
  say(`main thread while converting: tasks over 50 ms: ${long}; the most processor time of a task: ${processor.toFixed(1)} ms`);
  say(`memory while converting, at most: ${counted.toFixed(0)} MiB counted by the browser, ${whole.toFixed(0)} MiB in the page's process`);
  return { loads, tasks, processor, counted, whole };
}

const seconds = (values) => `${median(values).toFixed(2)} s (${Math.min(...values).toFixed(2)}–${Math.max(...values).toFixed(2)})`;

const line = ({ name, handle, ours, floor, close, floorClose, download, ratio, busy, target }) =>
  [
    name.padEnd(27),
    handle.padEnd(8),
    `Spindle ${seconds(ours)}`.padEnd(32),
    `floor ${seconds(floor)}`.padEnd(30),
    `ratio ${ratio.toFixed(2)}${target === null ? "" : ` (target ${target})`}`.padEnd(25),
    `cores busy ${(busy * 100).toFixed(0)} %`.padEnd(18),
    `close ${median(close).toFixed(2)} s, floor's ${median(floorClose).toFixed(2)} s${download === null ? "" : `, download ${download.toFixed(2)} s`}`,
  ].join(" ");

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const words = process.argv.slice(2);
  const option = (name, otherwise) => words.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise;
  const given = words.find((word) => !word.startsWith("--"));
  const input = given === undefined ? benchInput(join(tmpdir(), "spindle-bench", "input-2.raw")) : resolve(given);
  const kinds = option("kinds", "private,picked").split(",");
  if (!words.includes("--built-only")) await benchPage({ input, pairs: Number(option("pairs", 5)), only: option("only", ""), kinds });
  if (!words.includes("--engine-only")) await benchBuiltPage({ input });
}
