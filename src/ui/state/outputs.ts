import { signal } from "@preact/signals";
import { download } from "../../platform/window/downloads.ts";
import type { Progress } from "../../workers/engine-api.ts";
import { engine, nextJobNumber } from "./engine.ts";
import type { Job } from "./entry.ts";

/** Fetches the private files of a finished job; the engine keeps other tabs from tidying them away. */
export async function takeOutputs(job: Job): Promise<void> {
  job.outputs.value = await engine().output(job.number);
}

export function downloadOutput(job: Job, index: number): void {
  const file = job.outputs.value[index];
  if (file === undefined) return;
  download(file, job.result.value?.files[index]?.name ?? file.name);
  job.downloaded.value = new Set([...job.downloaded.value, index]);
}

/** A result that lies in the private store only: it would be lost with the card. */
export function isUnsaved(job: Job | null): boolean {
  return job?.outputs.value.some((_, i) => !job.downloaded.value.has(i)) ?? false;
}

/** The written files can still be read (for a checksum). */
export function isKept(job: Job): boolean {
  return job.place.kind !== "private" || job.outputs.value.length > 0;
}

/** Removes the private copies and lets the engine forget the job; finished downloads and picked files are not touched by it. */
export function releaseOutputs(job: Job): void {
  job.outputs.value = [];
  void engine().discard(job.number);
}

/**
 * The user has finished with the card. A private copy whose download was started stays until a later visit tidies it
 * away: the browser may still be reading it, and does not say when it is done.
 */
export function leaveOutputs(job: Job): void {
  if (job.downloaded.value.size === 0 || job.outputs.value.length === 0) releaseOutputs(job);
}

/** Frees what a tab that was closed or crashed has left behind. */
export function tidyPrivateStore(): Promise<void> {
  return engine().tidy();
}

/** Checksums asked for after a job: progress while one is computed, then its hex digits. */
export interface Checksum {
  readonly progress: Progress | null;
  readonly text: string | null;
  readonly failure: unknown;
}

export const checksums = signal<ReadonlyMap<string, Checksum>>(new Map());

export function checksumKey(job: Job, file: number | "disk"): string {
  return `${job.number}/${file}`;
}

/** SHA-256 of a written file, or BLAKE3 of the whole disk. */
export async function computeChecksum(job: Job, file: number | "disk"): Promise<void> {
  const key = checksumKey(job, file);
  const put = (checksum: Checksum) => {
    checksums.value = new Map([...checksums.value, [key, checksum]]);
  };
  put({ progress: null, text: null, failure: null });
  const report = (progress: Progress) => put({ progress, text: null, failure: null });
  try {
    const text =
      file === "disk" ? await engine().blake3(nextJobNumber(), job.request, report) : await engine().sha256(job.number, file, report);
    put({ progress: null, text, failure: null });
  } catch (failure) {
    put({ progress: null, text: null, failure });
  }
}
