import { isSame, namesTaken } from "../../platform/window/permissions.ts";
import { canPickOutput, pickFiles, pickOutputFile, pickOutputFolder } from "../../platform/window/pickers.ts";
import type { ConvertRequest, OutputPlace, PlanCard } from "../../workers/engine-api.ts";
import { type Entry, isBusy, type Job } from "./entry.ts";
import { addFiles } from "./images.ts";
import { SameFileError, startJob } from "./jobs.ts";
import { requestOf } from "./target.ts";
import { dropTask, isUnderWay } from "./tasks.ts";

/** Why the conversion cannot start, in words; null when it can. */
export function blockedBy(entry: Entry): string | null {
  // Until another layer is open, the plan is that of the one before.
  if (entry.opening.value !== null) return "Opening the chosen disk…";
  if (entry.sizeFault.value !== null) return "The size below has to be put right first.";
  if (entry.shape.value === "delta" && entry.base.value === null) return "Choose the image that the result is to lie over.";
  const plan = entry.plan.value;
  if (plan === null) return entry.planFailure.value === null ? "Working out the plan…" : "There is no plan: see the error.";
  const isBlocked = [...plan.changes, ...plan.losses].some((loss) => loss.severity === "blocker");
  return isBlocked ? "It cannot be done as it is chosen: see above." : null;
}

/**
 * Within a click. `chosen` asks where to write: a file, or a folder when several files come out.
 * `download` writes to the page's private store, to be saved as downloads.
 */
export async function convert(entry: Entry, how: "chosen" | "download"): Promise<void> {
  const request = requestOf(entry);
  const plan = entry.plan.value;
  if (request === null || plan === null || blockedBy(entry) !== null || isBusy(entry.job.value) || starting.has(entry)) return;
  entry.question.value = null;
  if (isUnderWay(entry.exact.value)) dropTask(entry.exact);
  starting.add(entry);
  try {
    if (how === "download" || !canPickOutput()) void startJob(entry, request, plan, { kind: "private" });
    else if (plan.files.length > 1) await toFolder(entry, request, plan);
    else await toFile(entry, request, plan);
  } catch (failure) {
    entry.planFailure.value = failure;
  } finally {
    starting.delete(entry);
  }
}

/** Cards whose first click still asks where to write: a second click on them starts nothing. */
const starting = new WeakSet<Entry>();

async function toFile(entry: Entry, request: ConvertRequest, plan: PlanCard): Promise<void> {
  const handle = await pickOutputFile(request.name, entry.given.value.handle);
  if (handle === null) return;
  for (const source of sources(entry)) {
    if (await isSame(source, handle)) throw new SameFileError(handle.name);
  }
  void startJob(entry, { ...request, name: handle.name }, plan, { kind: "file", handle });
}

async function toFolder(entry: Entry, request: ConvertRequest, plan: PlanCard): Promise<void> {
  const handle = await pickOutputFolder(entry.given.value.handle);
  if (handle === null) return;
  const taken = await namesTaken(handle, plan.files);
  for (const file of taken) {
    for (const source of sources(entry)) {
      if (await isSame(source, file)) throw new SameFileError(file.name);
    }
  }
  const place: OutputPlace = { kind: "folder", handle, replace: taken.length > 0 };
  const go = () => {
    entry.question.value = null;
    void startJob(entry, request, plan, place);
  };
  if (taken.length === 0) go();
  else entry.question.value = { taken: taken.map((file) => file.name), go };
}

function sources(entry: Entry): readonly FileSystemFileHandle[] {
  const used = new Set(entry.card.value?.files ?? []);
  const companions = entry.companions.value.filter((one) => used.has(one.file.name));
  const own = [entry.given.value, ...companions].flatMap((one) => (one.handle === null ? [] : [one.handle]));
  return entry.base.value === null ? own : [...own, ...sources(entry.base.value)];
}

/** Opens more files with a finished job's settings. Within a click. */
export async function anotherLike(job: Job): Promise<void> {
  const given = await pickFiles();
  if (given === null) return;
  const { format, options, salvage, preset = "", slim = false } = job.request;
  await addFiles(given, { format, options, salvage, preset, slim });
}
