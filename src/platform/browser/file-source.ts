import { totalBytes } from "../../blocks/reads.ts";
import type { ReadTogether, WorkerFile } from "../../blocks/worker.ts";
import { checkRange } from "../../core/bytes.ts";
import { DiskError } from "../../core/errors.ts";
import type { ByteSource } from "../../core/model.ts";

/** A File as a source; its origin's handle is the File itself, which workers receive by reference. */
export function fileSource(file: File, name = file.name): ByteSource {
  return {
    name,
    size: file.size,
    origin: { handle: file, at: 0 },
    async read(at, length) {
      checkRange(this, at, length);
      return readBlob(file, name, at, length);
    },
  };
}

/** The browser's part of a block worker. */
export function openBlob(handle: unknown, name: string): WorkerFile {
  return { read: (at, length) => readBlob(handle as Blob, name, at, length), close: () => {} };
}

/** The browser sets up a pipe for each read, which costs as much as reading some MiB; a Blob made of many ranges goes through one. */
export const readBlobRanges: ReadTogether = async (handle, name, ranges) => {
  const [first, ...others] = ranges;
  if (first !== undefined && others.length === 0) return readBlob(handle as Blob, name, first.at, first.length);
  const joined = new Blob(ranges.map(({ at, length }) => (handle as Blob).slice(at, at + length)));
  return readBlob(joined, name, 0, totalBytes(ranges));
};

/** What browsers say of a file that is not there any more as it was (W3C File API, "Errors and Exceptions"). */
const GONE: readonly string[] = ["NotReadableError", "NotFoundError"];

/** Throws "io", with the reason when the file is not there any more as it was. */
export async function readBlob(blob: Blob, name: string, at: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const buffer = await blob
    .slice(at, at + length)
    .arrayBuffer()
    .catch((cause: unknown) => {
      const changed = cause instanceof DOMException && GONE.includes(cause.name);
      const why = changed ? "it was changed, moved or removed since it was opened, or the permission to read it has ended" : String(cause);
      throw new DiskError("io", `${name} cannot be read at byte ${at}: ${why}`, {
        file: name,
        at,
        cause,
        reason: changed ? "file-changed" : undefined,
      });
    });
  if (buffer.byteLength !== length)
    throw new DiskError("io", `${name} became shorter while it was being read`, { file: name, at, reason: "file-changed" });
  return new Uint8Array(buffer);
}
