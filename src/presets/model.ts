import type { Loss } from "../core/target.ts";

/** What a preset has to know of a disk. Structurally a part of what `jobs/contents.ts` reads. */
export interface DiskFacts {
  /** Virtual size, bytes. */
  readonly size: number;
  /** Bytes per sector, by which the partition table counts: 512 or 4096; 512 when there is none. */
  readonly sector: number;
  /** Null: nothing was recognised. */
  readonly partitions: PartitionFacts | null;
  /** The disk's name, with or without a file extension; the result is named after it. */
  readonly name: string;
}

export interface PartitionFacts {
  /** "GPT", "MBR", or "none" when a file system starts at the first byte. */
  readonly kind: string;
  readonly entries: readonly EntryFacts[];
}

export interface EntryFacts {
  /** In plain words, as `partitions/types.ts` has them: "EFI system", "Linux swap". */
  readonly type: string;
  /** As `filesystems` names it: "ext4", "ntfs"; null when there is none. */
  readonly fileSystem: string | null;
}

/** What the target asks of an image, for people, and where that is published. */
export interface Rule {
  readonly text: string;
  /** Document, section and address. */
  readonly source: string;
}

/** One thing to do at the target. */
export interface Step {
  readonly text: string;
  /** To be typed, line by line; words in capitals are for the user to replace. */
  readonly commands: readonly string[];
}

export interface Naming {
  /** Every name of the main output file that the target takes. */
  readonly pattern: RegExp;
  /** The same in words, as the end of a sentence: "takes names of …". */
  readonly says: string;
}

/** One target: a row of the table. Data and pure functions. */
export interface Preset {
  readonly id: string;
  readonly label: string;
  /** One plain line. */
  readonly help: string;
  /** Id of the format that is written. */
  readonly format: string;
  /** Options of its writer, where they differ from the defaults. */
  readonly options: Readonly<Record<string, string>>;
  /** More of them for a disk whose partitions are counted in sectors of 4096 bytes; null: the target shows 512 only. */
  readonly largeSectors: Readonly<Record<string, string>> | null;
  /** The virtual size that the target takes for a disk of `bytes`: the same or the next larger one. Never smaller. */
  size(bytes: number): number;
  /** What this target does not take or carry, for the disk as it is. What only its size makes of it is included. */
  losses(facts: DiskFacts): readonly Loss[];
  readonly naming: Naming;
  /** A file name that `naming` takes, from any text. */
  fileName(stem: string): string;
  readonly rules: readonly Rule[];
  /** How to import the file there, in order. */
  steps(fileName: string, facts: DiskFacts): readonly Step[];
}
