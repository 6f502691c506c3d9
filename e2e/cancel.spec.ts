import { join } from "node:path";
import type { Locator, Page } from "@playwright/test";
import { writeNoise } from "./images.ts";
import { chooseTarget, convertToDownloads, expect, openImage, openStart, privateFiles, test } from "./page.ts";

/** Much more than a browser packs in the moments that these tests need. */
const MIB_OF_NOISE = 600;

let noise = "";
test.beforeAll(({ folder }) => {
  noise = join(folder, "noise.raw");
  writeNoise(noise, MIB_OF_NOISE);
});

/** Opens the large image and starts it with the button; resolves when part of it has been written. */
async function startLong(page: Page, button: string, options: Readonly<Record<string, string>>, format = "qcow2"): Promise<Locator> {
  const opened = await openImage(page, noise);
  await chooseTarget(opened, format, options);
  await opened.getByRole("button", { name: button }).click();
  await expect(opened.getByRole("progressbar", { name: "Reading and writing" })).toHaveAttribute("value", /^([2-9]|\d\d)$/, {
    timeout: 20_000,
  });
  return opened;
}

async function cancel(opened: Locator): Promise<void> {
  await opened.getByRole("button", { name: "Cancel Esc" }).click();
  await expect(opened.getByRole("heading", { name: "Cancelled" })).toBeVisible({ timeout: 15_000 });
  await expect(opened.getByText("No partial file is left.")).toBeVisible();
}

const PACKED = { Compression: "deflate" };

test("a download that is cancelled leaves nothing in the private store, and the page goes on working", async ({ spindle, folder }) => {
  const opened = await startLong(spindle, "Save as download", PACKED);
  expect(await privateFiles(spindle)).not.toEqual([]);
  await cancel(opened);
  expect(await privateFiles(spindle)).toEqual([]);

  await opened.getByRole("button", { name: "Back to the settings" }).click();
  await opened.getByRole("button", { name: "Close noise.raw" }).click();
  await spindle.getByRole("button", { name: "Try a sample" }).click();
  await convertToDownloads(spindle, spindle.getByRole("article"), folder);
});

test("a file that was chosen is removed when its conversion is cancelled", async ({ spindle }) => {
  await cancel(await startLong(spindle, "Convert to qcow2…", PACKED));
  expect(await privateFiles(spindle)).toEqual([]);
});

test("a chosen folder is left empty when its conversion is cancelled", async ({ spindle }) => {
  const opened = await startLong(spindle, "Convert to VMDK…", { Kind: "monolithicFlat" }, "vmdk");
  expect((await privateFiles(spindle)).join()).toMatch(/chosen\/noise-flat\.vmdk\.[0-9a-f]{8}\.part/);
  await cancel(opened);
  expect(await privateFiles(spindle)).toEqual([]);
});

test("Escape asks first when the work is older than ten seconds", async ({ spindle }) => {
  const opened = await startLong(spindle, "Save as download", PACKED);
  await spindle.evaluate(() => {
    const now = Date.now;
    Date.now = () => now() + 10_000;
  });
  await spindle.keyboard.press("Escape");
  const dialog = spindle.getByRole("dialog", { name: /^Stop converting to noise\.qcow2/ });
  await dialog.getByRole("button", { name: "Stop and remove the partial file" }).click();
  await expect(opened.getByRole("heading", { name: "Cancelled" })).toBeVisible({ timeout: 15_000 });
  expect(await privateFiles(spindle)).toEqual([]);
});

test("a page that is reloaded in the middle tells so; what it had written is gone by the visit after that", async ({ spindle }) => {
  await startLong(spindle, "Save as download", PACKED);
  await spindle.reload();
  const banner = spindle.getByRole("region", { name: "Unfinished conversion of noise.raw to noise.qcow2" });
  await expect(banner.getByRole("heading", { name: /^Unfinished: noise\.raw to qcow2, \d{1,2}% at / })).toBeVisible();
  await expect(banner.getByText("your source is untouched", { exact: false })).toBeVisible();
  await banner.getByRole("button", { name: "Forget the unfinished conversion of noise.raw" }).click();
  await expect(banner).toHaveCount(0);
  await openStart(spindle);
  await expect(banner).toHaveCount(0);
  await expect.poll(() => privateFiles(spindle)).toEqual([]);
});

test("Escape stops the running conversion, not one that was taken back while it waited", async ({ spindle, folder }) => {
  const other = join(folder, "other.raw");
  writeNoise(other, 1);
  const waiting = await openImage(spindle, other);
  const opened = await startLong(spindle, "Save as download", PACKED);
  await waiting.getByRole("button", { name: "Save as download" }).click();
  await waiting.getByRole("button", { name: "Cancel Esc" }).click();
  await expect(waiting.getByRole("heading", { name: "Cancelled" })).toBeVisible();
  await spindle.keyboard.press("Escape");
  await expect(opened.getByRole("heading", { name: "Cancelled" })).toBeVisible({ timeout: 15_000 });
  expect(await privateFiles(spindle)).toEqual([]);
});
