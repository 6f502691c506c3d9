import { computed, signal } from "@preact/signals";
import { withJobLock } from "../../platform/window/job-locks.ts";
import { dropJobRecord, type JobRecord, keepJobRecord } from "../../platform/window/job-records.ts";
import { removeIfEmpty } from "../../platform/window/permissions.ts";
import type { ConvertRequest, OutputPlace, PlanCard, Progress } from "../../workers/engine-api.ts";
import { percent } from "../quantities.ts";
import { announce } from "./announcements.ts";
import { engine, nextJobNumber } from "./engine.ts";
import { type Entry, isBusy, type Job, makeJob } from "./entry.ts";
import { isAbort } from "./failures.ts";
import { areInTheWay, lockOf } from "./in-the-way.ts";
import { leaveOutputs, takeOutputs } from "./outputs.ts";
import { createTurns } from "./turns.ts";

/** Jobs that wait or run, in order. */
const queue = signal<readonly Job[]>([]);

export const working = computed(() => queue.value.length > 0);
/** One that was cancelled while it waited stays in the queue until its turn, and does nothing. */
export const jobsAtWork = computed(() => queue.value.filter((job) => isBusy(job) && job.state.value !== "waiting"));
/** The one that reads and writes, while others close or verify. */
export const currentJob = computed(
  () => jobsAtWork.value.findLast((job) => job.progress.value?.phase !== "finish") ?? jobsAtWork.value[0] ?? null,
);

/** The browser closes several files in little more time than the largest of them; each job that reads its file back takes memory. */
const MOST_AT_WORK = 3;
const turns = createTurns<Job>(MOST_AT_WORK, areInTheWay);

/** The same conversion of the same file is at work in another tab. */
export class TakenError extends Error {
  override readonly name = "TakenError";
}

/** The file chosen for the result is the source. */
export class SameFileError extends Error {
  override readonly name = "SameFileError";
}

/** Queues a conversion that `plan` has described. The job is on the entry at once; the promise ends with it and never rejects. */
export function startJob(entry: Entry, request: ConvertRequest, plan: PlanCard, place: OutputPlace): Promise<void> {
  const job = makeJob(nextJobNumber(), entry, request, plan, place);
  entry.job.value = job;
  queue.value = [...queue.value, job];
  return turns.take(job, (passOn) => perform(job, passOn));
}

async function perform(job: Job, passOn: () => void): Promise<void> {
  try {
    // Cancelled while it waited.
    if (job.state.value !== "waiting") return;
    const lock = lockOf(job);
    if (!(await withJobLock(lock, () => run(job, lock, passOn)))) throw new TakenError("another tab converts this file");
  } catch (failure) {
    await fail(job, failure);
  } finally {
    queue.value = queue.value.filter((other) => other !== job);
  }
}

/**
 * While the browser closes a file, drive and processor are free for the next job. A chain writes more files after its first; a layer is
 * compared with its base, which the next job could replace.
 */
const mayPassOn = ({ place, request }: Job): boolean =>
  place.kind !== "private" && request.keepLayers !== true && request.base === undefined;

async function run(job: Job, lock: string, passOn: () => void): Promise<void> {
  const { request } = job;
  const record = recordOf(job, lock);
  job.state.value = "running";
  job.startedAt.value = Date.now();
  job.phaseAt.value = Date.now();
  await keep(record);
  try {
    announce(`Converting to ${job.request.name}.`);
    let tenth = 0;
    const told = (phase: Progress["phase"]) => (jobsAtWork.value.length > 1 ? `${request.name}: ${phaseText(phase)}` : phaseText(phase));
    const result = await engine().run(job.number, job.request, job.place, (progress) => {
      const before = job.progress.value;
      if (before?.phase !== progress.phase) {
        job.phaseAt.value = Date.now();
        tenth = 0;
        announce(`${told(progress.phase)}.`);
      }
      job.progress.value = progress;
      if (progress.phase === "finish" && mayPassOn(job)) passOn();
      const done = Math.floor(percent(progress.done, progress.total) / 10);
      if (done <= tenth || progress.phase === "finish") return;
      tenth = done;
      announce(`${told(progress.phase)}: ${done * 10} percent.`);
      if (progress.phase === "read" && job.state.value === "running") void keep({ ...record, percent: done * 10, when: Date.now() });
    });
    job.result.value = result;
    if (job.place.kind === "private") await takeOutputs(job);
    job.state.value = "done";
    announce(`Done: ${result.files.map((file) => file.name).join(", ")}${result.verified ? ", verified." : "."}`);
  } finally {
    await dropJobRecord(record.id).catch(() => {});
  }
}

async function fail(job: Job, failure: unknown): Promise<void> {
  job.failure.value = failure;
  // The other tab may be writing into this very file.
  const mine = !(failure instanceof TakenError);
  if (mine && job.place.kind === "file") job.leftover.value = !(await removeIfEmpty(job.place.handle));
  job.state.value = "failed";
  announce(isAbort(failure) ? "Cancelled." : "The conversion stopped with an error.");
}

/** The record is a comfort for the next visit: when it cannot be kept (private window), the work goes on without it. */
function keep(record: JobRecord): Promise<void> {
  return keepJobRecord(record).catch(() => {});
}

function recordOf(job: Job, lock: string): JobRecord {
  const { entry, request, place } = job;
  const used = new Set(entry.card.value?.files ?? []);
  return {
    id: crypto.randomUUID(),
    lock,
    source: entry.given.value.file.name,
    sourceHandle: entry.given.value.handle,
    companions: entry.companions.value.flatMap((one) => (one.handle !== null && used.has(one.file.name) ? [one.handle] : [])),
    readAs: entry.readAs.value,
    snapshot: entry.snapshot.value,
    member: entry.member.value,
    format: request.format,
    options: request.options,
    name: request.name,
    salvage: request.salvage,
    ...(request.preset === undefined ? {} : { preset: request.preset }),
    ...(request.size === undefined ? {} : { size: request.size }),
    slim: request.slim === true,
    keepLayers: request.keepLayers === true,
    isDelta: request.base !== undefined,
    acceptChanged: entry.acceptChanged.value,
    place: place.kind,
    outputHandle: place.kind === "private" ? null : place.handle,
    percent: 0,
    when: Date.now(),
  };
}

export async function cancelJob(job: Job): Promise<void> {
  if (job.state.value === "waiting") {
    job.state.value = "stopping"; // so that its turn does not come meanwhile
    await fail(job, new DOMException("cancelled", "AbortError"));
  } else if (job.state.value === "running") {
    job.state.value = "stopping";
    await engine().cancel(job.number);
  }
}

/** Puts a finished or failed job away: the card shows its settings again. */
export function dismissJob(entry: Entry): void {
  const job = entry.job.value;
  if (job === null || isBusy(job)) return;
  leaveOutputs(job);
  entry.job.value = null;
}

const PHASES: Readonly<Record<Progress["phase"], string>> = {
  source: "Checking the source",
  read: "Reading and writing",
  finish: "Closing the file",
  verify: "Verifying: reading the result back",
  hash: "Computing the checksum",
};

export function phaseText(phase: Progress["phase"]): string {
  return PHASES[phase];
}
