import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { totalLength } from "../../core/bytes.ts";
import { DiskError } from "../../core/errors.ts";
import type { Range } from "../../core/model.ts";
import type { ImageSink } from "../../core/ports.ts";
import { type FileSource, openFileSource, reasonOf } from "./file-source.ts";
import { WrittenRanges } from "./written-ranges.ts";

interface Part {
  readonly name: string;
  readonly final: string;
  readonly temporary: string;
  readonly handle: FileHandle;
  readonly written: WrittenRanges;
}

/**
 * Files in `folder`, written under temporary names and renamed when the job has found them right.
 * `beforeCommit` may still refuse (the source has changed meanwhile).
 */
export async function createFileSink(
  folder: string,
  names: readonly string[],
  beforeCommit: () => Promise<void> = async () => {},
): Promise<ImageSink> {
  const parts: Part[] = [];
  const opened: FileSource[] = [];
  let flushed: Promise<unknown> = Promise.resolve();
  const closeAll = async (): Promise<void> => {
    for (const source of opened) await source.close();
    for (const { handle } of parts) await handle.close();
  };
  const discard = async (): Promise<void> => {
    await flushed;
    await closeAll();
    for (const { temporary } of parts) await rm(temporary, { force: true });
  };
  const removeNow = (): void => {
    for (const { temporary } of parts) rmSync(temporary, { force: true });
  };
  try {
    for (const name of names) parts.push(await openPart(folder, name));
  } catch (error) {
    await discard();
    throw error;
  }
  process.once("exit", removeNow);
  return {
    async write(file, at, pieces) {
      const { written, handle, name } = parts[file] as Part;
      written.add(at, totalLength(pieces));
      await writeAll(handle, pieces, at).catch(failed(name));
    },
    async close(sizes) {
      for (const [i, part] of parts.entries()) await part.handle.truncate(sizes[i] as number).catch(failed(part.name));
      // Flushing goes on while the job reads the files back; its errors are told by `commit`.
      flushed = Promise.allSettled(parts.map((part) => part.handle.datasync()));
      for (const { name, temporary, written } of parts) opened.push(await openWritten(name, temporary, written));
      return opened;
    },
    async commit() {
      await beforeCommit();
      for (const { name, handle } of parts) await handle.datasync().catch(failed(name));
      await closeAll();
      // The main file last: it never stands there without the files that it names.
      for (const { name, temporary, final } of parts.toReversed()) await rename(temporary, final).catch(failed(name));
      process.off("exit", removeNow);
    },
    async abort() {
      await discard();
      process.off("exit", removeNow);
    },
  };
}

/** The pieces, one behind the other, though the system may take fewer bytes at a time than it is given. */
export async function writeAll(handle: Pick<FileHandle, "writev">, pieces: readonly Uint8Array[], at: number): Promise<void> {
  for (let [left, to] = [pieces, at]; left.length > 0; ) {
    const { bytesWritten } = await handle.writev(left, to);
    to += bytesWritten;
    left = behind(left, bytesWritten);
  }
}

/** What is left of the pieces after the first `count` bytes. */
function behind(pieces: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let [first, skip] = [0, count];
  for (; first < pieces.length && skip >= (pieces[first] as Uint8Array).length; first++) skip -= (pieces[first] as Uint8Array).length;
  const left = pieces.slice(first);
  if (skip > 0) left[0] = (left[0] as Uint8Array).subarray(skip);
  return left;
}

async function openPart(folder: string, name: string): Promise<Part> {
  if (name !== basename(name)) throw new DiskError("usage", `“${name}” is not a plain file name`);
  const final = join(folder, name);
  const present = await stat(final).catch(() => null);
  if (present !== null && !present.isFile()) throw new DiskError("io", `${name} exists and is not a regular file`, { file: name });
  const temporary = join(folder, `.spindle-${randomUUID()}.part`);
  const handle = await open(temporary, "wx+").catch(failed(name));
  if (present !== null) await handle.chmod(present.mode & 0o777).catch(failed(name));
  return { name, final, temporary, handle, written: new WrittenRanges() };
}

const failed =
  (name: string) =>
  (cause: NodeJS.ErrnoException): never => {
    throw new DiskError("io", `${name} cannot be written: ${reasonOf(cause)}`, { file: name, cause });
  };

/** A written file for reading back: its holes are known, and the file system's own block count says that they are holes. */
async function openWritten(name: string, path: string, written: WrittenRanges): Promise<FileSource> {
  const source = await openFileSource(path, { name });
  const sparse = source.allocated <= written.total + SLACK;
  if (!sparse) return source;
  await source.close();
  return openFileSource(path, { name, ranges: (at, length): Iterable<Range> => written.within(at, length) });
}

/** Rounding to file-system blocks and its own bookkeeping. */
const SLACK = 1 << 20;
