import { signal } from "@preact/signals";
import { anyJobRuns } from "../../platform/window/job-locks.ts";
import { takeUpdate } from "../../platform/window/service-worker.ts";

/** A new version is stored and waits for the user. */
export const updateWaits = signal(false);
/** It was asked for while a tab was converting. */
export const updateHeld = signal(false);

/** Never while any tab converts: taking over reloads the page. */
export async function update(): Promise<void> {
  updateHeld.value = await anyJobRuns();
  if (!updateHeld.value) takeUpdate();
}
