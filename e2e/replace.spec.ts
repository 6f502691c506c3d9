import { join } from "node:path";
import type { Locator, Page } from "@playwright/test";
import { convert, missing, writeRawDisk } from "./images.ts";
import { chooseTarget, expect, openImage, privateFiles, test, waitVerified } from "./page.ts";

test.skip(missing("qemu-img") !== "", missing("qemu-img"));

/** Starts a conversion into a chosen folder that already holds a file of the result's name; waits for the question. */
async function startIntoTakenFolder(page: Page, folder: string): Promise<Locator> {
  const raw = join(folder, "disk.raw");
  const path = join(folder, "again.qcow2");
  writeRawDisk(raw, 6);
  convert(raw, path, "qcow2");
  await page.evaluate(async () => {
    const chosen = await (await navigator.storage.getDirectory()).getDirectoryHandle("chosen", { create: true });
    await chosen.getFileHandle("again-flat.vmdk", { create: true });
  });
  const opened = await openImage(page, path);
  await chooseTarget(opened, "vmdk", { Kind: "monolithicFlat" });
  await opened.getByRole("button", { name: "Convert to VMDK…" }).click();
  await expect(opened.getByRole("heading", { name: "Replace again-flat.vmdk?" })).toBeVisible();
  return opened;
}

test("nothing in a chosen folder is replaced before the answer", async ({ spindle, folder }) => {
  await startIntoTakenFolder(spindle, folder);
  expect(await privateFiles(spindle)).toEqual(["chosen/again-flat.vmdk"]);
});

test("a file in the chosen folder is replaced when the user says so", async ({ spindle, folder }) => {
  const opened = await startIntoTakenFolder(spindle, folder);
  await opened.getByRole("button", { name: "Replace", exact: true }).click();
  await expect(opened.getByRole("heading", { name: /^Done|settings contradict/ })).toHaveText("Done");
  await waitVerified(opened);
  expect((await privateFiles(spindle)).sort()).toEqual(["chosen/again-flat.vmdk", "chosen/again.vmdk"]);
});
