/** A file that the user gave, with its handle where the browser has one (so that it can be found again on a later visit). */
export interface GivenFile {
  readonly file: File;
  readonly handle: FileSystemFileHandle | null;
  /** Where it lay in the folder that was given: "vm/Snapshots/a.vdi"; absent for a file given by itself. */
  readonly path?: string;
}

/** Files that came together. `folder` is true when they were found in a folder rather than named one by one. */
export interface GivenFiles {
  readonly files: readonly GivenFile[];
  readonly folder: boolean;
}

/** How many files of a folder are looked at; a VM folder has tens. */
const MAX_FILES = 5000;
const MAX_DEPTH = 6;

export async function filesOfDirectory(directory: FileSystemDirectoryHandle): Promise<GivenFile[]> {
  const found: GivenFile[] = [];
  await walk(directory, directory.name, 0, found);
  return found;
}

async function walk(directory: FileSystemDirectoryHandle, path: string, depth: number, found: GivenFile[]): Promise<void> {
  for await (const child of directory.values()) {
    if (found.length >= MAX_FILES) return;
    const inside = `${path}/${child.name}`;
    if (child.kind === "file") found.push({ file: await child.getFile(), handle: child, path: inside });
    else if (depth < MAX_DEPTH) await walk(child, inside, depth + 1, found);
  }
}

/** The same by the older, read-only directory entries; without the files whose paths are known already. */
export async function filesOfEntry(root: FileSystemEntry, known: ReadonlySet<string | undefined> = new Set()): Promise<GivenFile[]> {
  const found: GivenFile[] = [];
  const visit = async (entry: FileSystemEntry, depth: number): Promise<void> => {
    if (found.length >= MAX_FILES) return;
    const path = entry.fullPath.replace(/^\//, "");
    if (isFileEntry(entry)) {
      if (known.has(path)) return;
      const file = await new Promise<File>((resolve, reject) => entry.file(resolve, reject));
      found.push({ file, handle: null, path });
    } else if (isDirectoryEntry(entry) && depth <= MAX_DEPTH) {
      for (const child of await childrenOf(entry)) await visit(child, depth + 1);
    }
  };
  await visit(root, 0);
  return found;
}

async function childrenOf(directory: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = directory.createReader();
  const children: FileSystemEntry[] = [];
  // readEntries hands out batches; an empty one ends the list.
  for (;;) {
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (batch.length === 0) return children;
    children.push(...batch);
  }
}

function isFileEntry(entry: FileSystemEntry): entry is FileSystemFileEntry {
  return entry.isFile;
}

function isDirectoryEntry(entry: FileSystemEntry): entry is FileSystemDirectoryEntry {
  return entry.isDirectory;
}
