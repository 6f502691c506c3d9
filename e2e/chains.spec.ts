import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import {
  convert,
  type MachineFolder,
  missing,
  requireIdentical,
  tool,
  writeEncrypted,
  writeMachine,
  writeNoise,
  writeRawDisk,
} from "./images.ts";
import { card, chooseTarget, convertToDownloads, drop, expect, privateFiles, test, waitVerified } from "./page.ts";

test.skip(missing("qemu-img", "qemu-io") !== "", missing("qemu-img", "qemu-io"));

let raw = "";
let machine: MachineFolder = { path: "", disks: [] };
test.beforeAll(({ folder }) => {
  raw = join(folder, "disk.raw");
  writeRawDisk(raw, 6);
  machine = writeMachine(folder, raw);
});

/** What qemu-img makes of a layer and all below it. */
function flattened(folder: string, layer: string): string {
  const path = join(folder, `${basename(layer)}.expected.raw`);
  tool("qemu-img").must(["convert", "-f", "vmdk", "-O", "raw", layer, path]);
  return path;
}

test("a VMware folder: one card, its layers, and the middle one as a point in time", async ({ spindle, folder }) => {
  await drop(spindle, machine.path);
  const opened = card(spindle, "web-000002.vmdk");
  await expect(opened.getByRole("button", { name: /^Convert to/ })).toBeEnabled();
  await expect(spindle.getByRole("article")).toHaveCount(1);
  const layers = opened.getByRole("radio");
  await expect(layers).toHaveCount(3);
  await expect(layers.nth(0)).toContainText("“Fresh from the installer”");
  await expect(layers.nth(1)).toContainText("“Before the update”");
  await expect(layers.nth(2)).toContainText("current in web, scsi0:0");
  await expect(layers.nth(2)).toBeChecked();
  await expect(layers.nth(2)).toContainText(/owns 7\d\d\sKiB/);
  await expect(opened.getByRole("img", { name: /^Who owns how much: web\.vmdk .*web-000002\.vmdk/ })).toBeVisible();

  await layers.nth(1).click();
  await expect(layers.nth(1)).toBeChecked();
  await expect(layers.nth(1)).toContainText(/owns 1\sMiB/);
  await expect(opened.getByRole("button", { name: /^Convert to/ })).toBeEnabled();
  await expect(layers.nth(2)).toContainText("not part of the chosen disk");
  await opened.getByRole("slider", { name: "Place on the disk" }).fill("450");
  await expect(opened.locator(".readout")).toContainText("owned by web-000001.vmdk");
  const [saved = ""] = await convertToDownloads(spindle, opened, folder);
  expect(basename(saved)).toBe("web-000001.qcow2");
  requireIdentical(flattened(folder, machine.disks[1] as string), "raw", saved, "qcow2");
  tool("qemu-img").must(["check", "-f", "qcow2", saved]);
});

test("the layers are chosen with the keyboard", async ({ spindle, folder }) => {
  await drop(spindle, machine.path);
  const opened = card(spindle, "web-000002.vmdk");
  const layers = opened.getByRole("radio");
  await layers.nth(2).focus();
  await spindle.keyboard.press("ArrowLeft");
  await spindle.keyboard.press("ArrowLeft");
  await expect(layers.nth(0)).toBeFocused();
  await expect(layers.nth(2)).toBeChecked();
  await spindle.keyboard.press("Enter");
  await expect(layers.nth(0)).toBeChecked();
  await expect(layers.nth(0)).toBeFocused();
  const [saved = ""] = await convertToDownloads(spindle, opened, folder);
  requireIdentical(raw, "raw", saved, "qcow2");
});

test("a chain without its middle: the missing file is named, and added by the button", async ({ spindle, folder }) => {
  const [base = "", middle = "", top = ""] = machine.disks;
  await spindle.evaluate(() => {
    delete (globalThis as { showOpenFilePicker?: unknown }).showOpenFilePicker;
  });
  await drop(spindle, base, top);
  const opened = card(spindle, "web-000002.vmdk");
  await expect(opened.getByRole("alert")).toContainText("The file “web-000001.vmdk” is missing");
  await expect(opened.getByRole("button", { name: /^Convert/ })).toHaveCount(0);
  const [chooser] = await Promise.all([
    spindle.waitForEvent("filechooser"),
    opened.getByRole("button", { name: "Add web-000001.vmdk…" }).click(),
  ]);
  await chooser.setFiles(middle);
  await expect(opened.getByRole("radio")).toHaveCount(3);
  await expect(spindle.getByRole("article")).toHaveCount(1);
  const [saved = ""] = await convertToDownloads(spindle, opened, folder);
  requireIdentical(flattened(folder, top), "raw", saved, "qcow2");
});

test("a layer dropped after its parent takes the parent's card over", async ({ spindle, folder }) => {
  const [base = "", middle = ""] = machine.disks;
  await drop(spindle, base);
  await expect(card(spindle, "web.vmdk").getByRole("button", { name: /^Convert to/ })).toBeEnabled();
  await drop(spindle, middle);
  const opened = card(spindle, "web-000001.vmdk");
  await expect(opened.getByRole("radio")).toHaveCount(2);
  await expect(spindle.getByRole("article")).toHaveCount(1);
  const [saved = ""] = await convertToDownloads(spindle, opened, folder);
  requireIdentical(flattened(folder, middle), "raw", saved, "qcow2");
});

test("a parent that was changed: only when the user says so, and the result says it too", async ({ spindle, folder }) => {
  const other = join(folder, "changed");
  mkdirSync(other);
  const [base, delta] = [join(other, "web.vmdk"), join(other, "web-000001.vmdk")];
  copyFileSync(machine.disks[0] as string, base);
  copyFileSync(machine.disks[1] as string, delta);
  tool("qemu-io").must(["-f", "vmdk", "-c", "write -P 0x77 5M 64k", base]);
  await drop(spindle, other);
  const opened = card(spindle, "web-000001.vmdk");
  await expect(opened.getByRole("alert")).toContainText(/it was changed afterwards or is another disk/);
  await opened.getByRole("button", { name: "Go on anyway" }).click();
  await expect(opened.getByText(/It was accepted/)).toBeVisible();
  await convertToDownloads(spindle, opened, folder);
  await expect(opened.getByRole("region", { name: "Warnings about the source" })).toContainText("It was accepted");
});

test("layers that lead in a circle are explained", async ({ spindle, folder }) => {
  const ring = join(folder, "ring");
  mkdirSync(ring);
  const [a, b] = [join(ring, "a.qcow2"), join(ring, "b.qcow2")];
  convert(raw, a, "qcow2");
  tool("qemu-img").must(["create", "-q", "-f", "qcow2", "-b", "a.qcow2", "-F", "qcow2", b]);
  tool("qemu-img").must(["rebase", "-u", "-f", "qcow2", "-b", "b.qcow2", "-F", "qcow2", a]);
  await drop(spindle, ring);
  await expect(spindle.getByRole("alert")).toContainText("The layers lead in a circle");
  await expect(spindle.getByRole("article")).toHaveCount(1);
});

test("an encrypted layer over a base whose name Chromium hides; what each owns is told when it is unlocked", async ({
  spindle,
  folder,
}) => {
  test.skip(process.platform === "win32", "no such names");
  const place = join(folder, "vault");
  mkdirSync(place);
  const base = join(place, "at 12:00.qcow2");
  const changed = join(folder, "changed.raw");
  convert(raw, base, "qcow2");
  copyFileSync(raw, changed);
  tool("qemu-io").must(["-f", "raw", "-c", "write -P 0x55 4M 64k", changed]);
  writeEncrypted(changed, join(place, "top.qcow2"), "sesame", base);
  await drop(spindle, place);
  const opened = card(spindle, "top.qcow2");
  await expect(opened.getByRole("radio")).toHaveText([/^at 12:00\.qcow2/, /^top\.qcow2/]);
  const field = opened.getByLabel("Passphrase", { exact: true });
  await expect(field).toBeVisible();
  await expect(opened.getByText(/^owns/)).toHaveCount(0);
  await field.fill("sesame");
  await field.press("Enter");
  await expect(opened.getByText(/^owns/)).toHaveCount(2);
  await chooseTarget(opened, "vdi");
  const [saved = ""] = await convertToDownloads(spindle, opened, folder);
  requireIdentical(changed, "raw", saved, "vdi");
});

test("two branches over one base", async ({ spindle, folder }) => {
  const tree = join(folder, "tree");
  mkdirSync(tree);
  convert(raw, join(tree, "base.qcow2"), "qcow2");
  for (const [name, at] of [
    ["left", "1M"],
    ["right", "2M"],
  ]) {
    tool("qemu-img").must(["create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", join(tree, `${name}.qcow2`)]);
    tool("qemu-io").must(["-f", "qcow2", "-c", `write -P 0x33 ${at} 128k`, join(tree, `${name}.qcow2`)]);
  }
  await drop(spindle, tree);
  await expect(spindle.getByRole("article")).toHaveCount(1);
  const opened = spindle.getByRole("article");
  await expect(opened.getByText("branching to 2 ends")).toBeVisible();
  await opened.getByRole("radio", { name: /^left\.qcow2/ }).click();
  await expect(opened.getByRole("radio", { name: /^left\.qcow2/ })).toBeChecked();
  await expect(opened.getByRole("button", { name: /^Convert to/ })).toBeEnabled();
  await chooseTarget(opened, "vdi");
  const [saved = ""] = await convertToDownloads(spindle, opened, folder);
  expect(basename(saved)).toBe("left.vdi");
  tool("qemu-img").must(["compare", "-f", "qcow2", "-F", "vdi", join(tree, "left.qcow2"), saved]);
});

test("the layers are kept: one qcow2 each, over one another", async ({ spindle, folder }) => {
  const kept = join(folder, "kept");
  mkdirSync(kept);
  await drop(spindle, machine.path);
  const opened = card(spindle, "web-000002.vmdk");
  await chooseTarget(opened, "qcow2");
  await opened.getByText("Options", { exact: true }).click();
  await opened.getByRole("radio", { name: "Keep the layers: one file each" }).click();
  await expect(opened.getByText(/web-000002\.qcow2, web-000002-2\.qcow2, web-000002-1\.qcow2/)).toBeVisible();
  const saved = await convertToDownloads(spindle, opened, kept);
  expect(saved.map((file) => basename(file)).sort()).toEqual(["web-000002-1.qcow2", "web-000002-2.qcow2", "web-000002.qcow2"]);
  requireIdentical(flattened(folder, machine.disks[2] as string), "raw", join(kept, "web-000002.qcow2"), "qcow2");
  requireIdentical(flattened(folder, machine.disks[1] as string), "raw", join(kept, "web-000002-2.qcow2"), "qcow2");
  rmSync(join(kept, "web-000002-1.qcow2"));
  expect(tool("qemu-img").run(["info", "--backing-chain", join(kept, "web-000002.qcow2")]).status).not.toBe(0);
});

test("the layers go into a chosen folder; a kind of image that cannot be a layer is refused", async ({ spindle }) => {
  await drop(spindle, machine.path);
  const opened = card(spindle, "web-000002.vmdk");
  await chooseTarget(opened, "vdi");
  await opened.getByText("Options", { exact: true }).click();
  await opened.getByRole("radio", { name: "Keep the layers: one file each" }).click();
  await opened.getByLabel("Allocation", { exact: true }).selectOption("Static (full size)");
  await expect(opened.getByRole("button", { name: "Convert to VDI…" })).toBeDisabled();
  await chooseTarget(opened, "qcow2");
  await opened.getByRole("radio", { name: "Keep the layers: one file each" }).click();
  await expect(opened.getByText(/^Reads .* as web-000002\.qcow2, web-000002-2/)).toBeVisible();
  await opened.getByRole("button", { name: "Convert to qcow2…" }).click();
  await waitVerified(opened);
  const files = ["web-000002-1.qcow2", "web-000002-2.qcow2", "web-000002.qcow2"];
  expect((await privateFiles(spindle)).sort()).toEqual(files.map((name) => `chosen/${name}`));
});

test("cancelled in the second layer, the first is taken away too", async ({ spindle, folder }) => {
  const long = join(folder, "long");
  mkdirSync(long);
  const [base, top] = [join(long, "base.qcow2"), join(long, "top.qcow2")];
  const whole = join(folder, "noise.raw");
  writeNoise(whole, 400);
  tool("qemu-img").must(["create", "-q", "-f", "qcow2", base, "400M"]);
  tool("qemu-io").must(["-f", "qcow2", "-c", "write -P 0x21 0 1M", base]);
  convert(whole, top, "qcow2");
  rmSync(whole);
  tool("qemu-img").must(["rebase", "-u", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", top]);
  await drop(spindle, long);
  const opened = card(spindle, "top.qcow2");
  await chooseTarget(opened, "qcow2", { Compression: "deflate" });
  await opened.getByRole("radio", { name: "Keep the layers: one file each" }).click();
  await expect(opened.getByText(/^Reads .* as top-converted\.qcow2, top-converted-1\.qcow2/)).toBeVisible();
  await opened.getByRole("button", { name: "Convert to qcow2…" }).click();
  await expect.poll(() => privateFiles(spindle), { timeout: 20_000 }).toContain("chosen/top-converted-1.qcow2");
  await opened.getByRole("button", { name: "Cancel Esc" }).click();
  await expect(opened.getByRole("heading", { name: "Cancelled" })).toBeVisible({ timeout: 15_000 });
  await expect.poll(() => privateFiles(spindle)).toEqual([]);
});

test("only what differs from another open image", async ({ spindle, folder }) => {
  const place = join(folder, "delta");
  mkdirSync(place);
  const [base, grown] = [join(place, "golden.qcow2"), join(folder, "grown.vdi")];
  convert(raw, base, "qcow2");
  convert(machine.disks[2] as string, grown, "vdi");
  await drop(spindle, base);
  await drop(spindle, grown);
  const opened = card(spindle, "grown.vdi");
  await chooseTarget(opened, "qcow2");
  await opened.getByText("Options", { exact: true }).click();
  await opened.getByRole("radio", { name: "Only what differs from another open image" }).click();
  await expect(opened.getByLabel("The base")).toBeVisible();
  await expect(opened.getByText(/^Reads .* of data, writes up to/)).toBeVisible();
  const [saved = ""] = await convertToDownloads(spindle, opened, place);
  requireIdentical(grown, "vdi", saved, "qcow2");
  expect(tool("qemu-img").must(["info", saved])).toContain("backing file: golden.qcow2");
});
