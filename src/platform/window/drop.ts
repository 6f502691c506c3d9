import { filesOfDirectory, filesOfEntry, type GivenFile, type GivenFiles } from "./given-file.ts";

interface HandleItem {
  getAsFileSystemHandle?(): Promise<FileSystemHandle | null>;
}

/**
 * Makes the whole window a drop target. `hover` tells when files are held over it.
 * Every item is asked for its handle before the first await: the list is emptied as soon as the event handler returns.
 */
export function watchDrops(hover: (over: boolean) => void, dropped: (files: Promise<GivenFiles>) => void): void {
  let depth = 0;
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth += 1;
    hover(true);
  });
  addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    if (depth === 0) hover(false);
  });
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    if (event.dataTransfer !== null) event.dataTransfer.dropEffect = "copy";
  });
  addEventListener("drop", (event) => {
    if (!hasFiles(event) || event.dataTransfer === null) return;
    event.preventDefault();
    depth = 0;
    hover(false);
    dropped(collect(event.dataTransfer));
  });
  addEventListener("paste", (event) => {
    if ((event.clipboardData?.files.length ?? 0) === 0 || event.clipboardData === null) return;
    event.preventDefault();
    dropped(collect(event.clipboardData));
  });
}

function hasFiles(event: DragEvent): boolean {
  return event.dataTransfer?.types.includes("Files") ?? false;
}

async function collect(transfer: DataTransfer): Promise<GivenFiles> {
  const items = Array.from(transfer.items).filter((item) => item.kind === "file");
  const handles = items.map((item) => (item as HandleItem).getAsFileSystemHandle?.().catch(() => null) ?? null);
  const entries = items.map((item) => item.webkitGetAsEntry());
  const plain = items.map((item) => item.getAsFile());
  const files: GivenFile[] = [];
  let folder = false;
  for (let i = 0; i < items.length; i++) {
    const handle = await handles[i];
    const entry = entries[i] ?? null;
    const file = plain[i] ?? null;
    if (isDirectory(handle)) {
      folder = true;
      const listed = await filesOfDirectory(handle);
      // Chromium keeps names such as "12:00.qcow2" out of a handle's list, though not out of the older one.
      const others = entry === null ? [] : await filesOfEntry(entry, new Set(listed.map(({ path }) => path)));
      files.push(...listed, ...others);
    } else if (isFile(handle)) {
      files.push({ file: await handle.getFile(), handle });
    } else if (entry?.isDirectory) {
      folder = true;
      files.push(...(await filesOfEntry(entry)));
    } else if (file !== null) {
      files.push({ file, handle: null });
    }
  }
  return { files, folder };
}

function isDirectory(handle: FileSystemHandle | null | undefined): handle is FileSystemDirectoryHandle {
  return handle?.kind === "directory";
}

function isFile(handle: FileSystemHandle | null | undefined): handle is FileSystemFileHandle {
  return handle?.kind === "file";
}
