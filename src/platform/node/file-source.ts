import { readSync } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { basename } from "node:path";
import { checkRange } from "../../core/bytes.ts";
import { DiskError } from "../../core/errors.ts";
import type { ByteSource, Range } from "../../core/model.ts";

/** A file opened for reading. The origin's handle is its path: block workers open it for themselves. */
export interface FileSource extends ByteSource {
  /** Blocks the file takes on the disk, in bytes (`stat`'s count of 512-byte blocks). */
  readonly allocated: number;
  /** Throws `io` when the file has changed since it was opened. */
  checkUnchanged(): Promise<void>;
  close(): Promise<void>;
}

/** What tells that a path still leads to the same, unchanged file. */
const FACTS = ["dev", "ino", "size", "mtimeMs", "ctimeMs"] as const;

interface OpenOptions {
  /** What errors call it: a file that this program wrote is still under a temporary name. */
  readonly name?: string;
  /** Where it may hold data, for one that this program wrote; absent: anywhere. */
  readonly ranges?: (at: number, length: number) => Iterable<Range>;
}

/** Opens a path; a folder or a device is refused. */
export async function openFileSource(path: string, { name = basename(path), ranges }: OpenOptions = {}): Promise<FileSource> {
  const failed = (cause: NodeJS.ErrnoException): never => {
    throw new DiskError("io", `${name} cannot be opened: ${reasonOf(cause)}`, { file: name, cause });
  };
  // Opening a pipe would wait for its writer.
  if (!(await stat(path).catch(failed)).isFile()) throw new DiskError("io", `${name} is not a regular file`, { file: name });
  const handle = await open(path, "r").catch(failed);
  const opened = await handle.stat();
  if (!opened.isFile()) {
    await handle.close();
    throw new DiskError("io", `${name} is not a regular file`, { file: name });
  }
  const direct = new DirectReads();
  const source: FileSource = {
    name,
    size: opened.size,
    allocated: opened.blocks * 512,
    origin: { handle: path, at: 0 },
    ...(ranges && { dataRanges: ranges }),
    async read(at, length) {
      checkRange(source, at, length);
      return direct.allows(length) ? direct.read(handle, name, at, length) : readExactly(handle, name, at, length);
    },
    async checkUnchanged() {
      const now = await stat(path).catch(() => null);
      if (now === null || FACTS.some((fact) => now[fact] !== opened[fact]))
        throw new DiskError("io", `${name} was changed by another program while it was being read`, { file: name });
    },
    close: () => handle.close(),
  };
  return source;
}

/** Exactly `length` bytes; a short read means that the file shrank. */
export async function readExactly(handle: FileHandle, name: string, at: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = unfilled(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, length - done, at + done).catch((cause) => {
      throw unreadable(name, at + done, cause);
    });
    if (bytesRead === 0) throw shrunk(name, at + done);
    done += bytesRead;
  }
  return bytes;
}

/** Memory that a read fills: zeros first would cost as much as reading a table does. A Buffer would share it when it is sliced. */
const unfilled = (length: number): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);

const unreadable = (file: string, at: number, cause: NodeJS.ErrnoException): DiskError =>
  new DiskError("io", `${file} cannot be read at byte ${at}: ${reasonOf(cause)}`, { file, at, cause });
const shrunk = (file: string, at: number): DiskError => new DiskError("io", `${file} became shorter while it was being read`, { file, at });

/** Tables are no larger; more is better copied beside this thread. */
const DIRECT_BYTES = 64 << 10;
/** Longer than the system takes for bytes that it has in memory. */
const SLOW_MS = 1;
const READS_AFTER_SLOW = 64;
const STRETCH_MS = 20;

/**
 * Small reads on this thread. A trip to another thread and back costs several times what copying a table does, and a chain has
 * thousands of tables. A read that took long came from the drive: those that follow go to threads, where several wait at once.
 */
class DirectReads {
  /** When the last stretch of direct reads, of any file, ended: then events (an interrupt, a timer) have their turn. */
  private static rested = 0;
  private toThreads = 0;

  allows(length: number): boolean {
    if (length > DIRECT_BYTES) return false;
    if (this.toThreads === 0) return true;
    this.toThreads--;
    return false;
  }

  read({ fd }: FileHandle, name: string, at: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = unfilled(length);
    const start = performance.now();
    for (let done = 0; done < length; ) {
      const count = readNow(fd, bytes, done, at, name);
      if (count === 0) throw shrunk(name, at + done);
      done += count;
    }
    const end = performance.now();
    if (end - start > SLOW_MS) this.toThreads = READS_AFTER_SLOW;
    else if (end - DirectReads.rested > STRETCH_MS) {
      this.toThreads = 1;
      DirectReads.rested = end;
    }
    return bytes;
  }
}

function readNow(fd: number, bytes: Uint8Array, done: number, at: number, name: string): number {
  try {
    return readSync(fd, bytes, done, bytes.length - done, at + done);
  } catch (cause) {
    throw unreadable(name, at + done, cause as NodeJS.ErrnoException);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied",
  EPERM: "permission denied",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EFBIG: "the file system does not take files that large",
  EIO: "the disk reports a read or write error",
  EISDIR: "it is a folder",
  EROFS: "the file system is read-only",
  ENOTDIR: "a part of its path is not a folder",
};

export const reasonOf = (error: NodeJS.ErrnoException): string => REASONS[error.code ?? ""] ?? error.message;
