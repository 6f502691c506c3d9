import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { convert, MIB, missing, requireIdentical, tool, writeMiscounted, writeRawDisk } from "./images.ts";
import { card, chooseTarget, convertToDownloads, drop, expect, openImage, test } from "./page.ts";

test.skip(missing("qemu-img") !== "", missing("qemu-img"));

let raw = "";
test.beforeAll(({ folder }) => {
  raw = join(folder, "disk.raw");
  writeRawDisk(raw, 6);
});

test("a damaged qcow2: the check says what is wrong, and a repaired copy is sound", async ({ spindle, folder }) => {
  const path = join(folder, "worn.qcow2");
  writeMiscounted(raw, path);
  const before = readFileSync(path);
  expect(tool("qemu-img").run(["check", "-f", "qcow2", path]).status).toBe(2);
  const opened = await openImage(spindle, path);

  await opened.getByRole("button", { name: "Check", exact: true }).click();
  const result = opened.getByRole("region", { name: "Check of worn.qcow2" });
  await expect(result.getByRole("heading", { name: /^\d+ faults and 1 leaked cluster found\.$/ })).toBeFocused();
  await expect(result.getByText("Fault cluster 8: refcount is 0, counted 1 at 0x80000 in the file")).toBeVisible();
  await expect(opened.getByText("Faults that the check found")).toBeVisible();

  await result.getByRole("button", { name: "Repair into a copy…" }).click();
  await expect(opened.getByRole("note").filter({ hasText: "A repaired copy" })).toBeFocused();
  await expect(opened.getByLabel("For which target?")).toHaveValue("format/qcow2");
  const [saved = ""] = await convertToDownloads(spindle, opened, folder);
  expect(saved).toBe(join(folder, "worn-repaired.qcow2"));
  tool("qemu-img").must(["check", "-f", "qcow2", saved]);
  requireIdentical(raw, "raw", saved, "qcow2");
  expect(readFileSync(path).equals(before), "the source is as it was").toBe(true);
});

test("a sound image, and one with nothing to check", async ({ spindle, folder }) => {
  const path = join(folder, "sound.vdi");
  convert(raw, path, "vdi");
  const sound = await openImage(spindle, path);
  await sound.getByRole("button", { name: "Check", exact: true }).click();
  await expect(sound.getByRole("heading", { name: "✓ No faults found." })).toBeVisible();
  await expect(sound.getByRole("button", { name: "Repair into a copy…" })).toHaveCount(0);
  await sound.getByRole("button", { name: "Close the result" }).click();
  await expect(sound.getByRole("heading", { name: "✓ No faults found." })).toHaveCount(0);

  const bare = await openImage(spindle, raw);
  await bare.getByRole("button", { name: "Check", exact: true }).click();
  await expect(bare.getByRole("heading", { name: /^This format has nothing to check/ })).toBeVisible();
});

test("two disks compared: the same, and a first difference", async ({ spindle, folder }) => {
  const same = join(folder, "same.qcow2");
  convert(raw, same, "qcow2");
  const changed = readFileSync(raw);
  const place = 4 * MIB + 1234;
  changed[place] = (changed[place] as number) ^ 1;
  const other = join(folder, "other.raw");
  writeFileSync(other, changed);

  const opened = await openImage(spindle, same);
  await openImage(spindle, raw);
  await opened.getByRole("button", { name: "Compare with disk.raw" }).click();
  await expect(opened.getByRole("heading", { name: "✓ The two disks are the same." })).toBeVisible();

  await openImage(spindle, other);
  await opened.getByLabel("The disk to compare with").selectOption("other.raw");
  await opened.getByRole("button", { name: "Compare with other.raw" }).click();
  await expect(opened.getByRole("heading", { name: "They differ first at byte 4,195,538." })).toBeVisible();
  await expect(opened.getByText("At 0x4004d2: sector 8194, 3146962 bytes into partition 1 (Linux)")).toBeVisible();
});

test("the exact size is the size that comes out", async ({ spindle, folder }) => {
  const opened = await openImage(spindle, raw);
  await chooseTarget(opened, "qcow2", { Compression: "deflate" });
  await opened.getByRole("button", { name: "Work out the exact size" }).click();
  const exact = opened.getByText(/^disk\.qcow2: exactly [\d,]+\sbytes/);
  await expect(exact).toBeVisible();
  const stated = Number(/exactly ([\d,]+)/.exec((await exact.textContent()) ?? "")?.[1]?.replaceAll(",", ""));
  const [saved = ""] = await convertToDownloads(spindle, opened, folder);
  expect(statSync(saved).size).toBe(stated);
});

test("the file name follows the packaging", async ({ spindle, folder }) => {
  const path = join(folder, "packed.qcow2");
  convert(raw, path, "qcow2");
  const opened = await openImage(spindle, path);
  await chooseTarget(opened, "raw", { "Packed as": "gzip" });
  await expect(opened.getByText(/ as packed\.img\.gz,/)).toBeVisible();
  const [saved = ""] = await convertToDownloads(spindle, opened, folder);
  await opened.getByRole("button", { name: "Close packed.qcow2" }).click();
  await drop(spindle, saved);
  const again = card(spindle, "packed.img.gz");
  await expect(again.getByText("Raw disk in gzip")).toBeVisible();
  await expect(again.getByText(/ as packed\.qcow2,/)).toBeVisible();
});
