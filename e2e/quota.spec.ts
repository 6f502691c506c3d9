import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { convert, missing, tool, writeNoise } from "./images.ts";
import { card, chooseTarget, drop, expect, privateFiles, test } from "./page.ts";

test.skip(missing("qemu-img") !== "", missing("qemu-img"));

/** In a private window, as here, Chromium does not throw when there is no space left for a write. */
test("a full disk is called one, and nothing is left", async ({ spindle, folder }) => {
  const place = join(folder, "full");
  mkdirSync(place);
  const raw = join(folder, "noise.raw");
  writeNoise(raw, 24);
  convert(raw, join(place, "base.qcow2"), "qcow2");
  tool("qemu-img").must(["create", "-q", "-f", "qcow2", "-b", join(place, "base.qcow2"), "-F", "qcow2", join(place, "top.qcow2")]);
  tool("qemu-img").must(["rebase", "-u", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", join(place, "top.qcow2")]);
  await drop(spindle, place);
  const opened = card(spindle, "top.qcow2");
  await chooseTarget(opened, "qcow2");
  await opened.getByText("Options", { exact: true }).click();
  await opened.getByRole("radio", { name: "Keep the layers: one file each" }).click();
  const session = await spindle.context().newCDPSession(spindle);
  await session.send("Storage.overrideQuotaForOrigin", { origin: new URL(spindle.url()).origin, quotaSize: 12 * 1024 ** 2 });
  for (const way of ["Save as download", "Convert to qcow2…"]) {
    await opened.getByRole("button", { name: way }).click();
    await expect(opened.getByRole("heading", { name: "The drive is full" })).toBeVisible({ timeout: 15_000 });
    await expect.poll(() => privateFiles(spindle)).toEqual([]);
    await opened.getByRole("button", { name: "Choose another place" }).click();
  }
});
