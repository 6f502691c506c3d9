import type { OptionSpecs } from "./arguments.ts";
import type { Session } from "./session.ts";

/** A verb: its words in, its exit code out. */
export interface Verb {
  /** What it does, a sentence. */
  readonly summary: string;
  readonly options: OptionSpecs;
  /** What stands behind the options: `SRC DST`. */
  readonly operands: string;
  /** What each exit code means. */
  readonly exits: Readonly<Record<number, string>>;
  /** The exit code of an error. */
  readonly failure: number;
  run(words: readonly string[], session: Session): Promise<number>;
}
