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

/** Removes the private copies; downloads that have ended are not touched by it. */
export function releaseOutputs(job: Job): void {
  if (job.outputs.value.length === 0) return;
  job.outputs.value = [];
  void engine().discard(job.number);
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
      file === "disk" ? await engine().blake3(nextJobNumber(), job.request.image, report) : await engine().sha256(job.number, file, report);
    put({ progress: null, text, failure: null });
  } catch (failure) {
    put({ progress: null, text: null, failure });
  }
}
