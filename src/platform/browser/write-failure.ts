import { DiskError, type IoReason } from "../../core/errors.ts";

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
