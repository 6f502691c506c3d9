import type { DiskErrorCode } from "../../core/errors.ts";
import type { Range } from "../../core/model.ts";
import { bytes, offset } from "../quantities.ts";

/** What went wrong, by what the user can do about it. Each has a section of this name on the help page. */
export type FailureKind = DiskErrorCode | "disk-full" | "permission" | "file-changed" | "same-file" | "taken" | "aborted" | "unexpected";

/** What was going on. */
export type During = "open" | "plan" | "run" | "checksum" | "check";

export interface FailureText {
  readonly kind: FailureKind;
  readonly title: string;
  /** The message as the part that failed wrote it. */
  readonly what: string;
  /** File and offset, and the part of the disk that is affected; null when unknown. */
  readonly place: string | null;
  /** What is safe. */
  readonly safe: string;
  /** The one thing to do. */
  readonly advice: string;
}

interface Known {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly file?: unknown;
  readonly at?: unknown;
  readonly guest?: unknown;
  readonly needs?: unknown;
  readonly choices?: unknown;
  readonly reason?: unknown;
}

/** What the browser calls the failures of its own pickers and handles; the engine gives its reasons by name. */
const BY_NAME: Readonly<Record<string, FailureKind>> = {
  QuotaExceededError: "disk-full",
  NotAllowedError: "permission",
  SecurityError: "permission",
  NoModificationAllowedError: "permission",
  NotReadableError: "file-changed",
  InvalidStateError: "file-changed",
  NotFoundError: "file-changed",
};
const REASONS: readonly string[] = ["disk-full", "permission", "file-changed"];

const CODES: readonly string[] = ["wrong-format", "corrupt", "unsupported", "missing-file", "passphrase", "choice", "io", "limit", "usage"];
/** In place of what the browser says itself, which is not for people. */
const PLAIN: Partial<Readonly<Record<FailureKind, string>>> = {
  "disk-full": "There is no space left on the drive, or the browser's own limit is reached.",
  permission: "The browser refused access to the file or folder.",
  "file-changed": "A file was changed, moved or removed since it was chosen.",
};
/** The name that is made up for a parent of which only the UUID is known. */
const NAMELESS = /^\{([0-9a-f-]{36})\}\.vdi$/;
/** What a message says for the terminal only: “(--any-size)”. The page has buttons for it. */
const TERMINAL_HINT = / \(--?[a-z][a-z-]*(?: [A-Za-z]+)?\)/g;

export function kindOf(failure: unknown): FailureKind {
  const { name, code, reason } = known(failure);
  if (name === "AbortError") return "aborted";
  if (name === "TakenError") return "taken";
  if (name === "SameFileError") return "same-file";
  if (typeof code === "string" && CODES.includes(code) && code !== "io") return code as DiskErrorCode;
  if (typeof reason === "string" && REASONS.includes(reason)) return reason as FailureKind;
  if (code === "io") return "io";
  return (typeof name === "string" ? BY_NAME[name] : undefined) ?? "unexpected";
}

const TITLES: Readonly<Record<FailureKind, string>> = {
  "wrong-format": "This file is not a disk image that Spindle knows",
  corrupt: "The image contradicts itself",
  unsupported: "The image uses a feature that Spindle does not read",
  "missing-file": "A file is missing",
  passphrase: "This image is encrypted",
  choice: "There are several disks in this file",
  io: "The file could not be read or written",
  limit: "This is beyond a limit",
  usage: "The settings contradict each other",
  "disk-full": "The drive is full",
  permission: "The browser does not allow access",
  "file-changed": "The file has changed or moved",
  "same-file": "The chosen file is the source",
  taken: "Another tab is doing this conversion",
  aborted: "Cancelled",
  unexpected: "Something unforeseen went wrong",
};

const ADVICE: Readonly<Record<FailureKind, string>> = {
  "wrong-format": "Check that it is the disk itself, not a description or a log of the virtual machine, and that it was copied whole.",
  corrupt: "Compare the file with its original, for it may be an incomplete copy.",
  unsupported: "Convert or copy the image once with the program that made it, with that feature turned off.",
  "missing-file": "Add the file by this exact name, or drop the whole folder.",
  passphrase: "Enter its passphrase. It stays on this machine and is not kept.",
  choice: "Choose the one to open.",
  io: "Check that the drive is connected, then try again.",
  limit: "Choose another target format, or another source.",
  usage: "Change the options and try again.",
  "disk-full": "Free some space or choose another drive, then start again.",
  permission: "Start again and allow access when the browser asks.",
  "file-changed": "Make sure that no virtual machine is using the file, then open it again.",
  "same-file": "Choose another name for the result.",
  taken: "Wait until the other tab is done, or cancel it there.",
  aborted: "Start again whenever you like.",
  unexpected: "Try again. If it happens again, please report it with this text.",
};

const CANCELLED: Readonly<Record<During, string>> = {
  open: "You stopped the reading of this file.",
  plan: "You cancelled the plan.",
  run: "You cancelled the conversion.",
  checksum: "You cancelled the checksum.",
  check: "You cancelled the check.",
};

/** `canSalvage`: the same can be tried again with zeros in place of what cannot be read. */
export function explain(failure: unknown, during: During, leftover = false, canSalvage = false): FailureText {
  const kind = kindOf(failure);
  const [title, advice] = special(failure) ?? [TITLES[kind], ADVICE[kind]];
  const salvage = kind === "corrupt" && canSalvage ? " If it is all there is, turn on “Carry on, zero what cannot be read”." : "";
  return {
    kind,
    title,
    what: kind === "aborted" ? CANCELLED[during] : textOf(failure, kind),
    place: placeOf(failure),
    safe: safety(kind, during, leftover),
    advice: `${advice}${salvage}`,
  };
}

/** Title and advice of failures about which more is known than their kind. */
function special(failure: unknown): readonly [title: string, advice: string] | null {
  const { code, needs } = known(failure);
  if (unpacksTooFar(failure))
    return [
      "This small file unpacks to something very large",
      "A disk that is mostly empty does that, and so does a trap. Unpacking takes time, but no space.",
    ];
  if (code === "wrong-format" && membersOf(failure) !== null)
    return [
      "No file in this archive looks like a disk",
      "If one of them is a disk all the same, choose it: its bytes are then read as they are.",
    ];
  if (code !== "missing-file" || typeof needs !== "string") return null;
  const uuid = namelessParent(failure);
  if (uuid === null) return [`The file “${needs}” is missing`, ADVICE["missing-file"]];
  return [`The VDI whose UUID is ${uuid} is missing`, "Add it, whatever the name of its file is, or drop the whole folder."];
}

function textOf(failure: unknown, kind: FailureKind): string {
  const { code, name, message } = known(failure);
  // An exception of the browser has a number for its code.
  const plain = typeof code !== "string" && typeof name === "string" && BY_NAME[name] === kind ? PLAIN[kind] : undefined;
  const text = typeof message === "string" && message !== "" ? message : String(failure);
  return plain ?? text.replaceAll(TERMINAL_HINT, "");
}

/** The last part of the name of the file that is missing. */
export function missingName(failure: unknown): string | undefined {
  const { code, needs } = known(failure);
  return code === "missing-file" && typeof needs === "string" ? needs.split(/[\\/]/).at(-1) : undefined;
}

/** The UUID of a missing parent of which nothing else is known. */
export function namelessParent(failure: unknown): string | null {
  const { code, needs } = known(failure);
  return code === "missing-file" && typeof needs === "string" ? (NAMELESS.exec(needs)?.[1] ?? null) : null;
}

/** A packed stream became suspiciously large; it can be followed all the same when the user says so. */
export function unpacksTooFar(failure: unknown): boolean {
  const { code, message } = known(failure);
  return code === "limit" && typeof message === "string" && message.includes("(--any-size)");
}

/** The disks that an archive holds, when it is asked which is meant. */
export function choicesOf(failure: unknown): readonly string[] | null {
  const { code, choices } = known(failure);
  return code === "choice" && Array.isArray(choices) ? choices : null;
}

/** The files of an archive that can be chosen: its disks, or any when none of them looks like one. */
export function membersOf(failure: unknown): readonly string[] | null {
  const { choices } = known(failure);
  return Array.isArray(choices) ? choices : null;
}

function safety(kind: FailureKind, during: During, leftover: boolean): string {
  if (kind === "same-file") {
    return "Nothing was converted. A browser may empty a file that is chosen for saving: check that the source is still whole before you go on.";
  }
  if (kind === "taken") return "This tab has written nothing.";
  if (during !== "run") return "Your source file was only read; nothing was written.";
  const rest = leftover
    ? "The file that was being written may still exist: it is not usable and can be deleted."
    : "No partial file is left.";
  return `Your source file was not touched. ${rest}`;
}

function placeOf(failure: unknown): string | null {
  const { file, at, guest, message } = known(failure);
  const parts: string[] = [];
  const isSaid = typeof at !== "number" && typeof message === "string" && typeof file === "string" && message.includes(file);
  if (typeof file === "string" && !isSaid) parts.push(typeof at === "number" ? `${file}, offset ${offset(at)}` : file);
  if (isRange(guest)) parts.push(`affects ${bytes(guest.length)} of the disk from ${offset(guest.start)}`);
  return parts.length === 0 ? null : parts.join("; ");
}

export function isAbort(failure: unknown): boolean {
  return kindOf(failure) === "aborted";
}

function isRange(value: unknown): value is Range {
  return typeof value === "object" && value !== null && "start" in value && "length" in value;
}

function known(failure: unknown): Known {
  return typeof failure === "object" && failure !== null ? failure : {};
}
