import { join } from "node:path";
import { blake3, convert, missing, requireIdentical, sha256, tool, writeNoise, writeRawDisk } from "./images.ts";
import {
  convertToDownloads,
  expect,
  fetchPrivateFile,
  LONG_TASK,
  longestTask,
  noteLongTasks,
  openImage,
  test,
  waitVerified,
} from "./page.ts";

test.skip(missing("qemu-img", "b3sum") !== "", missing("qemu-img", "b3sum"));

let raw = "";
let stream = "";
let noisy = "";
test.beforeAll(({ folder }) => {
  raw = join(folder, "web.raw");
  stream = join(folder, "web.vmdk");
  writeRawDisk(raw, 24);
  noisy = join(folder, "noisy.raw");
  writeNoise(noisy, 256);
  convert(raw, stream, "vmdk", "subformat=streamOptimized");
});

test("a streamOptimized VMDK, dropped and converted with one click", async ({ spindle, folder }) => {
  const opened = await openImage(spindle, stream);
  await expect(opened.getByText("streamOptimized", { exact: false }).first()).toBeVisible();
  await expect(opened.getByText(/^24\sMiB$/)).toBeVisible();
  await expect(opened.getByRole("region", { name: "Partitions of web.vmdk" }).getByRole("heading")).toHaveText("MBR partition table");
  await expect(opened.getByRole("img", { name: /^Block map of web\.vmdk: \d+% data/ })).toBeVisible();
  await opened.getByText("Block map as a table").click();
  await expect(opened.getByRole("region", { name: "Block map table" }).getByRole("row")).not.toHaveCount(0);

  await opened.getByRole("button", { name: "Convert to qcow2…" }).click();
  await waitVerified(opened);
  const saved = await fetchPrivateFile(spindle, "web.qcow2", folder);
  requireIdentical(raw, "raw", saved, "qcow2");
  tool("qemu-img").must(["check", "-f", "qcow2", saved]);
  await noteLongTasks(spindle);
});

test("the measure of tasks sees a busy main thread", async ({ spindle }) => {
  const longest = await longestTask(spindle, () =>
    spindle.evaluate(() => {
      let sum = 1;
      for (let i = 0; i < 4e8; i++) sum = (sum * 5 + i) | 1;
      (globalThis as { sum?: number }).sum = sum; // or the loop could be left out
    }),
  );
  expect(longest).toBeGreaterThan(LONG_TASK);
});

test("the page stays at hand while it converts", async ({ spindle }) => {
  const opened = await openImage(spindle, noisy);
  const longest = await longestTask(spindle, async () => {
    await opened.getByRole("button", { name: "Save as download" }).click();
    await waitVerified(opened);
  });
  expect(longest).toBeLessThan(LONG_TASK);
  await noteLongTasks(spindle);
});

test("the download and its checksums", async ({ spindle, folder }) => {
  const opened = await openImage(spindle, stream);
  const [saved = ""] = await convertToDownloads(spindle, opened, folder);
  requireIdentical(raw, "raw", saved, "qcow2");
  tool("qemu-img").must(["check", "-f", "qcow2", saved]);
  await expect(opened.getByText(blake3(raw), { exact: true })).toBeVisible();
  await opened.getByRole("button", { name: "Compute SHA-256 of web.qcow2" }).click();
  await expect(opened.getByText(sha256(saved), { exact: true })).toBeVisible();

  await opened.getByRole("button", { name: "Remove from the private store" }).click();
  await expect(opened.getByText("The copy in the private store has been removed.")).toBeVisible();
  await opened.getByRole("button", { name: "Back to the settings" }).click();
  await expect(opened.getByRole("button", { name: "Convert to qcow2…" })).toBeEnabled();
});
