import { readdirSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Page } from "@playwright/test";
import { CLASSIC_WORKER_WAYS, PAGE_WAYS, tryFromPage, tryFromWorker } from "./network-attempts.ts";
import { convertToDownloads, expect, openStart, test } from "./page.ts";

/** The other origin: it writes down whatever reaches it. */
const log: string[] = [];
const other = createServer((request, response) => {
  log.push(request.url ?? "");
  response.writeHead(200, { "Access-Control-Allow-Origin": "*", "Content-Type": "text/javascript" });
  response.end();
});
other.on("upgrade", (request, socket) => {
  log.push(request.url ?? "");
  socket.destroy();
});

/** A page and a worker without any lock: what reaches the log from there shows that the log works. */
const open = createServer((request, response) => {
  const isScript = request.url === "/worker.js";
  response.writeHead(200, { "Content-Type": isScript ? "text/javascript" : "text/html" });
  response.end(isScript ? "" : "<!doctype html><title>No lock</title><body>");
});

const address = (server: Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

test.beforeAll(async () => {
  for (const server of [other, open]) await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
});
test.afterAll(() => {
  for (const server of [other, open]) {
    server.closeAllConnections();
    server.close();
  }
});
test.beforeEach(() => {
  log.length = 0;
});

/** Starts a script of the page's own origin as a worker and tries everything from inside it. */
async function tryInWorker(page: Page, script: string, type: "classic" | "module", from: string): Promise<void> {
  const [worker] = await Promise.all([
    page.waitForEvent("worker", (started) => started.url().endsWith(script)),
    page.evaluate(
      ([url, kind]) => {
        (globalThis as { kept?: unknown }).kept = new Worker(url, { type: kind });
      },
      [script, type] as const,
    ),
  ]);
  await worker.evaluate(tryFromWorker, { origin: address(other), from });
}

test("without the lock the log sees every way", async ({ page }) => {
  await page.goto(address(open));
  await page.evaluate(tryFromPage, { origin: address(other), from: "page" });
  await tryInWorker(page, "/worker.js", "classic", "worker");
  const expected = [...PAGE_WAYS.map((way) => `/page/${way}`), ...CLASSIC_WORKER_WAYS.map((way) => `/worker/${way}`)];
  await expect.poll(() => [...new Set(log)].filter((url) => url !== "/favicon.ico").sort()).toEqual(expected.sort());
});

const scripts = () => readdirSync("dist/page/assets").filter((name) => /\.worker-.*\.js$/.test(name));

async function expectSilence(page: Page): Promise<void> {
  await page.evaluate(tryFromPage, { origin: address(other), from: "page" });
  const [engine] = page.workers();
  expect(engine?.url()).toContain("entry.worker");
  await engine?.evaluate(tryFromWorker, { origin: address(other), from: "engine" });
  expect(scripts().length).toBeGreaterThan(1);
  for (const script of scripts()) await tryInWorker(page, `/assets/${script}`, "module", script);
  // The one script with a policy of its own, which lets it fetch from its own origin; once in control it hands itself to no page.
  const controlled = await page.evaluate(() => navigator.serviceWorker.controller !== null);
  if (!controlled) await tryInWorker(page, "/sw.js", "classic", "sw");
  expect(log).toEqual([]);
}

test("with the lock nothing leaves the page or its workers", async ({ spindle, folder }) => {
  await spindle.getByRole("button", { name: "Network lock: on" }).click();
  const dialog = spindle.getByRole("dialog", { name: "Network lock" });
  await expect(dialog.getByRole("row").filter({ hasText: "refused by the browser" })).not.toHaveCount(0);
  await expect(dialog.getByRole("row").filter({ hasText: "not refused" })).toHaveCount(0);
  await spindle.keyboard.press("Escape");
  await spindle.getByRole("button", { name: "Try a sample" }).click();
  await convertToDownloads(spindle, spindle.getByRole("article"), folder);
  await expectSilence(spindle);
});

test.describe("by its headers alone", () => {
  test("nothing leaves the page or its workers", async ({ page }) => {
    await page.addInitScript(() => {
      ServiceWorkerContainer.prototype.register = () => Promise.reject(new DOMException("none here", "SecurityError"));
    });
    await openStart(page);
    expect(await page.evaluate(() => navigator.serviceWorker.controller)).toBeNull();
    await expectSilence(page);
  });
});

test.describe("by its service worker alone, on a host that sends no headers", () => {
  test("nothing leaves the page or its workers", async ({ page }) => {
    const { readFile } = await import("node:fs/promises");
    const asked: string[] = [];
    const bare = createServer(async (request, response) => {
      asked.push(request.url ?? "");
      const path = (request.url ?? "/").replace(/^\/$/, "/index.html");
      const body = await readFile(`dist/page${path}`).catch(() => null);
      const type = /\.js$/.test(path) ? "text/javascript" : /\.css$/.test(path) ? "text/css" : /\.html$/.test(path) ? "text/html" : "";
      response.writeHead(body === null ? 404 : 200, type === "" ? {} : { "Content-Type": type });
      response.end(body);
    });
    await new Promise<void>((listening) => bare.listen(0, "127.0.0.1", listening));
    await openStart(page, address(bare));
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    await expectSilence(page);
    // Not even the page's own host is told anything: what is not stored is refused.
    await page.evaluate(async () => {
      const image = new Image();
      const ended = new Promise((resolve) => image.addEventListener("error", resolve));
      image.src = "/secret?image";
      await ended;
      const worker = new Worker("/secret?worker");
      await new Promise((resolve) => worker.addEventListener("error", resolve));
    });
    expect(asked.filter((url) => url.includes("secret"))).toEqual([]);
    bare.closeAllConnections();
    bare.close();
  });
});
