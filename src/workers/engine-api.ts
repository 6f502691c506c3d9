import type { ChainProblem } from "../chains/index.ts";
import type { CheckReport, Json, Note, Range, Snapshot } from "../core/model.ts";
import type { Loss, TargetOption } from "../core/target.ts";

export type { ChainProblem };

/**
 * What the page asks of the engine worker; plain data in both directions, errors arrive as DiskError (see rpc.ts).
 * Files and handles are handed over (structured clone of a handle), never their bytes.
 */
export interface Engine {
  /** The formats, in the order in which they are to be offered. */
  formats(): Promise<readonly FormatCard[]>;
  /** The targets, in the order in which they are to be offered. */
  presets(): Promise<readonly PresetCard[]>;
  /**
   * Puts the images among some files in order: which lie over which, what is missing, what is to be opened by itself. `job`: for `cancel`.
   * What it found is kept under `FoundCard.search` until `forget`.
   */
  find(job: number, files: readonly GivenCard[]): Promise<FoundCard>;
  forget(search: number): Promise<void>;
  /**
   * Opens an image. `companions` are the other files the user gave: extents, parents and data files are looked up
   * among them by name. Throws `missing-file` (with `needs`) when one is not there, `choice` (with `choices`, for `member`) for an
   * archive of several disks, `passphrase` for a wrong one, and `limit` for a stream that becomes suspiciously large (see `anySize`).
   * `job`: a number the caller chose, for `cancel`. `report`: how far a packed stream has been gone through.
   */
  open(
    job: number,
    file: File,
    companions: readonly File[],
    options: OpenOptions,
    report: (progress: Progress) => void,
  ): Promise<ImageCard>;
  /** Opens a layer that `find` found, with all below it: the disk as it was when that layer was the newest. */
  openLayer(job: number, search: number, layer: number, options: LayerOptions, report: (progress: Progress) => void): Promise<ImageCard>;
  close(image: number): Promise<void>;
  /** The sizes that the disk may safely be given. Reads a few small places; of a disk on which nothing is recognised its whole map. */
  sizeLimits(image: number): Promise<SizeCard>;
  /**
   * Finds where an image differs from a base that it does not lie over, for `ConvertRequest.base`: both are read once. At once where the base
   * is one of its own layers.
   */
  differences(job: number, image: number, base: number, report: (progress: Progress) => void): Promise<void>;
  /** The block map, summed up in `count` cells of equal size (fewer for a small disk). */
  cells(image: number, count: number): Promise<CellMap>;
  /** What lies at a place of the disk, for hovering. */
  extentAt(image: number, at: number): Promise<ExtentCard>;
  /** The file name extension of a target written with these options, without a dot in front: "qcow2", "img.gz". */
  extension(format: string, options: ConvertRequest["options"]): Promise<string>;
  /** Reads only; says what `run` will do. */
  plan(request: ConvertRequest): Promise<PlanCard>;
  /** Does exactly what `plan` said. `job` is a number the caller chose; `report` is called at most ten times a second. */
  run(job: number, request: ConvertRequest, output: OutputPlace, report: (progress: Progress) => void): Promise<ResultCard>;
  /** Ends a running job: what was asked for under its number rejects with an AbortError, after any partial output is gone. */
  cancel(job: number): Promise<void>;
  /** The files of a finished job that went to the private store, to be saved as downloads. */
  output(job: number): Promise<readonly File[]>;
  /** Removes a finished job's files from the private store and forgets it. */
  discard(job: number): Promise<void>;
  /** SHA-256 of one written file, lower-case hex. */
  sha256(job: number, file: number, report: (progress: Progress) => void): Promise<string>;
  /** BLAKE3 of the whole virtual disk that a request writes, as `b3sum` prints for its raw form. */
  blake3(job: number, request: ConvertRequest, report: (progress: Progress) => void): Promise<string>;
  /** Checks an image: its tables, its packed blocks, the checksums it carries. Null: nothing could be wrong with it. */
  check(job: number, image: number, report: (progress: Progress) => void): Promise<CheckCard | null>;
  /** Compares what two opened images show to a guest. */
  compare(job: number, first: number, second: number, report: (progress: Progress) => void): Promise<ComparisonCard>;
  /** Reads and packs as a conversion would, without writing: the exact sizes of its files. */
  rehearse(job: number, request: ConvertRequest, report: (progress: Progress) => void): Promise<readonly number[]>;
  /** How a repaired copy of an image is written: a conversion to its own format. Throws `unsupported` when none can be. */
  repairOptions(image: number): Promise<RepairCard>;
  /** A small disk with a partition table, made here: a VMDK. */
  sample(): Promise<File>;
  /** Removes what earlier visits left in the private store. */
  tidy(): Promise<void>;
  /** Tries a network request from this worker and says how the browser's policy refused it; null when it went through or no policy spoke. */
  tryNetwork(url: string): Promise<string | null>;
}

export interface OpenOptions {
  /** Format id, when the user overrides detection. */
  readonly format?: string;
  /** Internal snapshot, by id or name. */
  readonly snapshot?: string;
  readonly passphrase?: string;
  /** Which file of an archive is meant. */
  readonly member?: string;
  /** Follow a packed stream however large it becomes. */
  readonly anySize?: boolean;
}

export interface LayerOptions extends Pick<OpenOptions, "snapshot" | "passphrase" | "anySize"> {
  /** Go on over a parent that was changed after its child was made, or is another disk. */
  readonly acceptChangedParents?: boolean;
}

/** A file and where it lies in the folder that was given; a lone file's path is its name. */
export interface GivenCard {
  readonly file: File;
  readonly path: string;
}

/** What some files are. Numbers are places in the list that was given. */
export interface FoundCard {
  readonly search: number;
  /** Images that lie over each other, or should. */
  readonly trees: readonly TreeCard[];
  /** To be opened by themselves: whole images, and what should be one and cannot be opened. */
  readonly alone: readonly number[];
  /** Not recognised as an image: an archive, which may hold one, or anything else. */
  readonly others: readonly number[];
}

/** A base and all layers over it; with more than one top it branches. */
export interface TreeCard {
  /** From the base on, each after its parent; a branch is told to its end before the next. */
  readonly layers: readonly LayerCard[];
  /** Id of the top that a machine's description names as its disk now; else of the only one, or of the one changed last. */
  readonly current: number;
  /** Of the whole, as far as it is not in `LayerCard.problems`. */
  readonly problems: readonly ChainProblem[];
}

export interface LayerCard {
  /** For `openLayer`. */
  readonly id: number;
  readonly parent: number | null;
  readonly file: number;
  readonly name: string;
  readonly path: string;
  /** "VMware disk (VMDK)" */
  readonly label: string;
  readonly variant: string;
  /** Virtual size. */
  readonly size: number;
  /** When the file was changed last, seconds since 1970. */
  readonly modified: number | null;
  /** What machines' descriptions call the points in time whose newest layer this is. */
  readonly points: readonly string[];
  /** Machines whose disk this is now. */
  readonly usedBy: readonly { readonly machine: string; readonly slot: string }[];
  readonly problems: readonly ChainProblem[];
}

/** A place that disks are taken to. */
export interface PresetCard {
  readonly id: string;
  readonly label: string;
  /** One plain line. */
  readonly help: string;
  readonly group: "desktop" | "server" | "cloud";
  /** What is written for it. */
  readonly format: string;
  readonly options: { readonly [name: string]: string };
  /** What it asks of an image, and where that is published. */
  readonly rules: readonly { readonly text: string; readonly source: string }[];
}

/** Fields as in jobs/resize.ts. Bytes. */
export interface SizeCard {
  readonly smallest: number;
  /** What limits it, in sentences. */
  readonly because: string;
  readonly sector: number;
  /** What is not in order about the disk's end already. */
  readonly warnings: readonly string[];
}

export interface CheckCard {
  /** Format id of what was checked (inside its wrappings). */
  readonly format: string;
  readonly report: CheckReport;
}

export interface ComparisonCard {
  /** First byte that differs; null: the disks are the same (where one is longer, its tail counts as compared with zeros). */
  readonly differsAt: number | null;
  readonly sizes: readonly [number, number];
  /** Sector and partition of that byte, in words. */
  readonly where: string;
}

export interface RepairCard {
  readonly format: string;
  readonly options: { readonly [name: string]: string };
  readonly losses: readonly Loss[];
}

export interface FormatCard {
  readonly id: string;
  /** "VirtualBox (VDI)" */
  readonly label: string;
  readonly extensions: readonly string[];
  /** Its files hold images of other formats: an archive, a compressed stream. */
  readonly wraps: boolean;
  /** Null: read only. */
  readonly options: readonly TargetOption[] | null;
  /** Layers can be written: an image over another one. */
  readonly layers: boolean;
}

export interface ImageCard {
  /** Handle for later calls. */
  readonly image: number;
  readonly name: string;
  readonly format: string;
  readonly label: string;
  readonly variant: string;
  /** Virtual size, and what the image's files take. Bytes. */
  readonly size: number;
  readonly fileBytes: number;
  /** From the block map: plain data, packed data (as unpacked bytes), and the rest that reads as zero. */
  readonly dataBytes: number;
  readonly packedBytes: number;
  readonly zeroBytes: number;
  /** Names of all files that the image consists of (itself, extents, parents). */
  readonly files: readonly string[];
  /** The layers of its chain, the newest first; one for an image that lies over nothing. */
  readonly owners: readonly OwnerCard[];
  readonly partitions: PartitionCard | null;
  readonly notes: readonly Note[];
  readonly snapshots: readonly Snapshot[];
  /** Non-empty: the data cannot be read, and why. */
  readonly unsupported: readonly string[];
  readonly encrypted: boolean;
  /** Encrypted, and its passphrase was not given: the data cannot be read yet. */
  readonly locked: boolean;
  /** What the image was taken out of, outermost first: "gzip", "tar". */
  readonly wrapping: readonly string[];
  readonly details: { readonly [key: string]: Json };
}

/** A layer and the data of the disk of which it is the newest holder. Bytes, packed ones as unpacked. */
export interface OwnerCard {
  readonly name: string;
  readonly bytes: number;
}

export interface PartitionCard {
  /** "GPT", "MBR"; "none" when a file system starts at the first byte. */
  readonly kind: string;
  readonly entries: readonly {
    readonly start: number;
    readonly length: number;
    /** "EFI system", "Linux", … */
    readonly type: string;
    /** Partition name or file-system label; empty when it has none. */
    readonly name: string;
    /** "ext4", "NTFS", …; null when not recognised. */
    readonly fileSystem: string | null;
  }[];
}

/** Bytes of each kind per cell; all arrays have the same length. Sums to `cellBytes` (the last cell may be shorter). */
export interface CellMap {
  readonly cellBytes: number;
  readonly data: Float64Array;
  readonly packed: Float64Array;
  readonly zero: Float64Array;
  /** Unallocated: no layer holds anything here. */
  readonly hole: Float64Array;
  /** The data and packed data of each of `ImageCard.owners`; empty for an image of one layer. */
  readonly owners: readonly { readonly data: Float64Array; readonly packed: Float64Array }[];
}

export interface ExtentCard extends Range {
  readonly kind: "data" | "packed" | "zero" | "hole";
  /** Place in `ImageCard.owners` of the layer that says so; null for a hole. */
  readonly owner: number | null;
  /** File that holds the bytes, and where; null for zero and hole. */
  readonly file: string | null;
  readonly at: number | null;
}

export interface ConvertRequest {
  readonly image: number;
  readonly format: string;
  /** Only what differs from the defaults. */
  readonly options: { readonly [name: string]: string };
  /** Name of the main output file; empty, with a preset: as the target takes it. */
  readonly name: string;
  /** Zero what cannot be read, and list it, instead of stopping. */
  readonly salvage: boolean;
  /** Id of the target that the disk is for: it settles format and options, and may make the disk larger. */
  readonly preset?: string | undefined;
  /** Virtual size, bytes; absent: as it is. */
  readonly size?: number | undefined;
  /** Leave out what file systems mark as free. */
  readonly slim?: boolean | undefined;
  /** Every layer as an image of its own. Not with `preset`, `size`, `slim` or `base`. */
  readonly keepLayers?: boolean | undefined;
  /** Write a layer over this opened image. Not with `preset`, `size` or `slim`. `differences` has been asked for the two. */
  readonly base?: number | undefined;
}

export interface PlanCard {
  /** Names of the files that will be written, the main one first (of several layers: the newest's). */
  readonly files: readonly string[];
  /** At most this much will be written; exact when nothing is compressed and no data block is all zero. */
  readonly outputBytes: number;
  /** Logical size of the output, which is what the browser's own closing check reads (dense raw: the whole disk). */
  readonly logicalBytes: number;
  readonly dataBytes: number;
  /** Ceiling of buffers and tables in memory. */
  readonly memoryBytes: number;
  /** Virtual size of what is written. */
  readonly size: number;
  /** What the format cannot carry. */
  readonly losses: readonly Loss[];
  /** What another size means, and what the preset's target asks for, cannot use or refuses. */
  readonly changes: readonly Loss[];
  /** Null: nothing is to be left out. */
  readonly slimmed: SlimCard | null;
  /** The same with qemu-img, to copy; null when it cannot. */
  readonly qemuCommand: string | null;
}

/** What leaving out free space saves. Bytes of data as the source has them. */
export interface SlimCard {
  readonly savedBytes: number;
  /** `partition`: null where the file system fills the disk. */
  readonly fileSystems: readonly {
    readonly partition: number | null;
    readonly kind: string;
    readonly freeBytes: number;
    readonly savedBytes: number;
    readonly doubtfulBytes: number;
  }[];
  readonly refused: readonly { readonly partition: number | null; readonly kind: string; readonly why: string }[];
}

/** How to bring a result into the target that it was made for. */
export interface ImportCard {
  readonly label: string;
  readonly steps: readonly { readonly text: string; readonly commands: readonly string[] }[];
}

export type OutputPlace =
  /** A file picked with showSaveFilePicker. One output file only. */
  | { readonly kind: "file"; readonly handle: FileSystemFileHandle }
  /**
   * A folder picked with showDirectoryPicker; written under temporary names, renamed at the end.
   * `replace`: the user has agreed that files of the final names are replaced; otherwise they are refused.
   */
  | { readonly kind: "folder"; readonly handle: FileSystemDirectoryHandle; readonly replace: boolean }
  /** The private store of this page; then saved as downloads. */
  | { readonly kind: "private" };

/**
 * `source`: the source is gone through, to learn the size of a packed stream or to compare its checksums.
 * `finish` is the browser's own closing and checking of a picked file: its length is known, its progress is not.
 */
export type Phase = "source" | "read" | "finish" | "verify" | "hash";

export interface Progress {
  readonly phase: Phase;
  /** Bytes of data, not of virtual size. */
  readonly done: number;
  readonly total: number;
  /** Source bytes per second, lately. */
  readonly rate: number;
  /** Null until it can be told. */
  readonly secondsLeft: number | null;
  /** Place on the disk up to which this phase has come. */
  readonly position: number;
}

export interface ResultCard {
  readonly files: readonly { readonly name: string; readonly size: number }[];
  /** What the source's files take, and what was written. */
  readonly sourceBytes: number;
  readonly outputBytes: number;
  /** The output was read back by its own reader and every block compared equal. */
  readonly verified: boolean;
  /** Lower-case hex; null when hashing the zeros of a huge sparse disk was left for the user to ask for. */
  readonly blake3: string | null;
  readonly seconds: number;
  /** Salvage: what was zeroed, and the text of the report file. */
  readonly lost: readonly (Range & { readonly reason: string })[];
  readonly report: string | null;
  /** Salvage: checksums over whole files of the source that do not match, in words. */
  readonly wrongSums: readonly string[];
  /** What the source's notes warn of: a parent that was accepted though it was changed. */
  readonly warnings: readonly string[];
  /** Null: it was made for no target in particular. */
  readonly steps: ImportCard | null;
}
