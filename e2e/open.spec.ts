import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { convert, MIB, missing, noise, requireIdentical, writeEncrypted, writeRawDisk, writeTar } from "./images.ts";
import { card, chooseTarget, convertToDownloads, drop, expect, test } from "./page.ts";

test.skip(missing("qemu-img", "tar") !== "", missing("qemu-img", "tar"));

let raw = "";
test.beforeAll(({ folder }) => {
  raw = join(folder, "disk.raw");
  writeRawDisk(raw, 6);
});

test("a LUKS-encrypted qcow2 asks for its passphrase, and opens with the right one only", async ({ spindle, folder }) => {
  const path = join(folder, "vault.qcow2");
  writeEncrypted(raw, path, "open sesame");
  await drop(spindle, path);
  const opened = card(spindle, "vault.qcow2");
  const field = opened.getByLabel("Passphrase", { exact: true });
  await field.fill("open simsim");
  await field.press("Enter");
  await expect(opened.getByRole("alert")).toHaveText("This is not the passphrase. Upper and lower case count.");
  await expect(field).toBeFocused();
  await expect(opened.getByRole("button", { name: /^Convert to/ })).toHaveCount(0);

  await field.fill("open sesame");
  await expect(field).toHaveAttribute("type", "password");
  await opened.getByRole("button", { name: "Show the passphrase" }).click();
  await expect(field).toHaveAttribute("type", "text");
  await opened.getByRole("button", { name: "Unlock" }).click();
  await expect(opened.getByText("encrypted, unlocked")).toBeVisible();
  await chooseTarget(opened, "vdi");
  const [saved = ""] = await convertToDownloads(spindle, opened, folder);
  requireIdentical(raw, "raw", saved, "vdi");
});

test("an archive of two disks asks which one, and shows another later", async ({ spindle, folder }) => {
  convert(raw, join(folder, "one.qcow2"), "qcow2");
  convert(raw, join(folder, "two.vdi"), "vdi");
  await drop(spindle, writeTar(folder, "both.tar", "one.qcow2", "two.vdi"));
  await card(spindle, "both.tar").getByRole("button", { name: "two.vdi" }).click();
  const second = card(spindle, "both.tar: two.vdi");
  await expect(second.getByText("VirtualBox (VDI) in tar")).toBeVisible();
  const [saved = ""] = await convertToDownloads(spindle, second, folder);
  expect(saved).toBe(join(folder, "two.qcow2"));
  requireIdentical(raw, "raw", saved, "qcow2");
  await second
    .getByRole("button", { name: "Discard the result" })
    .or(second.getByRole("button", { name: "Back to the settings" }))
    .click();

  await second.getByLabel("Disk in the archive").selectOption("one.qcow2");
  await expect(card(spindle, "both.tar: one.qcow2").getByText("QEMU disk (qcow2) in tar")).toBeVisible();
  await expect(spindle.getByRole("article")).toHaveCount(1);
});

test("every disk of an archive on a card of its own", async ({ spindle, folder }) => {
  convert(raw, join(folder, "left.qcow2"), "qcow2");
  convert(raw, join(folder, "right.vdi"), "vdi");
  await drop(spindle, writeTar(folder, "pair.tar", "left.qcow2", "right.vdi"));
  await card(spindle, "pair.tar").getByRole("button", { name: "Open all of them" }).click();
  for (const name of ["pair.tar: left.qcow2", "pair.tar: right.vdi"])
    await expect(card(spindle, name).getByRole("button", { name: /^Convert to/ })).toBeEnabled();
  await card(spindle, "pair.tar: left.qcow2").getByRole("button", { name: "Compare with pair.tar: right.vdi" }).click();
  await expect(spindle.getByRole("heading", { name: "✓ The two disks are the same." })).toBeVisible();
});

test("a long packed stream: how far it has been read, and the way to stop it", async ({ spindle, folder }) => {
  const path = join(folder, "long.img.gz");
  const member = gzipSync(noise(16 * MIB, 9), { level: 0 });
  const file = openSync(path, "w");
  for (let i = 0; i < 24; i++) writeSync(file, member);
  closeSync(file);
  await drop(spindle, path);
  const opened = card(spindle, "long.img.gz");
  await expect(opened.getByRole("progressbar", { name: "Reading long.img.gz" })).toHaveAttribute("value", /^[1-9]/);
  await opened.getByRole("button", { name: "Cancel: Reading long.img.gz" }).click();
  await expect(opened.getByRole("alert")).toContainText("You stopped the reading of this file.");
  await opened.getByRole("button", { name: "Try again" }).click();
  await expect(opened.getByRole("progressbar", { name: "Reading long.img.gz" })).toBeVisible();
  await opened.getByRole("button", { name: "Close long.img.gz" }).click();
  await expect(spindle.getByRole("button", { name: "Try a sample" })).toBeVisible();
});

test("a folder: packed files without a disk get no card", async ({ spindle, folder }) => {
  const holiday = join(folder, "holiday");
  mkdirSync(holiday);
  convert(raw, join(holiday, "web.qcow2"), "qcow2");
  writeFileSync(join(holiday, "console.log.gz"), gzipSync("started\n".repeat(1000)));
  writeFileSync(join(holiday, "letter.txt"), "Dear reader");
  writeFileSync(join(holiday, "notes.txt"), "Nothing of note");
  writeTar(holiday, "papers.tar", "letter.txt", "notes.txt");
  writeFileSync(join(holiday, "Info.plist"), "<?xml version='1.0'?><plist version='1.0'><dict/></plist>");
  await drop(spindle, holiday);
  await expect(card(spindle, "web.qcow2").getByRole("button", { name: /^Convert to/ })).toBeEnabled();
  await expect(spindle.getByRole("heading", { name: "One disk" })).toBeVisible();
  await expect(spindle.getByRole("article")).toHaveCount(1);
});

test("a bundle is opened by its folder", async ({ spindle, folder }) => {
  const path = join(folder, "plain.qcow2");
  convert(raw, path, "qcow2");
  await drop(spindle, path);
  const source = card(spindle, "plain.qcow2");
  await chooseTarget(source, "parallels", { Bundle: "on" });
  const bundle = join(folder, "plain.hdd");
  mkdirSync(bundle);
  await convertToDownloads(spindle, source, bundle);
  await source.getByRole("button", { name: "Close plain.qcow2" }).click();
  await drop(spindle, bundle);
  const opened = card(spindle, "DiskDescriptor.xml");
  await expect(opened.getByRole("button", { name: /^Convert to/ })).toBeEnabled();
  await expect(spindle.getByRole("article")).toHaveCount(1);
  const [saved = ""] = await convertToDownloads(spindle, opened, folder);
  requireIdentical(raw, "raw", saved, "qcow2");
});
