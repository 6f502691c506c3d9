import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "@playwright/test";
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
  readonly breakdown: readonly unknown[];
}

/** What the browser counts for the page and all of its workers, MiB. The memory of WebAssembly is not among it. */
async function countedByBrowser(page: Page): Promise<number> {
  const { bytes, breakdown } = await page.evaluate(() =>
    (performance as unknown as { measureUserAgentSpecificMemory(): Promise<Measured> }).measureUserAgentSpecificMemory(),
  );
  expect(breakdown.length).toBeGreaterThan(0);
  return bytes / MIB;
}

/** All memory that the largest of the pages' processes has for itself, MiB: JavaScript, WebAssembly and the browser's own; only on Linux. */
async function ofProcess(page: Page): Promise<number> {
  if (!existsSync("/proc/self/smaps_rollup")) return 0;
  const session = await (page.context().browser() as Browser).newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  const sizes = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => anonymous(id));
  return Math.max(...sizes);
}

function anonymous(id: number): number {
  try {
    return Number(/^Pss_Anon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${id}/smaps_rollup`, "utf8"))?.[1] ?? 0) / 1024;
  } catch {
    return 0; // it has just ended
  }
}

/** Takes both measures again and again; the most of each. */
function watchMemory(page: Page): { take(): Promise<void>; expectModest(): void } {
  let counted = 0;
  let whole = 0;
  return {
    async take() {
      whole = Math.max(whole, await ofProcess(page));
      counted = Math.max(counted, await countedByBrowser(page));
    },
    expectModest() {
      const description = `${counted.toFixed(0)} MiB counted by the browser, ${whole.toFixed(0)} MiB in the page's process`;
      test.info().annotations.push({ type: "memory at most", description });
      expect(counted, "JavaScript, MiB").toBeLessThan(LIMIT_MIB);
      expect(whole, "JavaScript, WebAssembly and the browser's own, MiB").toBeLessThan(LIMIT_MIB);
    },
  };
}

test("the measures see what is taken", async ({ spindle }) => {
  const before = [await countedByBrowser(spindle), await ofProcess(spindle)] as const;
  await spindle.evaluate(() => {
    const packed = new WebAssembly.Memory({ initial: 1600 });
    new Uint8Array(packed.buffer).fill(1);
    (globalThis as { kept?: unknown }).kept = [packed, new Uint8Array(100 * 1024 ** 2).fill(1)];
  });
  const after = [await countedByBrowser(spindle), await ofProcess(spindle)] as const;
  expect(after[0] - before[0]).toBeGreaterThan(90);
  // Less than all 200 MiB: what starting the page has left behind may be freed meanwhile.
  if (after[1] > 0) expect(after[1] - before[1]).toBeGreaterThan(150);
});

test("a disk of 1 TiB with 64 MiB in it, to qcow2 and verified", async ({ spindle, folder }) => {
  const path = join(folder, "huge.qcow2");
  tool("qemu-img").must(["create", "-f", "qcow2", path, "1T"]);
  const writes = ["write -P 0x41 0 32M", "write -P 0x42 700G 16M", "write -P 0x43 1023G 16M"];
  tool("qemu-io").must(["-f", "qcow2", ...writes.flatMap((write) => ["-c", write]), path]);
  const opened = await openImage(spindle, path);
  await chooseTarget(opened, "qcow2");
  await opened.getByRole("button", { name: "Save as download" }).click();
  const verified = opened.getByText("✓ verified: read back and compared block by block");
  const memory = watchMemory(spindle);
  do await memory.take();
  while (!(await verified.or(opened.getByRole("alert")).isVisible()));
  await expect(verified).toBeVisible();
  await memory.take();
  memory.expectModest();
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
  await opened.getByLabel("For which target?").selectOption("format/vmdk");
  await expect(opened.locator(".losses .blocker")).toBeVisible();
  await expect(opened.getByRole("button", { name: "Convert to VMDK…" })).toBeDisabled();
  const memory = watchMemory(spindle);
  await memory.take();
  memory.expectModest();
});
