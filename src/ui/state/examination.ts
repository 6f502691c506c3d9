import { batch } from "@preact/signals";
import type { Range } from "../../core/model.ts";
import type { CheckCard, ImageCard } from "../../workers/engine-api.ts";
import { count } from "../quantities.ts";
import { announce } from "./announcements.ts";
import { engine } from "./engine.ts";
import { type Entry, isBusy, titleOf } from "./entry.ts";
import { entries } from "./images.ts";
import { dismissJob } from "./jobs.ts";
import { isUnsaved } from "./outputs.ts";
import { isReadable, outputStem, requestOf, wholeDisk } from "./target.ts";
import { runTask } from "./tasks.ts";

export function checkImage(entry: Entry, card: ImageCard): Promise<void> {
  return runTask(entry.check, `Checking ${titleOf(entry)}`, async (job, report) => {
    const checked = await engine().check(job, card.image, report);
    announce(verdictOf(checked));
    return checked;
  });
}

/** The result of a check in one sentence. */
export function verdictOf(checked: CheckCard | null): string {
  if (checked === null) return "This format has nothing to check: it is the bytes of the disk and no more.";
  const { corruptions, leaks, findings } = checked.report;
  const parts = [...(corruptions > 0 ? [count(corruptions, "fault")] : []), ...(leaks > 0 ? [count(leaks, "leaked cluster")] : [])];
  if (parts.length > 0) return `${parts.join(" and ")} found.`;
  return findings.length > 0 ? `No faults found; ${count(findings.length, "remark")}.` : "No faults found.";
}

/** The parts of the disk that the last check found at fault. */
export function faultyRanges(entry: Entry): readonly Range[] {
  const outcome = entry.check.value?.outcome ?? null;
  if (outcome === null || "failure" in outcome || outcome.value === null) return [];
  const faults = outcome.value.report.findings.filter(({ severity }) => severity === "corruption");
  return faults.flatMap(({ guest }) => (guest === null ? [] : [guest]));
}

/** Cards whose disks a card can be compared with. */
export function comparable(entry: Entry): readonly Entry[] {
  return entries.value.filter((other) => other !== entry && other.card.value !== null && isReadable(other.card.value));
}

export async function compareWith(entry: Entry, other: Entry): Promise<void> {
  const [first, second] = [entry.card.value, other.card.value];
  if (first === null || second === null) return;
  const titles = [titleOf(entry), titleOf(other)] as const;
  await runTask(entry.comparison, `Comparing ${titles[0]} with ${titles[1]}`, async (job, report) => {
    const comparison = await engine().compare(job, first.image, second.image, report);
    announce(comparison.differsAt === null ? "The two disks are the same." : `They differ first at byte ${comparison.differsAt}.`);
    return { ...comparison, titles };
  });
}

/** Reads and packs everything once, to know how large the files of the plan will be. */
export async function measureExactly(entry: Entry): Promise<void> {
  const request = requestOf(entry);
  if (request === null) return;
  await runTask(entry.exact, `Measuring ${request.name}`, async (job, report) => {
    const sizes = await engine().rehearse(job, request, report);
    announce("The exact size is known.");
    return sizes;
  });
}

/** Why the target cannot be set up anew just now; null when it can. */
export function targetHeldBy(entry: Entry): string | null {
  const job = entry.job.value;
  if (isBusy(job)) return "A conversion of this image is running.";
  return isUnsaved(job) ? "The last result is not downloaded yet." : null;
}

/** Sets the target up for a repaired copy. Throws the reason when the format cannot have one. */
export async function repairIntoCopy(entry: Entry, card: ImageCard): Promise<void> {
  const { format, options, losses } = await engine().repairOptions(card.image);
  if (targetHeldBy(entry) !== null) return;
  dismissJob(entry);
  const stem = outputStem(entry).replace(/-(converted|repaired)$/, "");
  batch(() => {
    entry.format.value = format;
    entry.options.value = options;
    entry.preset.value = "";
    entry.size.value = null;
    entry.sizeFault.value = null;
    entry.slim.value = false;
    wholeDisk(entry);
    entry.stem.value = `${stem}-repaired`;
    entry.repair.value = losses;
  });
  announce("The target is set up for a repaired copy.");
}
