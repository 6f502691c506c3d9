import type { Signal } from "@preact/signals";
import type { Progress } from "../../workers/engine-api.ts";
import { announce } from "./announcements.ts";
import { engine, nextJobNumber } from "./engine.ts";
import { isAbort } from "./failures.ts";

/** Something that the engine is doing, under the number by which it can be cancelled. */
export interface Work {
  readonly job: number;
  readonly progress: Progress | null;
}

/** Work on an opened image that writes nothing: a check, a comparison. `outcome` is null while it goes on. */
export interface Task<T> extends Work {
  readonly outcome: { readonly value: T } | { readonly failure: unknown } | null;
}

/** Does `work` and keeps its state in `place`; nothing when something is under way there. A cancelled task leaves nothing behind. */
export async function runTask<T>(
  place: Signal<Task<T> | null>,
  title: string,
  work: (job: number, report: (progress: Progress) => void) => Promise<T>,
): Promise<void> {
  if (isUnderWay(place.value)) return;
  const job = nextJobNumber();
  // A last report of progress may come after the result: reports have a channel of their own.
  const put = (task: Task<T> | null) => {
    if (place.value?.job === job && place.value.outcome === null) place.value = task;
  };
  place.value = { job, progress: null, outcome: null };
  announce(`${title}.`);
  try {
    const value = await work(job, (progress) => put({ job, progress, outcome: null }));
    put({ job, progress: null, outcome: { value } });
  } catch (failure) {
    put(isAbort(failure) ? null : { job, progress: null, outcome: { failure } });
    announce(isAbort(failure) ? "Cancelled." : `${title}: this failed.`);
  }
}

export function isUnderWay(task: Task<unknown> | null): boolean {
  return task !== null && task.outcome === null;
}

/** Ends a task that is under way and forgets its result. */
export function dropTask<T>(place: Signal<Task<T> | null>): void {
  const task = place.peek();
  if (task === null) return;
  if (isUnderWay(task)) void engine().cancel(task.job);
  place.value = null;
}
