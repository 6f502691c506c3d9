/** Held by a tab while it converts; the name tells two tabs that they are about to do the same work. */
const JOB = "spindle-job:";
export function jobLockName(file: File, target: string): string {
  return `${JOB}${file.name}|${file.size}|${file.lastModified}|${target}`;
}

/** Runs `work` under the lock; false, without running it, when another tab holds the lock. */
export async function withJobLock(name: string, work: () => Promise<void>): Promise<boolean> {
  return navigator.locks.request(name, { ifAvailable: true }, async (lock) => {
    if (lock === null) return false;
    await work();
    return true;
  });
}

export async function heldLocks(): Promise<ReadonlySet<string>> {
  const { held = [] } = await navigator.locks.query();
  return new Set(held.map((lock) => lock.name ?? ""));
}

/** Some tab converts. */
export async function anyJobRuns(): Promise<boolean> {
  return [...(await heldLocks())].some((name) => name.startsWith(JOB));
}
