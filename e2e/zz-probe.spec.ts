import { join } from "node:path";
import { writeNoise } from "./images.ts";
import { chooseTarget, expect, openImage, privateFiles, test } from "./page.ts";
test("probe", async ({ spindle, folder }) => {
  const noise = join(folder, "noise.raw"); writeNoise(noise, 600);
  const opened = await openImage(spindle, noise);
  await chooseTarget(opened, "qcow2", { Compression: "deflate" });
  await opened.getByRole("button", { name: "Save as download" }).click();
  await expect(opened.getByRole("progressbar", { name: "Reading and writing" })).toHaveAttribute("value", /^([2-9]|\d\d)$/, { timeout: 20_000 });
  await spindle.reload();
  const locks = () => spindle.evaluate(async () => (await navigator.locks.query()).held?.map((l) => l.name));
  for (let i = 0; i < 5; i++) { console.log(i, await locks(), await privateFiles(spindle)); await spindle.waitForTimeout(300); }
  await spindle.waitForTimeout(2000);
  await spindle.reload();
  for (let i = 0; i < 6; i++) { console.log("again", await locks(), await privateFiles(spindle)); await spindle.waitForTimeout(500); }
});
