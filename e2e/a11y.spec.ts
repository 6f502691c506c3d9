import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import {
  convert,
  type MachineFolder,
  missing,
  noise,
  writeEncrypted,
  writeMachine,
  writeMiscounted,
  writeRawDisk,
  writeTar,
} from "./images.ts";
import { card, choosePreset, drop, expect, openImage, openStart, test, waitVerified } from "./page.ts";

test.skip(missing("qemu-img", "qemu-io", "tar") !== "", missing("qemu-img", "qemu-io", "tar"));

const axe = readFileSync("node_modules/axe-core/axe.min.js", "utf8");

interface Finding {
  readonly impact?: string | null;
  readonly id: string;
  readonly nodes: readonly { readonly target: readonly unknown[]; readonly failureSummary?: string }[];
}
interface Axe {
  run(): Promise<{ readonly violations: readonly Finding[] }>;
}

/** No finding of weight, and nothing that has to be scrolled sideways. */
async function expectAccessible(page: Page, screen: string): Promise<void> {
  // A colour that is still fading in has too little contrast for a moment.
  await page.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {}))));
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: Axe }).axe.run());
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const lines = grave.map(({ impact, id, nodes }) => `${impact} ${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
  expect.soft(lines, `${screen}: axe`).toEqual([]);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect.soft(overflow, `${screen}: wider than the window, px`).toBeLessThanOrEqual(0);
}

let image = "";
let broken = "";
let vault = "";
let archive = "";
let machine: MachineFolder = { path: "", disks: [] };
test.beforeAll(({ folder }) => {
  const raw = join(folder, "disk.raw");
  writeRawDisk(raw, 6);
  image = join(folder, "web.vmdk");
  convert(raw, image, "vmdk");
  broken = join(folder, "letter.qcow2");
  writeFileSync(broken, noise(100_000, 3));
  machine = writeMachine(folder, raw);
  vault = join(folder, "vault.qcow2");
  writeEncrypted(raw, vault, "open sesame");
  writeMiscounted(raw, join(folder, "worn.qcow2"));
  writeRawDisk(raw, 6, 5);
  convert(raw, join(folder, "other.vdi"), "vdi");
  archive = writeTar(folder, "disks.tar", "worn.qcow2", "other.vdi");
});

const SIZES = { wide: { width: 1280, height: 900 }, narrow: { width: 320, height: 700 } } as const;

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ["light", "dark"] as const) {
    test.describe(`${size}, ${colorScheme}`, () => {
      test.use({ viewport, colorScheme });

      test("start and card", async ({ spindle }) => {
        await expectAccessible(spindle, "start");
        await openImage(spindle, image);
        await expectAccessible(spindle, "card");
      });
    });
  }
}

for (const [size, viewport, colorScheme] of [
  ["wide", SIZES.wide, "dark"],
  ["narrow", SIZES.narrow, "light"],
] as const) {
  test.describe(`${size}, ${colorScheme}`, () => {
    test.use({ viewport, colorScheme });

    test("options, result, error, network lock and help", async ({ spindle }) => {
      const opened = await openImage(spindle, image);
      await opened.getByText("Options", { exact: true }).click();
      await opened.getByText("The same with qemu-img").click();
      await expectAccessible(spindle, "options");
      await opened.getByRole("button", { name: "Save as download" }).click();
      await waitVerified(opened);
      await expectAccessible(spindle, "result");
      await opened.getByRole("button", { name: "Check", exact: true }).click();
      await expect(opened.getByRole("heading", { name: /No faults found/ })).toBeVisible();
      await expectAccessible(spindle, "check");
      await drop(spindle, broken);
      await expect(card(spindle, "letter.qcow2").getByRole("alert")).toBeVisible();
      await expectAccessible(spindle, "error");
      await spindle.getByRole("button", { name: "Network lock: on" }).click();
      await expect(spindle.getByRole("dialog", { name: "Network lock" })).toBeVisible();
      await expectAccessible(spindle, "network lock");
      await spindle.keyboard.press("Escape");
      await expect(spindle.getByRole("dialog")).toHaveCount(0);
      await spindle.getByRole("link", { name: "Help", exact: true }).click();
      await expect(spindle.getByRole("heading", { name: "Which format?" })).toBeVisible();
      await expectAccessible(spindle, "help");
    });
  });
}

for (const [size, viewport, colorScheme] of [
  ["wide", SIZES.wide, "light"],
  ["narrow", SIZES.narrow, "dark"],
] as const) {
  test.describe(`${size}, ${colorScheme}`, () => {
    test.use({ viewport, colorScheme });

    test("passphrase, choice, faults, repair, comparison and exact size", async ({ spindle }) => {
      await drop(spindle, vault);
      const locked = card(spindle, "vault.qcow2");
      await locked.getByLabel("Passphrase", { exact: true }).fill("wrong");
      await locked.getByRole("button", { name: "Unlock" }).click();
      await expect(locked.getByText("This is not the passphrase.", { exact: false })).toBeVisible();
      await expectAccessible(spindle, "passphrase");
      await locked.getByRole("button", { name: "Close vault.qcow2" }).click();

      await drop(spindle, archive);
      await expect(card(spindle, "disks.tar").getByRole("button", { name: "worn.qcow2" })).toBeVisible();
      await expectAccessible(spindle, "choice");
      await card(spindle, "disks.tar").getByRole("button", { name: "Open all of them" }).click();

      const worn = card(spindle, "disks.tar: worn.qcow2");
      await expect(card(spindle, "disks.tar: other.vdi").getByRole("button", { name: /^Convert to/ })).toBeEnabled();
      await worn.getByRole("button", { name: "Check", exact: true }).click();
      await worn.getByRole("button", { name: "Repair into a copy…" }).click();
      await worn.getByRole("button", { name: "Compare with disks.tar: other.vdi" }).click();
      await expect(worn.getByRole("heading", { name: /^They differ first/ })).toBeVisible();
      await worn.getByRole("button", { name: "Work out the exact size" }).click();
      await expect(worn.getByText(/exactly [\d,]+\sbytes/)).toBeVisible();
      await worn.getByText("Options", { exact: true }).click();
      await worn.getByText("Advanced", { exact: true }).click();
      await expectAccessible(spindle, "faults, repair, comparison and exact size");
    });
  });
}

for (const [size, viewport, colorScheme] of [
  ["wide", SIZES.wide, "light"],
  ["wide", SIZES.wide, "dark"],
  ["narrow", SIZES.narrow, "light"],
  ["narrow", SIZES.narrow, "dark"],
] as const) {
  test.describe(`${size}, ${colorScheme}`, () => {
    test.use({ viewport, colorScheme });

    test("a chain, an older point in time, a broken chain, target, size, layers and steps", async ({ spindle }) => {
      const [base = "", , top = ""] = machine.disks;
      await drop(spindle, machine.path);
      const opened = card(spindle, "web-000002.vmdk");
      await expect(opened.getByRole("button", { name: /^Convert to/ })).toBeEnabled();
      await expectAccessible(spindle, "chain");
      await opened.getByRole("radio").nth(1).click();
      await expect(opened.getByRole("radio").nth(1)).toBeChecked();
      await expect(opened.getByRole("button", { name: /^Convert to/ })).toBeEnabled();
      await opened.getByText("Size and free space").click();
      await opened.getByText("Options", { exact: true }).click();
      await expect(opened.getByRole("radio", { name: "Keep the layers: one file each" })).toBeVisible();
      await opened.getByRole("checkbox", { name: "Leave out free space" }).check();
      const field = opened.getByLabel("Virtual size", { exact: true });
      await expect(opened.getByText(/^At least/)).toBeVisible();
      await field.fill("1 MiB");
      await field.press("Enter");
      await expect(opened.getByText(/^Too small/)).toBeVisible();
      await expectAccessible(spindle, "older point, size that is too small, layers");
      await field.fill("20 MiB");
      await field.press("Enter");
      await choosePreset(opened, "openstack");
      await opened.getByText("What OpenStack (Glance) asks for").click();
      await expectAccessible(spindle, "target and its rules");
      await opened.getByRole("button", { name: "Save as download" }).click();
      await waitVerified(opened);
      await expect(opened.getByRole("region", { name: /^Import into/ })).toBeVisible();
      await expectAccessible(spindle, "steps");
      await drop(spindle, base, top);
      await expect(spindle.getByRole("alert")).toContainText("is missing");
      await expect(card(spindle, "web.vmdk").getByRole("button", { name: /^Convert to/ })).toBeEnabled();
      await expectAccessible(spindle, "broken chain");
    });
  });
}

test("from start to result by keyboard alone", async ({ page }) => {
  await openStart(page);
  const press = async (name: RegExp) => {
    const button = page.getByRole("button", { name });
    for (let i = 0; i < 40 && !(await button.evaluate((element) => element === document.activeElement)); i++)
      await page.keyboard.press("Tab");
    await expect(button).toBeFocused();
    await page.keyboard.press("Enter");
  };
  await press(/^Try a sample$/);
  await expect(page.getByRole("button", { name: "Save as download" })).toBeEnabled();
  await press(/^Save as download$/);
  await waitVerified(page.getByRole("article"));
  await expect(page.getByRole("heading", { name: "Done" })).toBeFocused();
});
