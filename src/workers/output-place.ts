import { DiskError } from "../core/errors.ts";
import type { ImageSink } from "../core/ports.ts";
import { createFileSink, createFolderSink } from "../platform/browser/picked-sink.ts";
import { createPrivateSink, outputFiles, removeAbandoned, removeOutput } from "../platform/browser/private-store.ts";
import type { OutputPlace } from "./engine-api.ts";

/** Where one job writes to. */
export interface JobOutput {
  /** A sink for some files; asked once for every image that the job writes. */
  createSink(files: readonly string[]): Promise<ImageSink>;
  /** The files that were written under their final names. */
  files(names: readonly string[]): Promise<readonly File[]>;
  /** Takes away what was finished before the job failed. */
  undo(): Promise<void>;
  /** Removes what lies in the private store, and lets other tabs tidy there. */
  discard(): Promise<void>;
}

/** `stored`: the name of the job's folder in the private store. */
export function openOutput(place: OutputPlace, stored: string): JobOutput {
  const finished: string[] = [];
  let release: (() => void) | null = null;
  const sinkFor = async (files: readonly string[]): Promise<ImageSink> => {
    if (place.kind === "folder") return createFolderSink(place.handle, files, place.replace);
    if (place.kind === "file") {
      if (files.length > 1) throw new DiskError("usage", `this format is written as ${files.length} files: choose a folder`);
      return createFileSink(place.handle);
    }
    release ??= await holdLock(stored);
    return createPrivateSink(stored, files);
  };
  const letGo = (): void => {
    release?.();
    release = null;
  };
  return {
    async createSink(files) {
      const sink = await sinkFor(files);
      return {
        ...sink,
        async commit() {
          await sink.commit();
          finished.push(...files);
        },
      };
    },
    async files(names) {
      if (place.kind === "file") return [await place.handle.getFile()];
      if (place.kind === "folder") return Promise.all(names.map(async (name) => (await place.handle.getFileHandle(name)).getFile()));
      return outputFiles(stored, names);
    },
    async undo() {
      if (place.kind === "folder") for (const name of finished) await place.handle.removeEntry(name).catch(() => {}); // gone already
      if (place.kind === "private") await removeOutput(stored);
      letGo();
    },
    async discard() {
      if (place.kind === "private") await removeOutput(stored);
      letGo();
    },
  };
}

/** Removes what earlier visits left in the private store. */
export async function tidyOutputs(): Promise<void> {
  await removeAbandoned(async (stored) => (await navigator.locks.query()).held?.some((lock) => lock.name === lockName(stored)) ?? false);
}

const lockName = (stored: string): string => `spindle-output:${stored}`;

/** Other tabs see by this lock that the output is still wanted. Resolves, when it is held, to the way to let go of it. */
function holdLock(stored: string): Promise<() => void> {
  return new Promise((held) => {
    void navigator.locks.request(lockName(stored), () => new Promise<void>((release) => held(release)));
  });
}
