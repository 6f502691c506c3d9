import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { type BrowserContext, chromium, type Page } from "@playwright/test";
import { convert, missing, requireIdentical, writeNoise } from "./images.ts";
import { card, chooseTarget, drop, expect, openStart, test, waitVerified } from "./page.ts";

const WINDOW_TOOLS = ["Xvfb", "openbox", "xdotool"];

function missingWindowTools(): string {
  const absent = WINDOW_TOOLS.filter((name) => spawnSync("sh", ["-c", 'command -v "$0"', name]).status !== 0);
  return absent.length === 0 ? missing("qemu-img") : `not installed: ${absent.join(", ")}`;
}

test.skip(missingWindowTools() !== "", missingWindowTools());

const display = `:${90 + (process.pid % 100)}`;
const started: ChildProcess[] = [];

function start(command: string, ...args: readonly string[]): void {
  started.push(spawn(command, args, { stdio: "ignore", env: { ...process.env, DISPLAY: display } }));
}

test.beforeAll(async () => {
  start("Xvfb", display, "-screen", "0", "1280x1024x24", "-nolisten", "tcp");
  const socket = `/tmp/.X11-unix/X${display.slice(1)}`;
  await expect.poll(() => existsSync(socket), { timeout: 10_000 }).toBe(true);
  start("openbox");
});
test.afterAll(() => {
  for (const program of started.reverse()) program.kill();
});

/** Runs in the page: pickers are windows of the system; the stand-ins give the folder that was dropped first, and files in it. */
function chooseDroppedFolder(): void {
  const host = globalThis as unknown as Record<string, unknown>;
  addEventListener(
    "drop",
    (event) => {
      const [item] = event.dataTransfer?.items ?? [];
      const asked = item as unknown as { getAsFileSystemHandle(): Promise<FileSystemHandle> };
      host["droppedFolder"] = asked.getAsFileSystemHandle();
    },
    { capture: true, once: true },
  );
  host["showDirectoryPicker"] = () => host["droppedFolder"];
  host["showSaveFilePicker"] = async ({ suggestedName }: { suggestedName: string }) =>
    ((await host["droppedFolder"]) as FileSystemDirectoryHandle).getFileHandle(suggestedName, { create: true });
}

/** Answers the browser's own question about writing with the keyboard, as a user would. */
async function allowWriting(page: Page): Promise<void> {
  const heading = page.getByRole("heading", { level: 1 });
  await heading.click(); // the question needs a user's gesture
  await page.evaluate(() => {
    const host = globalThis as unknown as Record<string, unknown>;
    void (async () => {
      const folder = (await host["droppedFolder"]) as { requestPermission(how: { mode: string }): Promise<string> };
      host["permission"] = await folder.requestPermission({ mode: "readwrite" }).catch(String);
    })();
  });
  const answer = () => page.evaluate(() => (globalThis as unknown as Record<string, unknown>)["permission"] ?? "open");
  for (let i = 0; i < 10 && (await answer()) === "open"; i++) {
    await wait(700);
    if ((await answer()) !== "open") break;
    for (const key of ["Tab", "Return"]) spawnSync("xdotool", ["key", key], { env: { ...process.env, DISPLAY: display } });
    await wait(300);
  }
  expect(await answer()).toBe("granted");
}

/** What the folder held at one time or another during `work`, each as a line of names. */
async function watchWhile(place: string, work: () => Promise<void>, look: () => void = () => {}): Promise<string[]> {
  const seen = new Set<string>();
  const timer = setInterval(() => {
    seen.add(readdirSync(place).sort().join(" "));
    look();
  }, 10);
  await work().finally(() => clearInterval(timer));
  return [...seen];
}

test("a real folder: nothing stands under a final name before it is verified", async ({ folder, launchOptions, baseURL }) => {
  test.setTimeout(120_000);
  const place = join(folder, "machine");
  mkdirSync(place);
  const raw = join(folder, "web.raw");
  writeNoise(raw, 96);
  convert(raw, join(place, "web.qcow2"), "qcow2");

  const context: BrowserContext = await chromium.launchPersistentContext(join(folder, "profile"), {
    ...launchOptions,
    headless: false,
    args: [...(launchOptions.args ?? []), "--window-size=1100,800", "--window-position=0,0"],
    env: { ...(process.env as Record<string, string>), DISPLAY: display },
    viewport: null,
  });
  try {
    const page = context.pages()[0] ?? (await context.newPage());
    await page.addInitScript(chooseDroppedFolder);
    await openStart(page, baseURL);
    await drop(page, place);
    const opened = card(page, "web.qcow2");
    await expect(opened.getByRole("button", { name: /^Convert to/ })).toBeEnabled();
    await allowWriting(page);

    await test.step("two files into the folder", async () => {
      await chooseTarget(opened, "vmdk", { Kind: "monolithicFlat" });
      const seen = await watchWhile(place, async () => {
        await opened.getByRole("button", { name: "Convert to VMDK…" }).click();
        await waitVerified(opened);
      });
      expect(readdirSync(place).sort()).toEqual(["web-flat.vmdk", "web.qcow2", "web.vmdk"]);
      requireIdentical(raw, "raw", join(place, "web.vmdk"), "vmdk");
      // Closed and being verified, under temporary names only.
      expect(seen.map((names) => names.replaceAll(/\.[0-9a-f]{8}\.part/g, ".part"))).toContain(
        "web-flat.vmdk.part web.qcow2 web.vmdk.part",
      );
      const early = seen.filter((names) => names.includes(".crswap") && /web(-flat)?\.vmdk( |$)/.test(names));
      expect(early).toEqual([]);
      await opened.getByRole("button", { name: "Back to the settings" }).click();
    });

    await test.step("one file that was chosen", async () => {
      await chooseTarget(opened, "vdi");
      const sizes = new Set<number>();
      await watchWhile(
        place,
        async () => {
          await opened.getByRole("button", { name: "Convert to VDI…" }).click();
          await waitVerified(opened);
        },
        () => sizes.add(statSync(join(place, "web.vdi"), { throwIfNoEntry: false })?.size ?? 0),
      );
      const whole = statSync(join(place, "web.vdi")).size;
      expect([...sizes].filter((size) => size !== 0 && size !== whole)).toEqual([]);
      requireIdentical(raw, "raw", join(place, "web.vdi"), "vdi");
      await opened.getByRole("button", { name: "Back to the settings" }).click();
    });

    await test.step("while a file is being closed, the next one is written", async () => {
      await drop(page, raw);
      const other = card(page, "web.raw");
      await chooseTarget(other, "qed");
      await chooseTarget(opened, "vhdx");
      const seen = await watchWhile(place, async () => {
        await opened.getByRole("button", { name: "Convert to VHDX…" }).click();
        await other.getByRole("button", { name: "Convert to QED…" }).click();
        await Promise.all([waitVerified(opened), waitVerified(other)]);
      });
      expect(seen.some((names) => names.includes("web.vhdx.crswap") && names.includes("web.qed.crswap"))).toBe(true);
      for (const format of ["vhdx", "qed"]) {
        requireIdentical(raw, "raw", join(place, `web.${format}`), format);
        rmSync(join(place, `web.${format}`));
      }
      await opened.getByRole("button", { name: "Back to the settings" }).click();
    });

    await test.step("what was given up while it closed does no harm to what is written to the same file next", async () => {
      const [big, small] = [join(folder, "web.dd"), join(folder, "web.img")];
      writeNoise(big, 384);
      writeNoise(small, 1);
      await drop(page, big);
      await drop(page, small);
      const [large, next] = [card(page, "web.dd"), card(page, "web.img")];
      await chooseTarget(large, "qed");
      await chooseTarget(next, "qed");
      await large.getByRole("button", { name: "Convert to QED…" }).click();
      await expect(large.getByText("The browser is closing the file.")).toBeVisible();
      await large.getByRole("button", { name: "Cancel Esc" }).click();
      await next.getByRole("button", { name: "Convert to QED…" }).click();
      await waitVerified(next);
      await expect(large.getByRole("heading", { name: "Cancelled" })).toBeVisible();
      await wait(8000); // more than the browser takes to close the large file
      requireIdentical(small, "raw", join(place, "web.qed"), "qed");
      rmSync(join(place, "web.qed"));
    });

    await test.step("cancelled, nothing is left", async () => {
      await chooseTarget(opened, "qcow2", { Compression: "deflate" });
      await opened.getByRole("button", { name: "Convert to qcow2…" }).click();
      await opened.getByRole("button", { name: "Cancel Esc" }).click();
      await expect(opened.getByRole("heading", { name: "Cancelled" })).toBeVisible({ timeout: 15_000 });
      await expect.poll(() => readdirSync(place).sort()).toEqual(["web-flat.vmdk", "web.qcow2", "web.vdi", "web.vmdk"]);
    });
  } finally {
    await context.close();
  }
});
