import { signal } from "@preact/signals";
import type { Job } from "./entry.ts";
import { cancelJob, currentJob, jobsAtWork } from "./jobs.ts";

/** Work younger than this is stopped without a question. */
const QUESTION_AFTER = 10_000;

/** The job about whose end the user is being asked. */
export const cancelQuestion = signal<Job | null>(null);

export function askToCancel(job: Job): void {
  const young = Date.now() - job.startedAt.value < QUESTION_AFTER;
  if (young || job.state.value === "waiting") void cancelJob(job);
  else cancelQuestion.value = job;
}

export function askToCancelCurrent(): void {
  const job = currentJob.value;
  if (job === null || job.state.value !== "running") return;
  // Of several, the user may have meant another.
  if (jobsAtWork.value.length > 1) cancelQuestion.value = job;
  else askToCancel(job);
}
