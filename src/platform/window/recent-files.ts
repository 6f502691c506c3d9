import { get, update } from "idb-keyval";
import { isSame } from "./permissions.ts";

/** A file opened before. Only its handle is kept, never its bytes. */
export interface RecentFile {
  readonly handle: FileSystemFileHandle;
  readonly name: string;
  readonly size: number;
  readonly format: string;
  readonly when: number;
}

const KEY = "recent-files";
const LIMIT = 12;

export async function readRecentFiles(): Promise<readonly RecentFile[]> {
  return (await get<readonly RecentFile[]>(KEY)) ?? [];
}

export async function rememberFile(file: RecentFile): Promise<void> {
  const others = await without(await readRecentFiles(), file.handle);
  await update<readonly RecentFile[]>(KEY, () => [file, ...others].slice(0, LIMIT));
}

export async function forgetFile(handle: FileSystemFileHandle): Promise<void> {
  const others = await without(await readRecentFiles(), handle);
  await update<readonly RecentFile[]>(KEY, () => others);
}

async function without(files: readonly RecentFile[], handle: FileSystemFileHandle): Promise<RecentFile[]> {
  const same = await Promise.all(files.map((file) => isSame(file.handle, handle)));
  return files.filter((_, i) => same[i] === false);
}
