import { effect } from "@preact/signals";
import { watchDrops } from "../platform/window/drop.ts";
import type { GivenFiles } from "../platform/window/given-file.ts";
import { onLaunchedFiles } from "../platform/window/launch-queue.ts";
import { guardWork, showOutside } from "../platform/window/work-guard.ts";
import { watchKeys } from "./keys.ts";
import { percent } from "./quantities.ts";
import { entries } from "./state/images.ts";
import { dragging, open } from "./state/intake.ts";
import { currentJob, working } from "./state/jobs.ts";
import { bringLock } from "./state/network-lock.ts";
import { tidyPrivateStore } from "./state/outputs.ts";
import { loadRecents } from "./state/recents.ts";
import { loadUnfinished } from "./state/unfinished.ts";

/** Connects the page to the window: files from outside, keys, title and badge, and what earlier visits left. */
export function start(): void {
  const take = (files: Promise<GivenFiles>) => void open(files);
  watchDrops((over) => {
    dragging.value = over;
  }, take);
  onLaunchedFiles(take);
  watchKeys();
  effect(() => guardWork(working.value));
  effect(() => showOutside(title(), jobPercent()));
  void loadRecents();
  void loadUnfinished();
  // After the lock: what starts the engine before it would start it once more after the reload.
  void bringLock()
    .then(tidyPrivateStore)
    .catch(() => {});
}

function jobPercent(): number | null {
  const progress = currentJob.value?.progress.value ?? null;
  return progress === null || progress.phase === "finish" ? null : percent(progress.done, progress.total);
}

function title(): string {
  const job = currentJob.value;
  if (job !== null) {
    const done = jobPercent();
    return done === null ? `Converting · ${job.request.name} · Spindle` : `${done}% · ${job.request.name} · Spindle`;
  }
  const [first] = entries.value;
  return first === undefined ? "Spindle" : `${first.given.value.file.name} · Spindle`;
}
