import type { Compute } from "./ports.ts";
import type { TargetFormat } from "./target.ts";

/** Positions and lengths are bytes everywhere, unless a name says sectors or clusters. */
export interface Range {
  readonly start: number;
  readonly length: number;
}

/** Random-access bytes: a File, a private-store handle, a member of an archive, a Node descriptor, a Uint8Array. */
export interface ByteSource {
  /** As the user knows it: a file name, never a path. */
  readonly name: string;
  readonly size: number;
  /**
   * Exactly `length` bytes at `at`; the result belongs to the caller and has a buffer of its own.
   * Past the end is a `corrupt` DiskError (see `checkRange`): zeros are never invented for bytes that should be there.
   */
  read(at: number, length: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
  /** Where a block worker can read the same bytes itself; null when only this thread can. */
  readonly origin: Origin | null;
  /**
   * Where the file may hold something other than zeros, when that is known without reading
   * (a file this program has just written). Ascending, inside the asked range.
   */
  dataRanges?(at: number, length: number): Iterable<Range>;
}

/** A platform's own handle (a File, a path): plain data that can be posted to a worker. Byte 0 of the source is byte `at` there. */
export interface Origin {
  readonly handle: unknown;
  readonly at: number;
}

/**
 * `grain` is VMDK's compressed grain record: first sector u64, byte count u32, then a zlib stream. `summed`: plain bytes, then their
 * Adler-32 as a little-endian u32 (EWF). `fill`: a pattern that is repeated. `xz`: a whole .xz stream. The others are what they are called.
 */
export type CodecId = "deflate" | "zlib" | "zstd" | "grain" | "summed" | "fill" | "bzip2" | "xz" | "lzfse" | "adc";

/** The part of a packed extent that says how its bytes unpack. */
export interface Packing {
  readonly codec: CodecId;
  /** Exactly how many bytes the whole stream must give (the cluster, grain or chunk size). */
  readonly unpacked: number;
  /** `grain` only: the sector number that the record must carry. */
  readonly tag?: number;
}

/** What one volume says about a range of the virtual disk. */
export type Extent =
  /** Not in this volume: ask the parent; without a parent it reads as zero. */
  | { readonly kind: "hole"; readonly start: number; readonly length: number }
  /** Zero whatever the parent holds. */
  | { readonly kind: "zero"; readonly start: number; readonly length: number }
  | RawExtent
  | PackedExtent;

/** Plain bytes at `at` of `files[file]`. The reader has checked that they lie inside the file. */
export interface RawExtent {
  readonly kind: "raw";
  readonly start: number;
  readonly length: number;
  readonly file: number;
  readonly at: number;
}

/** Bytes `skip..skip+length` of what `codec` makes of the bytes at `at`. Any worker can decode it alone. */
export interface PackedExtent extends Packing {
  readonly kind: "packed";
  readonly start: number;
  readonly length: number;
  readonly file: number;
  readonly at: number;
  /** Bytes to hand to the codec, inside the file. An upper bound: a stream may end sooner. */
  readonly packed: number;
  readonly skip: number;
}

export type FileRole = "parent" | "extent" | "data-file";

/** A file that an image names. `name` is verbatim (but see `backingReference`); it is a thing to ask for, never a path to open. */
export interface FileReference {
  readonly role: FileRole;
  readonly name: string;
  /** Identity that the image states for it (CID, UUID), if any. */
  readonly id: string | null;
  /** Further identities, any of which it may have instead of `id`. */
  readonly otherIds?: readonly string[] | undefined;
  /** State of its content (`Volume.version`) that the image was made over, if stated. */
  readonly version?: string | null | undefined;
  /** Seconds since 1970: when it was last changed, as the image states it. */
  readonly changed?: number | undefined;
  /** Format that the image states for it, if any. */
  readonly format: string | null;
}

/** Called when an image names another file; only the caller decides what may be opened. Null: not available. */
export type ResolveFile = (reference: FileReference) => Promise<ByteSource | null>;

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** A remark for people about an image: something unusual that does not stop the work. */
export interface Note {
  readonly text: string;
  readonly severity: "info" | "warning";
}

/** An internal snapshot. Field meanings as in qemu-img's JSON. */
export interface Snapshot {
  readonly id: string;
  readonly name: string;
  readonly vmStateSize: number;
  readonly dateSeconds: number;
  readonly dateNanoseconds: number;
  readonly vmClockNanoseconds: number;
  readonly diskSize: number;
}

/** One image file opened under one format: one layer of a chain. */
export interface Volume {
  readonly format: string;
  /** For people: "streamOptimized", "version 3, zstd". Empty when the format has no variants. */
  readonly variant: string;
  /** Virtual size. */
  readonly size: number;
  /** Allocation unit: cluster, grain, block; 0 when the format allocates nothing (raw, flat). */
  readonly unit: number;
  /** What the extents' `file` counts into. */
  readonly files: readonly ByteSource[];
  readonly parent: FileReference | null;
  /** What a child states in `FileReference.id` of this volume (CID, UUID); null when the format has no such thing. */
  readonly identity: string | null;
  /** Further identities that a child may state of it. */
  readonly otherIdentities?: readonly string[] | undefined;
  /** Id of the state that its content is in, where that is another one than `identity` (which then never changes). */
  readonly version?: string | null | undefined;
  readonly snapshots: readonly Snapshot[];
  /** Id of the internal snapshot that it shows; absent: the active state. */
  readonly snapshot?: string | undefined;
  /** Features that make the data unreadable here; `info` still works, `extents` throws `unsupported`. */
  readonly unsupported: readonly string[];
  readonly notes: readonly Note[];
  readonly encrypted: boolean;
  /** True: no passphrase was given; `extents` throws `passphrase`. */
  readonly locked?: boolean;
  /** What the image was wrapped in, outermost first: "gzip", "tar". */
  readonly wrapping?: readonly string[];
  /** The image itself, when it was wrapped. */
  readonly unwrapped?: Unwrapped;
  /** qemu-img's `format-specific` data, with its field names. */
  readonly details: { readonly [key: string]: Json };
  /**
   * Contiguous, non-empty, starting at `start`, inside `start..start+length`, this layer only.
   * May stop early (to save table I/O or to bound the list); never empty.
   * A damaged table is a DiskError whose `guest` is the range that cannot be known.
   */
  extents(start: number, length: number, signal?: AbortSignal): Promise<readonly Extent[]>;
  /**
   * Compares the checksums over whole files that the image or its wrapping carries: reads them once, from end to end.
   * A mismatch is a `corrupt` DiskError. Absent when there are none.
   */
  verify?(progress: VerifyProgress, signal?: AbortSignal): Promise<void>;
}

/** A file taken out of its wrappings, and what opening it may use. */
export interface Unwrapped {
  readonly file: ByteSource;
  readonly context: OpenContext;
}

/** Bytes read for a checksum, and how many there are. */
export type VerifyProgress = (done: number, total: number) => void;

/** Result of `check`; fields as in qemu-img's JSON. */
export interface CheckReport {
  readonly corruptions: number;
  readonly leaks: number;
  readonly allocatedClusters: number;
  readonly totalClusters: number;
  readonly compressedClusters: number;
  readonly fragmentedClusters: number;
  /** End of the last byte in use, in the first file. */
  readonly imageEndOffset: number;
  /** What is wrong, with file offset and, where data is affected, the guest range. At most 1,000. */
  readonly findings: readonly Finding[];
}
export interface Finding {
  readonly severity: "corruption" | "leak" | "warning";
  readonly text: string;
  readonly at: number | null;
  readonly guest: Range | null;
}

/** What opening an image may use. */
export interface OpenContext {
  readonly resolve: ResolveFile;
  readonly compute: Compute;
  /** An internal snapshot's id or name; undefined: the active state. */
  readonly snapshot?: string | undefined;
  /** For encrypted images. Undefined: none was given; what the headers say can still be told. */
  readonly passphrase?: string | undefined;
  /** Which file of an archive is meant, by its name there. */
  readonly member?: string | undefined;
  /** Take a stream for what it is however much larger than its file it becomes (see `unpackedSource`). */
  readonly anySize?: boolean | undefined;
  /** Format id of what all wrappings together hold, when that is known: then its content is not asked. */
  readonly innerFormat?: string | undefined;
  /** Files among which a parent is looked for by its identity when no file of the stated name has it. */
  readonly candidates?: (() => Promise<readonly ByteSource[]>) | undefined;
  /** Go on over a parent that was changed after its child was made, or is another disk: the child's notes then say so. */
  readonly acceptChangedParents?: boolean | undefined;
  /** Called now and then while a packed stream is gone through to learn its size: packed bytes done, and all of them. */
  readonly onUnpack?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a row of the format table is given besides: the way into what it wraps. */
export interface FormatContext extends OpenContext {
  /** Opens a file that this one holds, under the format that its content shows or under `format`; `wrapping`: what it was taken out of. */
  openInner(file: ByteSource, wrapping: string, context: OpenContext, format?: string): Promise<Volume>;
  /** Whether these first bytes belong to an image format, or to a disk with a partition table or file system. */
  isImage(head: Uint8Array): boolean;
}

/** One row of the format table. */
export interface DiskFormat {
  readonly id: string;
  /** Its files hold images of other formats. */
  readonly wraps?: true;
  readonly label: string;
  readonly extensions: readonly string[];
  /** Where the specification can be found. */
  readonly spec: string;
  /** `head` and `tail` are the first and last 64 KiB (or the whole file). Never throws; says who owns the file, not whether it is sound. */
  probe(head: Uint8Array, tail: Uint8Array): boolean;
  open(file: ByteSource, context: FormatContext): Promise<Volume>;
  /** Whole-image consistency check of the format's own tables; without it every extent is walked and every packed one decoded. */
  check?(file: ByteSource, context: FormatContext, signal?: AbortSignal): Promise<CheckReport>;
  readonly target?: TargetFormat;
}

/** How the entries of one allocation table are to be read (BAT, L2, grain table, block map). */
export interface TableLayout {
  readonly entryBytes: 4 | 8;
  readonly endian: "le" | "be";
  /** Bits of an entry that hold the position. */
  readonly mask: bigint;
  /** position = base + (entry & mask) * scale */
  readonly scale: number;
  readonly base: number;
  /** Bytes of disk per entry: data entries this far apart join into one run. */
  readonly unit: number;
  /** Entries that equal this are holes; null: entries whose masked bits are all zero. */
  readonly hole: bigint | null;
  /** Entries that equal this are zero; null: no such value. */
  readonly zero: bigint | null;
  /** An entry with one of these bits is zero, whatever its position (checked after `packedBits`). */
  readonly zeroBits: bigint;
  /** An entry with one of these bits is left to the caller: a run of its own. */
  readonly packedBits: bigint;
}

export const RUN_HOLE = 0;
export const RUN_ZERO = 1;
export const RUN_DATA = 2;
export const RUN_PACKED = 3;

/** Runs of like entries, as parallel arrays of `length` elements. */
export interface TableRuns {
  readonly length: number;
  /** RUN_HOLE … RUN_PACKED */
  readonly kind: Uint8Array;
  /** First entry of the run and how many; together they cover the table without gaps. */
  readonly first: Uint32Array;
  readonly count: Uint32Array;
  /** Position of the first entry's data; meaningful for RUN_DATA only. Positions past 2^53 come out inexact but large: compare with the file's size. */
  readonly at: Float64Array;
}

/** Allocation table → runs. `table` holds whole entries. The kernel and its twin (`table-runs.ts`) agree exactly. */
export type ScanTable = (table: Uint8Array, layout: TableLayout) => TableRuns;

/** Runs of what several layers show together, as parallel arrays of `length` elements. */
export interface MergedRuns {
  readonly length: number;
  /** The newest layer that holds the run; the number of layers: none does. */
  readonly owner: Uint32Array;
  /** Which of that layer's runs it is a part of. */
  readonly index: Uint32Array;
  readonly end: Float64Array;
}

/**
 * Of several layers, the newest first, which holds each place of a window. A layer's runs lie one behind the other, from the window's
 * start or before it to its end or past it; of each its end is given, as a negative number where the layer has a hole.
 * At most MOST_MERGED_RUNS together. The kernel and its twin (`merge-layers.ts`) agree exactly.
 */
export type MergeLayers = (layers: readonly Float64Array[], start: number, end: number) => MergedRuns;
/** Runs of all layers together that one call of `MergeLayers` takes. */
export const MOST_MERGED_RUNS = 2 ** 17;
