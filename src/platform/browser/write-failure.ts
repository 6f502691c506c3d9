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

/** Bytes of a file that the browser was asked to write. */
export interface BlobRange {
  readonly name: string;
  readonly file: Blob;
  readonly at: number;
  readonly length: number;
}

/** As `failed`, for a write of bytes, or of these ranges: if they can still be read, it did not fail for want of reading them. */
export async function writeFailed(name: string, ranges: readonly BlobRange[], cause: unknown): Promise<never> {
  const kind = ranges.length > 0 ? "range" : "bytes";
  if (!(cause instanceof DOMException && cause.name === CUT_OFF[kind])) return failed(name)(cause);
  for (const { name: source, file, at, length } of ranges)
    for (let done = 0; done < length; done += READ_AGAIN) await readBlob(file, source, at + done, Math.min(READ_AGAIN, length - done));
  throw new DiskError("io", `${name} cannot be written: the browser stopped taking data, as it does when the disk is full`, {
    file: name,
    reason: "disk-full",
    cause,
  });
}
