import { DiskError } from "../../core/errors.ts";
import type { ImageSink } from "../../core/ports.ts";
import { fileSource } from "./file-source.ts";
import { type StreamOutput, streamOutput } from "./stream-output.ts";
import { failed } from "./write-failure.ts";

/** Outputs that were given up while they closed: the browser puts them in place all the same, and then they are removed. */
const givenUp = new Set<{ readonly handle: FileSystemFileHandle; readonly gone: Promise<void> }>();

/**
 * A file that the user picked. The browser writes into a hidden copy and puts it in place when the stream closes,
 * so before `close` nothing is under the final name; a file that fails its verification is removed again.
 * The same file can be written again when what was given up before has gone.
 */
export async function createFileSink(handle: FileSystemFileHandle): Promise<ImageSink> {
  for (const earlier of [...givenUp]) if (await handle.isSameEntry(earlier.handle)) await earlier.gone;
  const stream = await handle.createWritable().catch(failed(handle.name));
  const output = streamOutput(stream, handle.name);
  let closing: Promise<void> | null = null;
  return {
    write: (_file, at, given, copied) => output.write(at, given, copied),
    async close([size], signal) {
      closing = output.close(size as number);
      await unlessAborted(closing, signal);
      return [fileSource(await handle.getFile())];
    },
    async commit() {},
    async abort(reason) {
      if (closing === null) {
        await stream.abort(reason).catch(() => {}); // already errored: nothing was put in place
        return;
      }
      // Closing cannot be called off; the file goes as soon as it is there, and the job need not wait for that.
      const gone = closing.then(() => handle.remove()).catch(() => {}); // closing failed: nothing was put in place
      const one = { handle, gone };
      givenUp.add(one);
      void gone.then(() => givenUp.delete(one));
    },
  };
}

/**
 * Files in a folder that the user picked: under temporary names until they are found right.
 * Files that have the final names already are refused, or with `replace` removed just before the renaming.
 */
export async function createFolderSink(folder: FileSystemDirectoryHandle, names: readonly string[], replace: boolean): Promise<ImageSink> {
  if (!replace) for (const name of names) await requireFree(folder, name);
  const mark = crypto.randomUUID().slice(0, 8);
  const parts: FolderPart[] = [];
  const abort = async (reason: unknown): Promise<void> => {
    for (const { handle, stream } of parts) {
      await stream.abort(reason).catch(() => {}); // closed already, or errored
      await folder.removeEntry(handle.name).catch(() => {}); // never came to be
    }
  };
  try {
    for (const name of names) {
      const handle = await folder.getFileHandle(`${name}.${mark}.part`, { create: true }).catch(failed(name));
      const stream = await handle.createWritable().catch(failed(name));
      parts.push({ name, handle, stream, output: streamOutput(stream, name) });
    }
  } catch (error) {
    await abort(error);
    throw error;
  }
  let closing: Promise<unknown> | null = null;
  return {
    write: (file, at, given, copied) => (parts[file] as FolderPart).output.write(at, given, copied),
    async close(sizes, signal) {
      const each = parts.map(({ output }, i) => output.close(sizes[i] as number));
      closing = Promise.allSettled(each);
      await unlessAborted(Promise.all(each), signal);
      return Promise.all(parts.map(async ({ name, handle }) => fileSource(await handle.getFile(), name)));
    },
    async commit() {
      const [main, ...others] = parts.map(({ name, handle }) => async (): Promise<void> => {
        if (replace) await folder.removeEntry(name).catch(() => {}); // was not there
        await handle.move(name).catch(failed(name));
      });
      // Renaming reads a file once more, as closing does: several at once take little longer than one.
      const renamed = await Promise.allSettled(others.map((rename) => rename()));
      for (const result of renamed) if (result.status === "rejected") throw result.reason;
      // The main file last: it never stands there without the files that it names.
      await main?.();
    },
    async abort(reason) {
      if (closing === null) await abort(reason);
      else void closing.then(() => abort(reason));
    },
  };
}

interface FolderPart {
  readonly name: string;
  readonly handle: FileSystemFileHandle;
  readonly stream: FileSystemWritableFileStream;
  readonly output: StreamOutput;
}

/** The browser's closing takes seconds per gigabyte and cannot be called off: an abort does not wait for it. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    if (signal.aborted) reject(signal.reason);
    work.then(resolve, reject);
  });
}

async function requireFree(folder: FileSystemDirectoryHandle, name: string): Promise<void> {
  const taken = await folder.getFileHandle(name).then(
    () => true,
    () => false,
  );
  if (taken) throw new DiskError("usage", `${name} is already in that folder; choose another name or folder`, { file: name });
}
