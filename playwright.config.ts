import { chromium, defineConfig } from "@playwright/test";
import { findBrowser } from "./scripts/browser.mjs";

const port = Number(process.env["SPINDLE_E2E_PORT"] ?? 4174);
const url = `http://127.0.0.1:${port}/`;
const own = chromium.executablePath();
const browser = findBrowser(own);

const quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"];
const args = [...quiet, "--disable-sync", ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])];

const ALONE = /(convert|folder|memory)\.spec\.ts$/;

/**
 * Runs against the built page (`node scripts/build.mjs` first), served with its real headers.
 * A whole browser, never the headless shell, which has no real file handles for dropped files.
 */
export default defineConfig({
  testDir: "e2e",
  outputDir: "test-results",
  forbidOnly: Boolean(process.env["CI"]),
  workers: 2,
  fullyParallel: false,
  // Those that measure time and memory, or need the window's focus, run alone, after the others.
  projects: [
    { name: "usual", testIgnore: ALONE },
    { name: "alone", testMatch: ALONE, workers: 1, dependencies: ["usual"] },
  ],
  // A flaky test is to be mended, not to be tried again.
  retries: 0,
  timeout: 60_000,
  reporter: [["list"], ["json", { outputFile: process.env["PLAYWRIGHT_JSON_OUTPUT_FILE"] ?? ".cache/test/e2e.json" }]],
  use: {
    baseURL: url,
    headless: true,
    trace: "retain-on-failure",
    ...(browser === own ? { channel: "chromium" } : {}),
    launchOptions: { args, ...(browser !== null && browser !== own ? { executablePath: browser } : {}) },
  },
  webServer: { command: `node scripts/static-server.mjs dist/page ${port}`, url, reuseExistingServer: false },
});
