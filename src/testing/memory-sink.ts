import { totalLength } from "../core/bytes.ts";
import type { ImageSink } from "../core/ports.ts";
import { SparseFile } from "./sparse-file.ts";

/** A sink in memory that remembers how it ended. */
export interface MemorySink extends ImageSink {
  readonly files: readonly SparseFile[];
  readonly ended: "open" | "closed" | "committed" | "aborted";
  /** Bytes of which the source has a copy; each was compared with it. */
  readonly copied: number;
}

/** `tamper` may change the files after they were closed and before they are read back. */
export function memorySink(names: readonly string[], tamper: (files: readonly SparseFile[]) => void = () => {}): MemorySink {
  const files = names.map((name) => new SparseFile(name));
  let ended: MemorySink["ended"] = "open";
  let copiedBytes = 0;
  return {
    files,
    get ended() {
      return ended;
    },
    get copied() {
      return copiedBytes;
    },
    async write(file, at, parts, copied) {
      if (copied !== undefined) {
        const there = await Promise.all(copied.map(({ source, at: from, length }) => source.read(from, length)));
        if (Buffer.compare(Buffer.concat(there), Buffer.concat(parts)) !== 0)
          throw new Error(`${copied[0]?.source.name} has other bytes at ${copied.map(({ at: from }) => from)}`);
        copiedBytes += totalLength(parts);
      }
      await new Promise(setImmediate); // as late as a real one, so that a buffer used again too early shows
      let to = at;
      for (const bytes of parts) {
        (files[file] as SparseFile).write(to, bytes);
        to += bytes.length;
      }
    },
    async close(sizes) {
      for (const [i, file] of files.entries()) {
        if (file.size > (sizes[i] as number)) throw new Error(`${file.name} was written past its size`);
        file.truncate(sizes[i] as number);
      }
      ended = "closed";
      tamper(files);
      return files;
    },
    async commit() {
      ended = "committed";
    },
    async abort() {
      ended = "aborted";
    },
  };
}
