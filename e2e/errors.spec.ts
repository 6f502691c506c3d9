import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { convert, missing, noise, requireIdentical, tool, writeRawDisk, writeTar } from "./images.ts";
import { card, convertToDownloads, drop, expect, openImage, test, waitVerified } from "./page.ts";

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

test("an archive without a disk says what is in it; a file of it can be taken for one all the same", async ({ spindle, folder }) => {
  writeFileSync(join(folder, "readme.txt"), "nothing of interest\n");
  await drop(spindle, writeTar(folder, "notes.tar", "readme.txt"));
  const alert = card(spindle, "notes.tar").getByRole("alert");
  await expect(alert).toContainText("No file in this archive looks like a disk");
  await expect(alert).toContainText("“readme.txt” (20 bytes)");
  await expect(alert).not.toContainText("--member");
  await alert.getByRole("button", { name: "readme.txt" }).click();
  await expect(card(spindle, "notes.tar: readme.txt").getByRole("button", { name: /^Convert to/ })).toBeEnabled();
});

test("a file that has gone is named in plain words", async ({ spindle, folder }) => {
  const path = join(folder, "gone.qcow2");
  writeFileSync(path, noise(100_000, 4));
  await drop(spindle, path);
  const opened = card(spindle, "gone.qcow2");
  await expect(opened.getByRole("alert")).toContainText("not a disk image");
  rmSync(path);
  await opened.getByRole("button", { name: "Try again" }).click();
  await expect(opened.getByRole("alert")).toContainText("The file has changed or moved");
  await expect(opened.getByRole("alert")).toContainText("gone.qcow2 is not there any more: it was moved, renamed or removed");
  await expect(opened.getByRole("alert")).not.toContainText("could not be found");
});

test("a file that goes while its card is open is named in plain words", async ({ spindle, folder }) => {
  const path = join(folder, "leaving.raw");
  writeRawDisk(path, 6, 9);
  const opened = await openImage(spindle, path);
  rmSync(path);
  await opened.getByRole("button", { name: "Save as download" }).click();
  const alert = opened.getByRole("alert");
  await expect(alert).toContainText("The file has changed or moved");
  await expect(alert).toContainText(/leaving\.raw cannot be read at byte \d+: it was changed, moved or removed/);
  await expect(alert).not.toContainText("Error");
});

test("the parent of a VDI is asked for by its UUID, and taken under any name", async ({ spindle, folder }) => {
  const [base, child] = [join(folder, "web server.vdi"), join(folder, "snapshot.vdi")];
  convert(raw, base, "vdi");
  convert(raw, child, "vdi");
  const uuid = readFileSync(base).subarray(0x188, 0x198);
  const bytes = readFileSync(child);
  bytes[0x4c] = 4;
  uuid.copy(bytes, 0x1a8);
  writeFileSync(child, bytes);
  await drop(spindle, child);
  const opened = card(spindle, "snapshot.vdi");
  await expect(opened.getByRole("alert")).toContainText(/The VDI whose UUID is [0-9a-f-]{36} is missing/);
  await expect(opened.getByRole("button", { name: "Add the parent…" })).toBeVisible();
  await drop(spindle, base);
  await expect(opened.getByRole("button", { name: /^Convert to/ })).toBeEnabled();
  await expect(spindle.getByRole("article")).toHaveCount(1);
});

test.describe("a wrong checksum", () => {
  test.skip(missing("zip") !== "", missing("zip"));

  test("stops the conversion; carried on over, it is told with the result", async ({ spindle, folder }) => {
    tool("zip").must(["-q", "-0", "stored.zip", "disk.raw"], { cwd: folder });
    const path = join(folder, "stored.zip");
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(3_000_000) ^ 1, 3_000_000);
    writeFileSync(path, bytes);
    const opened = await openImage(spindle, path);
    await opened.getByRole("button", { name: "Save as download" }).click();
    await expect(opened.getByRole("alert")).toContainText("CRC-32");
    await opened.getByRole("alert").getByRole("button", { name: "Carry on, zero what cannot be read" }).click();
    await opened.getByRole("button", { name: "Save as download" }).click();
    await waitVerified(opened);
    await expect(opened.getByText("The source does not match its own checksum", { exact: false })).toBeVisible();
    await expect(opened.getByText(/disk\.raw.*CRC-32/)).toBeVisible();
  });
});
