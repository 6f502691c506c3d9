import { filesOfDirectory, type GivenFile, type GivenFiles } from "./given-file.ts";

/** The pickers of the File System Access API; TypeScript's DOM library does not declare them. */
interface PickerWindow {
  showOpenFilePicker?(options: { multiple: boolean; id: string }): Promise<FileSystemFileHandle[]>;
  showSaveFilePicker?(options: SaveOptions): Promise<FileSystemFileHandle>;
  showDirectoryPicker?(options: { mode: "read" | "readwrite"; id: string; startIn?: FileSystemHandle }): Promise<FileSystemDirectoryHandle>;
}

interface SaveOptions {
  readonly suggestedName: string;
  readonly id: string;
  readonly startIn?: FileSystemHandle;
  readonly types: readonly { readonly accept: { readonly [mime: string]: readonly string[] } }[];
}

const host = globalThis as unknown as PickerWindow;

/** True when results can be written where the user wants them; otherwise they become downloads. */
export function canPickOutput(): boolean {
  return host.showSaveFilePicker !== undefined && host.showDirectoryPicker !== undefined;
}

/** Null when the user closed the picker. */
export async function pickFiles(): Promise<GivenFiles | null> {
  const open = host.showOpenFilePicker;
  if (open === undefined) return pickByInput(false);
  return unlessClosed(async () => {
    const handles = await open.call(globalThis, { multiple: true, id: "source" });
    const files = await Promise.all(handles.map(async (handle): Promise<GivenFile> => ({ file: await handle.getFile(), handle })));
    return { files, folder: false };
  });
}

export async function pickFolder(): Promise<GivenFiles | null> {
  const open = host.showDirectoryPicker;
  if (open === undefined) return pickByInput(true);
  return unlessClosed(async () => ({
    files: await filesOfDirectory(await open.call(globalThis, { mode: "read", id: "source" })),
    folder: true,
  }));
}

/**
 * Call it within the click: browsers ask for a user's gesture. `near` is the source, so that the picker starts beside it.
 * Only files with the result's own extension are shown: the browser empties a file that is chosen, and a source of
 * another format is then not there to be chosen.
 */
export function pickOutputFile(suggestedName: string, near: FileSystemHandle | null): Promise<FileSystemFileHandle | null> {
  const save = host.showSaveFilePicker;
  if (save === undefined) return Promise.resolve(null);
  const extension = suggestedName.slice(suggestedName.lastIndexOf("."));
  const types = [{ accept: { "application/octet-stream": [extension] } }];
  return unlessClosed(() => save.call(globalThis, { suggestedName, id: "output", types, ...(near === null ? {} : { startIn: near }) }));
}

export function pickOutputFolder(near: FileSystemHandle | null): Promise<FileSystemDirectoryHandle | null> {
  const open = host.showDirectoryPicker;
  if (open === undefined) return Promise.resolve(null);
  return unlessClosed(() => open.call(globalThis, { mode: "readwrite", id: "output", ...(near === null ? {} : { startIn: near }) }));
}

async function unlessClosed<T>(pick: () => Promise<T>): Promise<T | null> {
  try {
    return await pick();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return null;
    throw error;
  }
}

function pickByInput(folder: boolean): Promise<GivenFiles | null> {
  return new Promise((resolve) => {
    const input = document.createElement("input");
    input.type = "file";
    input.multiple = true;
    input.webkitdirectory = folder;
    input.addEventListener("change", () => {
      const given = (file: File): GivenFile => ({ file, handle: null, ...(folder ? { path: file.webkitRelativePath } : {}) });
      resolve({ files: Array.from(input.files ?? [], given), folder });
    });
    input.addEventListener("cancel", () => resolve(null));
    input.click();
  });
}
