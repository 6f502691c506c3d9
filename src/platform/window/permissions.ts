/** Permission methods of file handles; TypeScript's DOM library does not declare them. */
interface PermissionHandle {
  requestPermission?(descriptor: { mode: "read" | "readwrite" }): Promise<PermissionState>;
}

/** Asks again for a handle kept from an earlier visit. Needs a user's gesture; false when refused. */
export async function allow(handle: FileSystemHandle, mode: "read" | "readwrite"): Promise<boolean> {
  const ask = (handle as PermissionHandle).requestPermission;
  if (ask === undefined) return true;
  return (await ask.call(handle, { mode })) === "granted";
}

export async function isSame(a: FileSystemHandle | null, b: FileSystemHandle | null): Promise<boolean> {
  return a !== null && b !== null && (await a.isSameEntry(b));
}

/** Which of `names` the folder already has. */
export async function namesTaken(folder: FileSystemDirectoryHandle, names: readonly string[]): Promise<FileSystemFileHandle[]> {
  const taken: FileSystemFileHandle[] = [];
  for (const name of names) {
    try {
      taken.push(await folder.getFileHandle(name));
    } catch (error) {
      if (!(error instanceof DOMException && error.name === "NotFoundError")) throw error;
    }
  }
  return taken;
}

/**
 * The save picker makes an empty file before a byte is written; when a job ends without a result that file is removed.
 * Anything that holds bytes is left alone. False when a file is still there afterwards.
 */
export async function removeIfEmpty(handle: FileSystemFileHandle): Promise<boolean> {
  try {
    if ((await handle.getFile()).size > 0) return false;
    await (handle as { remove?(): Promise<void> }).remove?.();
    return true;
  } catch (error) {
    return error instanceof DOMException && error.name === "NotFoundError";
  }
}
