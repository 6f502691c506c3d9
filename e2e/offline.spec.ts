import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { missing, tool } from "./images.ts";
import { card, convertToDownloads, expect, openStart, test } from "./page.ts";

let server: ChildProcess;
let address = "";

test.beforeAll(async () => {
  server = spawn(process.execPath, ["scripts/static-server.mjs", "dist/page", "0"], { stdio: ["ignore", "pipe", "inherit"] });
  if (server.stdout === null) throw new Error("the server has no output");
  const [line] = (await once(server.stdout, "data")) as [Buffer];
  address = line.toString().trim();
});
test.afterAll(() => {
  server.kill();
});

test("after the first visit everything works without a network and without the server", async ({ page, context, folder }) => {
  await openStart(page, address);
  await page.evaluate(() => navigator.serviceWorker.ready);
  await expect(page.getByText("Works without a network.")).toBeVisible();
  const gone = once(server, "exit");
  server.kill();
  await gone;
  await context.setOffline(true);
  await page.reload();
  await expect(page.getByRole("button", { name: "Network lock: on" })).toBeVisible();
  expect(await page.evaluate(() => [crossOriginIsolated, navigator.serviceWorker.controller !== null])).toEqual([true, true]);

  await page.getByRole("button", { name: "Try a sample" }).click();
  const sample = page.getByRole("article");
  await expect(sample).toHaveCount(1);
  const [saved = ""] = await convertToDownloads(page, sample, folder);
  if (missing("qemu-img") === "") tool("qemu-img").must(["info", saved]);
  await page.getByRole("link", { name: "Help", exact: true }).click();
  await expect(page.getByRole("heading", { name: "Which format?" })).toBeVisible();
  await page.getByRole("link", { name: "Spindle", exact: true }).click();
  await expect(card(page, (await sample.getAttribute("aria-label")) ?? "")).toBeVisible();
});
