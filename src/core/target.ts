import type { Volume } from "./model.ts";
import type { Compute } from "./ports.ts";

/** A positioned write that a writer asks for; `file` counts into `ImageWriter.files`. Writers never do I/O. */
export interface Write {
  readonly file: number;
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** `data` is always one whole unit (zero-padded past the end of the disk); `packed` is what `encoding` made of one. */
export type Block = { readonly kind: "data"; readonly bytes: Uint8Array } | { readonly kind: "packed"; readonly bytes: Uint8Array };

/**
 * How block workers pack a unit for a writer. `deflate-part`: DEFLATE blocks that end on a byte and are not the last of their stream,
 * then the CRC-32 of the plain bytes as a little-endian u32 (for one gzip stream made of many units).
 */
export interface Encoding {
  readonly codec: "deflate" | "zlib" | "zstd" | "deflate-part";
  /** deflate and zlib: how far back a match may reach, bytes. */
  readonly window: number;
  /** deflate and zlib: look longer for a smaller result. */
  readonly small?: boolean;
  /** The last unit ends where the disk does, instead of being filled up with zeros. */
  readonly cut?: boolean;
  /** `smaller`: a unit that does not shrink arrives as `data`. `always`: every unit arrives packed. */
  readonly keep: "smaller" | "always";
}

/** Turns blocks into writes; a state machine without I/O, so it runs anywhere and tests need no mocks. */
export interface ImageWriter {
  /** Bytes per block: a power of two from 512 B to 2 MiB. */
  readonly unit: number;
  /** Output file names; the first is the one the user chose. */
  readonly files: readonly string[];
  readonly encoding: Encoding | null;
  /** Every write of every file lands exactly where the one before it ended. */
  readonly sequential: boolean;
  /**
   * Called with strictly ascending `index`; a unit never put reads as zero, or, over a base, as the base has it.
   * No place of a file is ever written twice. The writes may refer to the block's bytes: they are to be carried out before those are reused.
   * All of them are taken before the next call; they may be made one by one (a stream writes the zeros between two blocks out).
   */
  put(index: number, block: Block): Iterable<Write>;
  /** Writers of deltas: like `put`, for a unit that reads as zero whatever the base holds. */
  putZero?(index: number): Iterable<Write>;
  /**
   * Tables and headers, lazily (a table may be large), and each file's final size, which is right when all writes have been taken. Called
   * once. `identity`: 16 bytes derived from all of the disk's content, of which ids that are written only now are made; absent, and for
   * ids that a stream has stated before: `TargetSpec.identity`.
   */
  end(identity?: Uint8Array): { readonly writes: Iterable<Write>; readonly sizes: readonly number[] };
}

export interface TargetOption {
  /** qemu-img's name (`cluster_size`). */
  readonly name: string;
  readonly label: string;
  /** One plain line. */
  readonly help: string;
  /** The values it can take, the default first in `initial`; null for free text (an id). */
  readonly choices: readonly { readonly value: string; readonly label: string }[] | null;
  readonly initial: string;
}

/** The image that a delta is written over: what a layer states about its parent. */
export interface Base {
  /** Plain file name: the delta lies in the same folder. */
  readonly name: string;
  /** Format id. */
  readonly format: string;
  /** Virtual size; may differ from the delta's. */
  readonly size: number;
  /** `Volume.identity`, `version` and `details` of the base. */
  readonly identity: string | null;
  readonly version?: Volume["version"];
  readonly details: Volume["details"];
  /** It is a layer over another image itself. */
  readonly isLayer?: boolean;
  /** A raw disk that is cut into several files, of which `name` is the first. */
  readonly isSplit?: boolean;
}

/** What a target image is to be. */
export interface TargetSpec {
  /** Virtual size. */
  readonly size: number;
  /** Name of the main output file. */
  readonly name: string;
  /** Every option of the format, by name; `readOptions` fills in the defaults. */
  readonly options: Readonly<Record<string, string>>;
  /** 16 bytes derived from the disk's size, beginning and end: the seed of ids that have to be stated first, so that output is reproducible. */
  readonly identity: Uint8Array;
  /** The image is to be a delta over this one. Only for formats with `overBase`, and bases that it takes. */
  readonly base?: Base | undefined;
}

/** How the data lies on a disk: the number of units of `unit` bytes (a power of two from 64 KiB to 256 MiB) that hold any. */
export type Occupancy = (unit: number) => number;

/** Something the target cannot carry, told before the work starts. A blocker stops it. */
export interface Loss {
  readonly what: string;
  readonly why: string;
  readonly severity: "note" | "warning" | "blocker";
}

export interface TargetFormat {
  readonly options: readonly TargetOption[];
  /** Limits of the format for this disk; no side effects. */
  losses(spec: TargetSpec): readonly Loss[];
  create(spec: TargetSpec, compute: Compute): ImageWriter;
  /** Ids inside the image are made of all of the disk's content (`ImageWriter.end`), which is hashed for them. */
  readonly contentIds?: boolean;
  /** Present: deltas can be written. Why not over this base and with these options, as losses (blockers); empty when it can be. */
  overBase?(base: Base, spec: Omit<TargetSpec, "identity">): readonly Loss[];
  /** File name extension for these options, where it is not the format's first: `img.gz`. */
  extension?(options: Readonly<Record<string, string>>): string | null;
  /** Format id under which an image written with these options is opened, where that is not the format's own: its wrapping's. */
  readsAs?(options: Readonly<Record<string, string>>): string | null;
  /** Replaces options of value `auto` by what suits how the data lies; without it there are none. */
  settle?(spec: Omit<TargetSpec, "identity">, occupancy: Occupancy): Readonly<Record<string, string>>;
  /** The `qemu-img convert` arguments that ask for the same: `-O vmdk -o subformat=streamOptimized`; null when it cannot. */
  qemuArguments(spec: TargetSpec): readonly string[] | null;
}
