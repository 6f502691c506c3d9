import type { DiskErrorCode } from "../core/errors.ts";

/**
 * - `missing`: the parent, or a disk that a machine's description names, was not given; `needs` is the name to ask for.
 * - `unreadable`: it was given and cannot be opened; `needs` is set when that is because a file of its own is missing.
 * - `ambiguous`: several files may be the parent; `files` are they.
 * - `mismatch`: the file of the parent's name has another identity: another disk, or (VMDK, VHDX) one that was written to.
 * - `changed`: the parent was written to after its child was made.
 * - `cycle`: the parents lead back to the file; `files` are the ring, each one's parent behind it.
 * - `too-deep`: more layers than are followed.
 * - `size`: the parent's virtual size is another one.
 * - `newer`: the parent's file was changed after the child's, and the format states no identity by which that could be told to matter.
 * - `substituted`: the parent was found by its identity, under another name than the stated one.
 * - `description`: a machine's description cannot be read.
 */
export type ProblemKind =
  | "missing"
  | "unreadable"
  | "ambiguous"
  | "mismatch"
  | "changed"
  | "cycle"
  | "too-deep"
  | "size"
  | "newer"
  | "substituted"
  | "description";

/** Something about a chain that people should know. */
export interface ChainProblem {
  readonly kind: ProblemKind;
  /** `stop`: the chain cannot be read. `confirm`: only when the user accepts a changed parent. `note`: it can. */
  readonly severity: "stop" | "confirm" | "note";
  /** One sentence, without a full stop. */
  readonly message: string;
  /** Path of the given file that it is about: the child, where it is about a parent. */
  readonly file: string;
  /** Exact name of the file to ask for. */
  readonly needs?: string | undefined;
  /** Identity of the file to ask for: it counts, whatever the name. */
  readonly id?: string | undefined;
  /** Paths of the other files concerned. */
  readonly files?: readonly string[] | undefined;
  /** `unreadable`: why. */
  readonly code?: DiskErrorCode | undefined;
}
