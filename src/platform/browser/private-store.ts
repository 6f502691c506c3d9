import { joined, totalLength } from "../../core/bytes.ts";
import type { ByteSource } from "../../core/model.ts";
import type { ImageSink } from "../../core/ports.ts";
import { fileSource } from "./file-source.ts";
import { failed } from "./write-failure.ts";

/** Everything of ours in the page's private file system lies under this folder. */
const ROOT = "outputs";

interface Part {
  readonly name: string;
  readonly handle: FileSystemFileHandle;
  readonly access: FileSystemSyncAccessHandle;
}

/** Writes into the page's private file system, to be saved as downloads. Workers only. */
export async function createPrivateSink(job: string, names: readonly string[]): Promise<ImageSink> {
  const folder = await jobFolder(job, true);
  const parts: Part[] = [];
  let room = new Uint8Array(0);
  /** One call costs the browser more than a copy of small pieces; the room for them is used again. */
  const gathered = (pieces: readonly Uint8Array[]): Uint8Array => {
    const [only, ...others] = pieces;
    if (only !== undefined && others.length === 0) return only;
    const length = totalLength(pieces);
    if (room.length < length) room = new Uint8Array(length);
    return joined(pieces, room);
  };
  const closeAll = (): void => {
    for (const { access } of parts) access.close();
  };
  try {
    for (const name of names) {
      const handle = await folder.getFileHandle(name, { create: true }).catch(failed(name));
      parts.push({ name, handle, access: await handle.createSyncAccessHandle().catch(failed(name)) });
    }
  } catch (error) {
    closeAll();
    await removeOutput(job);
    throw error;
  }
  return {
    async write(file, at, pieces) {
      const { access, name } = parts[file] as Part;
      const bytes = gathered(pieces);
      try {
        for (let done = 0; done < bytes.length; ) {
          const written = access.write(bytes.subarray(done) as Uint8Array<ArrayBuffer>, { at: at + done });
          // In a private window Chromium answers a write that has no space with its own error number instead of throwing.
          if (written === 0 || written > bytes.length - done) throw new DOMException("nothing more could be written", "QuotaExceededError");
          done += written;
        }
      } catch (cause) {
        failed(name)(cause);
      }
    },
    async close(sizes) {
      parts.forEach(({ access, name }, i) => {
        try {
          access.truncate(sizes[i] as number);
          access.flush();
        } catch (cause) {
          failed(name)(cause);
        }
      });
      closeAll();
      return Promise.all(parts.map(async ({ handle, name }): Promise<ByteSource> => fileSource(await handle.getFile(), name)));
    },
    async commit() {},
    async abort() {
      closeAll();
      await removeOutput(job);
    },
  };
}

export async function outputFiles(job: string, names: readonly string[]): Promise<File[]> {
  const folder = await jobFolder(job, false);
  return Promise.all(names.map(async (name) => (await folder.getFileHandle(name)).getFile()));
}

export async function removeOutput(job: string): Promise<void> {
  const root = await (await navigator.storage.getDirectory()).getDirectoryHandle(ROOT, { create: true });
  await root.removeEntry(job, { recursive: true }).catch(() => {}); // never written
}

/** A tab that was reloaded lets go of its locks and files a moment later; pauses in milliseconds. */
const TIDY_AGAIN_AFTER = [0, 1000, 3000, 10_000];

/** Removes the outputs of all jobs whose lock no tab holds any more. */
export async function removeAbandoned(isAlive: (job: string) => Promise<boolean>): Promise<void> {
  const root = await (await navigator.storage.getDirectory()).getDirectoryHandle(ROOT, { create: true });
  for (const pause of TIDY_AGAIN_AFTER) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    let left = false;
    for await (const name of root.keys()) {
      left = true;
      if (!(await isAlive(name))) await root.removeEntry(name, { recursive: true }).catch(() => {}); // still open: again after a pause
    }
    if (!left) return;
  }
}

async function jobFolder(job: string, create: boolean): Promise<FileSystemDirectoryHandle> {
  const root = await (await navigator.storage.getDirectory()).getDirectoryHandle(ROOT, { create: true });
  return root.getDirectoryHandle(job, { create });
}
