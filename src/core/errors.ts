import type { Range } from "./model.ts";

/**
 * - `wrong-format`: the file is not what it was taken for.
 * - `corrupt`: a field or block contradicts the format or the file (truncation too).
 * - `unsupported`: well formed, but a feature that this version does not read or write.
 * - `missing-file`: the image names another file that was not given; `needs` is its name.
 * - `passphrase`: the image is encrypted and no passphrase was given, or a wrong one.
 * - `choice`: the archive holds several images; `choices` are their names.
 * - `io`: the machine failed (permission, disk full, file changed).
 * - `limit`: beyond what Spindle or the target format can carry.
 * - `usage`: the request contradicts itself (an option the format does not have).
 */
export type DiskErrorCode =
  | "wrong-format"
  | "corrupt"
  | "unsupported"
  | "missing-file"
  | "passphrase"
  | "choice"
  | "io"
  | "limit"
  | "usage";

/** Why the machine refused, where a user can do something about it. */
export type IoReason = "disk-full" | "permission" | "file-changed";

export interface ErrorPlace {
  /** Name of the file, as the user knows it. */
  readonly file?: string | undefined;
  /** Byte offset in `file`. */
  readonly at?: number | undefined;
  /** The part of the virtual disk that the failure makes unreadable, in bytes. */
  readonly guest?: Range | undefined;
  /** For `missing-file`: the exact name to ask for. */
  readonly needs?: string | undefined;
  /** For `choice`: what `OpenContext.member` may be. */
  readonly choices?: readonly string[] | undefined;
  /** For `io`. */
  readonly reason?: IoReason | undefined;
  readonly cause?: unknown;
}

/** Every failure a user can meet. Message: `vdi: blockSize is 3, expected a power of two of at least 512`. */
export class DiskError extends Error {
  readonly code: DiskErrorCode;
  readonly file: string | undefined;
  readonly at: number | undefined;
  readonly guest: Range | undefined;
  readonly needs: string | undefined;
  readonly choices: readonly string[] | undefined;
  readonly reason: IoReason | undefined;

  constructor(code: DiskErrorCode, message: string, place: ErrorPlace = {}) {
    super(message, { cause: place.cause });
    this.name = "DiskError";
    this.code = code;
    this.file = place.file;
    this.at = place.at;
    this.guest = place.guest;
    this.needs = place.needs;
    this.choices = place.choices;
    this.reason = place.reason;
  }
}

/** Null where the image is damaged: for readings that have something else to go by. Other errors pass through. */
export async function unlessDamaged<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof DiskError && error.code === "corrupt") return null;
    throw error;
  }
}

/** What of a DiskError crosses a thread: structured clone drops the class and its fields. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly code: DiskErrorCode | null;
  readonly file: string | undefined;
  readonly at: number | undefined;
  readonly guest: Range | undefined;
  readonly needs: string | undefined;
  readonly choices: readonly string[] | undefined;
  readonly reason: IoReason | undefined;
}

export function toPlainError(error: unknown): PlainError {
  const disk = error instanceof DiskError ? error : null;
  const { name, message } = error instanceof Error ? error : { name: "Error", message: String(error) };
  return {
    name,
    message,
    code: disk?.code ?? null,
    file: disk?.file,
    at: disk?.at,
    guest: disk?.guest,
    needs: disk?.needs,
    choices: disk?.choices,
    reason: disk?.reason,
  };
}

export function fromPlainError(plain: PlainError): Error {
  if (plain.code !== null) return new DiskError(plain.code, plain.message, plain);
  const error = new Error(plain.message);
  error.name = plain.name;
  return error;
}
