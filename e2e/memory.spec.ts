import { statSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { MIB, missing, tool } from "./images.ts";
import { chooseTarget, drop, expect, noteLongTasks, openImage, test } from "./page.ts";

const LIMIT_MIB = 300;

test.skip(missing("qemu-img", "qemu-io") !== "", missing("qemu-img", "qemu-io"));
// Otherwise the browser waits for its next collection of garbage, up to 20 s.
test.use({
  launchOptions: async ({ launchOptions }, use) =>
    use({ ...launchOptions, args: [...(launchOptions.args ?? []), "--enable-blink-features=ForceEagerMeasureMemory"] }),
});

interface Measured {
  readonly bytes: number;
  readonly breakdown: readonly { readonly bytes: number; readonly types: readonly string[] }[];
}

/** JavaScript and WebAssembly memory of the page and all of its workers, MiB. */
async function measure(page: Page): Promise<number> {
  const { bytes, breakdown } = await page.evaluate(() =>
    (performance as unknown as { measureUserAgentSpecificMemory(): Promise<Measured> }).measureUserAgentSpecificMemory(),
  );
  expect(breakdown.length).toBeGreaterThan(0);
  return bytes / MIB;
}

function note(name: string, mib: number): void {
  test.info().annotations.push({ type: name, description: `${mib.toFixed(0)} MiB` });
}

test("a disk of 1 TiB with 64 MiB in it, to qcow2 and verified", async ({ spindle, folder }) => {
  const path = join(folder, "huge.qcow2");
  tool("qemu-img").must(["create", "-f", "qcow2", path, "1T"]);
  const writes = ["write -P 0x41 0 32M", "write -P 0x42 700G 16M", "write -P 0x43 1023G 16M"];
  tool("qemu-io").must(["-f", "qcow2", ...writes.flatMap((write) => ["-c", write]), path]);
  const opened = await openImage(spindle, path);
  await chooseTarget(opened, "qcow2");
  await opened.getByRole("button", { name: "Save as download" }).click();
  const verified = opened.getByText("✓ verified: read back and compared block by block");
  let most = 0;
  do {
    most = Math.max(most, await measure(spindle));
  } while (!(await verified.or(opened.getByRole("alert")).isVisible()));
  await expect(verified).toBeVisible();
  note("memory at most", Math.max(most, await measure(spindle)));
  expect(most).toBeLessThan(LIMIT_MIB);
  const [download] = await Promise.all([
    spindle.waitForEvent("download"),
    opened.getByRole("button", { name: "Download huge-converted.qcow2" }).click(),
  ]);
  const saved = await download.path();
  expect(statSync(saved).size).toBeLessThan(300 * MIB);
  tool("qemu-img").must(["compare", "-f", "qcow2", "-F", "qcow2", path, saved]);
  await noteLongTasks(spindle);
});

test("an empty disk of 64 TiB opens, and VMDK says that it cannot hold it", async ({ spindle, folder }) => {
  const path = join(folder, "giant.qcow2");
  tool("qemu-img").must(["create", "-f", "qcow2", path, "64T"]);
  await drop(spindle, path);
  const opened = spindle.getByRole("article", { name: "giant.qcow2" });
  await expect(opened.getByRole("definition").filter({ hasText: /^64\sTiB$/ })).toBeVisible({ timeout: 15_000 });
  await opened.getByLabel("Convert to", { exact: true }).selectOption("vmdk");
  await expect(opened.locator(".losses .blocker")).toBeVisible();
  await expect(opened.getByRole("button", { name: "Convert to VMDK…" })).toBeDisabled();
  const used = await measure(spindle);
  note("memory", used);
  expect(used).toBeLessThan(LIMIT_MIB);
});
