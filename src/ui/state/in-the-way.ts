import { jobLockName } from "../../platform/window/job-locks.ts";
import { isSame } from "../../platform/window/permissions.ts";
import type { Job } from "./entry.ts";

/** The lock of one kind of conversion of one file. */
export const lockOf = ({ entry, request }: Job): string => jobLockName(entry.given.value.file, request.preset ?? request.format);

/** Whether one of two jobs would overwrite what the other has written, or is the same work. */
export async function areInTheWay(job: Job, other: Job): Promise<boolean> {
  if (lockOf(job) === lockOf(other)) return true;
  const [a, b] = [job.place, other.place];
  if (a.kind === "private" || b.kind === "private") return false;
  const [names, others] = [namesOf(job), namesOf(other)];
  if (names.some((name) => others.includes(name))) return a.kind !== b.kind || isSame(a.handle, b.handle);
  // To some file systems these are the same names.
  return names.some((name) => others.some((one) => one.toLowerCase() === name.toLowerCase()));
}

const namesOf = ({ place, plan, request }: Job): readonly string[] => (place.kind === "file" ? [request.name] : plan.files);
