import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { convert, missing, noise, requireIdentical, writeRawDisk } from "./images.ts";
import { card, convertToDownloads, drop, expect, test } from "./page.ts";

test.skip(missing("qemu-img") !== "", missing("qemu-img"));

let raw = "";
test.beforeAll(({ folder }) => {
  raw = join(folder, "disk.raw");
  writeRawDisk(raw, 6);
});

test("a qcow2 that was cut off: the alert names file and offset, and helps", async ({ spindle, folder }) => {
  const path = join(folder, "cut.qcow2");
  convert(raw, path, "qcow2");
  const whole = readFileSync(path);
  writeFileSync(path, whole.subarray(0, Math.floor(whole.length / 2) + 100));
  await drop(spindle, path);
  const opened = card(spindle, "cut.qcow2");
  const alert = opened.getByRole("alert");
  await expect(alert).toContainText("The image contradicts itself");
  await expect(alert).toContainText(/cut\.qcow2, offset 0x[0-9a-f]+/);
  await expect(opened.getByRole("button", { name: "Save as download" })).toBeDisabled();
  await alert.getByRole("link", { name: "Help on this: corrupt" }).click();
  await expect(spindle.locator("#help-corrupt")).toBeFocused();
});

async function writeFlat(folder: string, name: string): Promise<void> {
  convert(raw, join(folder, `${name}.vmdk`), "vmdk", "subformat=monolithicFlat");
}

test("a description without its extent: dropping the file it asks for goes on", async ({ spindle, folder }) => {
  await writeFlat(folder, "x");
  await drop(spindle, join(folder, "x.vmdk"));
  const opened = card(spindle, "x.vmdk");
  await expect(opened.getByRole("alert")).toContainText("x-flat.vmdk");
  await expect(opened.getByRole("button", { name: "Add x-flat.vmdk…" })).toBeVisible();
  await drop(spindle, join(folder, "x-flat.vmdk"));
  await expect(opened.getByRole("button", { name: "Convert to qcow2…" })).toBeEnabled();
  await expect(spindle.getByRole("article")).toHaveCount(1);
  const [saved = ""] = await convertToDownloads(spindle, opened, folder);
  requireIdentical(raw, "raw", saved, "qcow2");
});

test("a description without its extent: the button adds it", async ({ spindle, folder }) => {
  await writeFlat(folder, "y");
  await spindle.evaluate(() => {
    delete (globalThis as { showOpenFilePicker?: unknown }).showOpenFilePicker;
  });
  await drop(spindle, join(folder, "y.vmdk"));
  const opened = card(spindle, "y.vmdk");
  const [chooser] = await Promise.all([
    spindle.waitForEvent("filechooser"),
    opened.getByRole("button", { name: "Add y-flat.vmdk…" }).click(),
  ]);
  await chooser.setFiles(join(folder, "y-flat.vmdk"));
  await expect(opened.getByRole("button", { name: "Convert to qcow2…" })).toBeEnabled();
});

test("a file that is no disk image", async ({ spindle, folder }) => {
  const path = join(folder, "letter.qcow2");
  writeFileSync(path, noise(100_000, 3));
  await drop(spindle, path);
  const alert = card(spindle, "letter.qcow2").getByRole("alert");
  await expect(alert).toContainText("This file is not a disk image that Spindle knows");
  await expect(alert.getByRole("link", { name: "Help on this: wrong-format" })).toBeVisible();
  await expect(spindle.getByRole("button", { name: /^Convert to/ })).toHaveCount(0);
});
