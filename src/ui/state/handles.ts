import { DiskError } from "../../core/errors.ts";
import type { GivenFile } from "../../platform/window/given-file.ts";
import { kindOf } from "./failures.ts";

const TEXTS = {
  permission: "cannot be read: the browser does not allow it",
  "file-changed": "is not there any more: it was moved, renamed or removed",
} as const;

/** The file that a handle leads to now. Throws `io` with the file's name when it is gone or may not be read. */
export async function currentFile(handle: FileSystemFileHandle): Promise<GivenFile> {
  try {
    return { file: await handle.getFile(), handle };
  } catch (cause) {
    const kind = kindOf(cause);
    if (kind !== "permission" && kind !== "file-changed") throw cause;
    throw new DiskError("io", `${handle.name} ${TEXTS[kind]}`, { file: handle.name, reason: kind, cause });
  }
}
