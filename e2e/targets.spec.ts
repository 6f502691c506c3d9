import { statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { convert, MIB, missing, noise, requireIdentical, tool, writeRawDisk } from "./images.ts";
import { choosePreset, chooseTarget, convertToDownloads, expect, openImage, test } from "./page.ts";

test.skip(missing("qemu-img") !== "", missing("qemu-img"));

let raw = "";
test.beforeAll(({ folder }) => {
  raw = join(folder, "web.raw");
  writeRawDisk(raw, 6);
});

test("two clicks make a disk for Azure: a fixed VHD of whole MiB, and how to import it", async ({ spindle, folder }) => {
  const opened = await openImage(spindle, raw);
  await choosePreset(opened, "azure");
  await expect(opened.getByText("A fixed VHD of whole MiB, for a managed disk.")).toBeVisible();
  await opened.getByText("What Microsoft Azure asks for").click();
  await expect(opened.getByText("At least 20 MiB.")).toBeVisible();
  await expect(opened.getByRole("button", { name: "Convert for Microsoft Azure…" })).toBeEnabled();
  const [saved = ""] = await convertToDownloads(spindle, opened, folder);
  expect(basename(saved)).toBe("web.vhd");
  expect(statSync(saved).size).toBe(20 * MIB + 512);
  const facts = JSON.parse(tool("qemu-img").must(["info", "--output=json", "-f", "vpc", saved]));
  expect(facts["virtual-size"]).toBe(20 * MIB);
  tool("qemu-img").must(["compare", "-f", "raw", "-F", "vpc", raw, saved]);
  const steps = opened.getByRole("region", { name: "Import into Microsoft Azure" });
  await expect(steps.getByRole("listitem")).not.toHaveCount(0);
  await expect(steps.getByText(/az disk create/)).toBeVisible();
  await expect(steps.getByRole("button", { name: "Copy the command" })).not.toHaveCount(0);
});

test("a file has the ending that its target wants, under a name of one's own too", async ({ spindle, folder }) => {
  const opened = await openImage(spindle, raw);
  await choosePreset(opened, "parallels");
  await expect(opened.getByText(/ as web\.hds, DiskDescriptor\.xml,/)).toBeVisible();
  await opened.getByText("Options", { exact: true }).click();
  await opened.getByLabel("File name").fill("shop");
  await opened.getByLabel("File name").press("Enter");
  await expect(opened.getByText(/ as shop\.hds, DiskDescriptor\.xml,/)).toBeVisible();
  const saved = await convertToDownloads(spindle, opened, folder);
  expect(saved.map((path) => basename(path))).toEqual(["shop.hds", "DiskDescriptor.xml"]);
  // The folder that the two go into has another name than the file.
  await expect(opened.getByText("mkdir shop.hdd", { exact: true })).toBeVisible();
});

test("what a target refuses is said, and nothing starts", async ({ spindle }) => {
  const opened = await openImage(spindle, raw);
  await choosePreset(opened, "hyper-v-gen2");
  await expect(opened.locator(".losses .blocker")).toContainText("The disk has no GPT");
  await expect(opened.getByRole("button", { name: "Convert for Hyper-V, generation 2…" })).toBeDisabled();
  await chooseTarget(opened, "vdi");
  await expect(opened.getByRole("button", { name: "Convert to VDI…" })).toBeEnabled();
});

test.describe("another size", () => {
  test.skip(missing("sgdisk") !== "", missing("sgdisk"));

  test("a disk with a GPT grows, and sgdisk finds nothing wrong", async ({ spindle, folder }) => {
    const path = join(folder, "gpt.raw");
    writeFileSync(path, Buffer.alloc(32 * MIB));
    tool("sgdisk").must(["-n", "1:2048:40959", "-c", "1:data", path]);
    const opened = await openImage(spindle, path);
    await opened.getByText("Size and free space").click();
    const field = opened.getByLabel("Virtual size", { exact: true });
    await expect(field).toHaveValue("32 MiB");
    await expect(opened.getByText(/^At least 20\sMiB: Partition 1/)).toBeVisible();

    await field.fill("12 MiB");
    await field.press("Enter");
    await expect(opened.getByText(/^Too small: at least 20\sMiB/)).toBeVisible();
    await expect(opened.getByRole("button", { name: /^Convert to/ })).toBeDisabled();
    await field.fill("twelve");
    await field.press("Enter");
    await expect(opened.getByText(/^This is not a size/)).toBeVisible();

    await field.fill("0.125 GiB");
    await field.press("Enter");
    await expect(opened.getByText(/The backup GPT moves to the new end/)).toBeVisible();
    await chooseTarget(opened, "raw");
    const [saved = ""] = await convertToDownloads(spindle, opened, folder);
    expect(statSync(saved).size).toBe(128 * MIB);
    expect(tool("sgdisk").must(["-v", saved])).toContain("No problems found");
    tool("sgdisk").must(["-n", "2:0:0", saved]);
  });
});

test("what is being typed stays while a plan comes in", async ({ spindle, folder }) => {
  const path = join(folder, "typed.raw");
  writeFileSync(path, noise(4 * MIB, 3));
  const opened = await openImage(spindle, path);
  await opened.getByText("Options", { exact: true }).click();
  await opened.getByText("Size and free space").click();
  const [size, name] = [opened.getByLabel("Virtual size", { exact: true }), opened.getByLabel("File name", { exact: true })];
  await expect(opened.getByText(/^At least/)).toBeVisible();
  await size.fill("8 MiB"); // Enter is still to come
  await name.fill("mine");
  await size.evaluate((field: HTMLInputElement) => {
    field.value = "16 MiB";
    field.dispatchEvent(new InputEvent("input", { bubbles: true }));
  });
  await opened.getByRole("checkbox", { name: "Leave out free space" }).dispatchEvent("click");
  await expect(opened.getByText(/^No file system was recognised/)).toBeVisible();
  await expect(size).toHaveValue("16 MiB");
  await expect(name).toHaveValue("mine");

  // Typed and taken back by hand: no change to the browser, and what comes later is shown.
  await size.press("Enter");
  await size.press("End");
  await size.pressSequentially("0");
  await size.press("Backspace");
  await size.press("Tab");
  await opened.getByRole("button", { name: "As it is" }).click();
  await expect(size).toHaveValue("4 MiB");
});

test.describe("slim", () => {
  test.skip(missing("mkfs.ext4") !== "", missing("mkfs.ext4"));

  test("free space with old data in it is left out, and the saving is told before", async ({ spindle, folder }) => {
    const path = join(folder, "old.raw");
    writeFileSync(path, noise(32 * MIB, 5));
    tool("mkfs.ext4").must(["-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", path]);
    const opened = await openImage(spindle, path);
    await opened.getByText("Size and free space").click();
    await opened.getByRole("checkbox", { name: "Leave out free space" }).check();
    await expect(opened.getByText(/MiB of data less to write\.$/)).toBeVisible();
    await expect(opened.getByText(/^ext4: .* less \(.* are free\)$/)).toBeVisible();
    const [saved = ""] = await convertToDownloads(spindle, opened, folder);
    expect(statSync(saved).size).toBeLessThan(16 * MIB);
    const back = join(folder, "slim.raw");
    convert(saved, back, "raw");
    tool("e2fsck").must(["-fn", back]);
  });
});

test("settings of one disk are kept for another", async ({ spindle, folder }) => {
  const opened = await openImage(spindle, raw);
  await choosePreset(opened, "libvirt");
  const [saved = ""] = await convertToDownloads(spindle, opened, folder);
  requireIdentical(raw, "raw", saved, "qcow2");
  await spindle.evaluate(() => {
    delete (globalThis as { showOpenFilePicker?: unknown }).showOpenFilePicker;
  });
  const second = join(folder, "second.raw");
  writeRawDisk(second, 6, 4);
  const [chooser] = await Promise.all([
    spindle.waitForEvent("filechooser"),
    opened.getByRole("button", { name: "Another one with the same settings…" }).click(),
  ]);
  await chooser.setFiles(second);
  await expect(spindle.getByRole("article", { name: "second.raw" }).getByLabel("For which target?")).toHaveValue("preset/libvirt");
});
