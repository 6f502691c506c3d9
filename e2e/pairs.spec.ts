import { mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { convert, missing, requireIdentical, tool, writeRawDisk } from "./images.ts";
import { chooseTarget, convertToDownloads, expect, openImage, test } from "./page.ts";

const FORMATS = ["raw", "qcow2", "vmdk", "vdi"] as const;

test.skip(missing("qemu-img") !== "", missing("qemu-img"));

let raw = "";
test.beforeAll(({ folder }) => {
  raw = join(folder, "disk.raw");
  writeRawDisk(raw, 6, 7);
});

for (const source of FORMATS) {
  test(`${source} to raw, qcow2, VMDK and VDI`, async ({ spindle, folder }) => {
    const path = join(folder, `pair.${source}`);
    convert(raw, path, source);
    const opened = await openImage(spindle, path);
    for (const target of FORMATS) {
      await test.step(target, async () => {
        const results = join(folder, `${source}-to-${target}`);
        mkdirSync(results);
        await chooseTarget(opened, target);
        const [saved = ""] = await convertToDownloads(spindle, opened, results);
        expect(basename(saved)).toBe(source === target ? `pair-converted.${target}` : `pair.${target}`);
        requireIdentical(raw, "raw", saved, target);
        if (target !== "raw") tool("qemu-img").must(["check", "-f", target, saved]);
        await opened.getByRole("button", { name: "Back to the settings" }).click();
      });
    }
  });
}

test("qcow2 to a monolithicFlat VMDK: two files", async ({ spindle, folder }) => {
  const path = join(folder, "flat.qcow2");
  convert(raw, path, "qcow2");
  const opened = await openImage(spindle, path);
  await chooseTarget(opened, "vmdk", { Kind: "monolithicFlat" });
  const saved = await convertToDownloads(spindle, opened, folder);
  expect(saved.map((file) => basename(file)).sort()).toEqual(["flat-flat.vmdk", "flat.vmdk"]);
  requireIdentical(raw, "raw", join(folder, "flat.vmdk"), "vmdk");
});
