import { signal } from "@preact/signals";
import { anyJobRuns } from "../../platform/window/job-locks.ts";
import { type Attempt, policiesInForce, testAddress, tryFromPage } from "../../platform/window/network-test.ts";
import { reloadOnceToLock, startServiceWorker } from "../../platform/window/service-worker.ts";
import { updateWaits } from "./app-update.ts";
import { engine } from "./engine.ts";
import { entries } from "./images.ts";
import { taking } from "./intake.ts";

/**
 * - `checking`: attempts are under way.
 * - `reload`: the service worker is ready, but this page was loaded before it; one reload brings the lock.
 * - `on`: attempts from page and worker were refused by the browser.
 * - `off`: an attempt went through, or the browser has no service workers.
 */
export type LockState = "checking" | "reload" | "on" | "off";

export interface LockReport {
  readonly state: LockState;
  readonly attempts: readonly Attempt[];
  readonly policies: readonly string[];
  /** The app is stored and opens without a network. */
  readonly offline: boolean;
}

export const networkLock = signal<LockReport>({ state: "checking", attempts: [], policies: [], offline: false });

/** Registers the service worker, reloads once when that is what is missing, and tries the lock. */
export async function bringLock(): Promise<void> {
  const control = await startServiceWorker(() => {
    updateWaits.value = true;
  });
  const offline = control !== "unavailable";
  if (control === "ready" && !crossOriginIsolated) {
    const idle = entries.value.length === 0 && !taking.value && !(await anyJobRuns());
    if (idle && reloadOnceToLock()) return;
    networkLock.value = { state: "reload", attempts: [], policies: [], offline };
    return;
  }
  await testLock(offline);
}

/** Tries again; the panel offers it. */
export async function testLock(offline = networkLock.value.offline): Promise<void> {
  networkLock.value = { ...networkLock.value, state: "checking", offline };
  const page = await tryFromPage();
  const attempts = page.some((attempt) => attempt.refusal === null) ? page : [...page, await tryFromWorker()];
  const on = attempts.every((attempt) => attempt.refusal !== null) && attempts.some((attempt) => attempt.where === "worker");
  networkLock.value = { state: on ? "on" : "off", attempts, policies: policiesInForce(), offline };
}

async function tryFromWorker(): Promise<Attempt> {
  const how = "fetch";
  try {
    return { where: "worker", how, refusal: await engine().tryNetwork(testAddress()) };
  } catch {
    // The worker itself failed: that proves nothing, so it does not count as a refusal.
    return { where: "worker", how, refusal: null };
  }
}
