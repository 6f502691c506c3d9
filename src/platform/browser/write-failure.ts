import { DiskError, type IoReason } from "../../core/errors.ts";
import { readBlob } from "./file-source.ts";

/** What the browser's refusals mean (fs.spec.whatwg.org; Storage, "quota exceeded"). */
const REASONS: Readonly<Record<string, readonly [text: string, reason: IoReason | undefined]>> = {
  QuotaExceededError: ["the disk is full, or the browser's quota is used up", "disk-full"],
  NotAllowedError: ["the permission to write was not given or has ended", "permission"],
  NoModificationAllowedError: ["another program or tab is writing it", "permission"],
  NotFoundError: ["the file or folder was moved or removed", "file-changed"],
};

export function failed(name: string): (cause: unknown) => never {
  return (cause) => {
    const error = cause instanceof DOMException ? cause : null;
    const [text, reason] = REASONS[error?.name ?? ""] ?? [error?.message ?? String(cause), undefined];
    throw new DiskError("io", `${name} cannot be written: ${text}`, { file: name, reason, cause });
  };
}

/**
 * What a large write may fail with in Chromium when there is no space left: the pipe that carries the data is closed before the reason
 * arrives, and then the end that still held data speaks. Measured: up to one write in twelve of 8 MiB.
 */
const CUT_OFF = { bytes: "AbortError", range: "NotReadableError" } as const;
const READ_AGAIN = 8 << 20;

/** As `failed`, for a write of this data: a range of the file `source` that can still be read did not fail for want of reading it. */
export async function writeFailed(name: string, data: Blob | Uint8Array, source: string, cause: unknown): Promise<never> {
  const kind = data instanceof Blob ? "range" : "bytes";
  if (!(cause instanceof DOMException && cause.name === CUT_OFF[kind])) return failed(name)(cause);
  if (data instanceof Blob)
    for (let at = 0; at < data.size; at += READ_AGAIN) await readBlob(data, source, at, Math.min(READ_AGAIN, data.size - at));
  throw new DiskError("io", `${name} cannot be written: the browser stopped taking data, as it does when the disk is full`, {
    file: name,
    reason: "disk-full",
    cause,
  });
}
