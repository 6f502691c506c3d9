import { signal } from "@preact/signals";
import type { GivenFile } from "../../platform/window/given-file.ts";
import { allow } from "../../platform/window/permissions.ts";
import { forgetFile, type RecentFile, readRecentFiles, rememberFile } from "../../platform/window/recent-files.ts";
import type { ImageCard } from "../../workers/engine-api.ts";
import { currentFile } from "./handles.ts";

export const recents = signal<readonly RecentFile[]>([]);

/** Private windows may refuse the store; the page then simply has no list. */
export async function loadRecents(): Promise<void> {
  recents.value = await readRecentFiles().catch(() => []);
}

export async function rememberOpened(handle: FileSystemFileHandle, card: ImageCard): Promise<void> {
  await rememberFile({ handle, name: card.name, size: card.size, format: card.label, when: Date.now() }).catch(() => {});
  await loadRecents();
}

/** Asks for permission again, so call it within a click. Null when it was refused. Throws when the file is gone. */
export async function reopenRecent(recent: RecentFile): Promise<GivenFile | null> {
  if (!(await allow(recent.handle, "read"))) return null;
  return currentFile(recent.handle);
}

export async function forgetRecent(recent: RecentFile): Promise<void> {
  await forgetFile(recent.handle);
  await loadRecents();
}
