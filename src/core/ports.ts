import type { ByteSource, MergeLayers, PackedExtent, Packing, Range, RawExtent, ScanTable } from "./model.ts";
import type { Encoding } from "./target.ts";

/** An extent whose `file` is a source that was attached to the pool. */
export type PlacedExtent = RawExtent | PackedExtent;

/**
 * Work for one block worker: read, decode, scan, hash, pack. Plain data, cloneable.
 * The disk is handled in grains of `grain` bytes (at least 64 KiB, a multiple of `unit`), each split into units.
 */
export interface BlockOrder {
  /** Virtual size; the last grain is cut there. */
  readonly diskSize: number;
  readonly grain: number;
  readonly unit: number;
  /** Virtual start of each grain, ascending, multiples of `grain`. */
  readonly grains: readonly number[];
  /** What lies in those grains, ascending; what no extent covers is zero. */
  readonly extents: readonly PlacedExtent[];
  /** BLAKE3 of every 64 KiB of a grain that is not all zero (see BlockResult.hashes). */
  readonly hash: boolean;
  /** Hand back the units; false: only hashes are wanted (verification). */
  readonly units: boolean;
  readonly encoding: Encoding | null;
  /** Zero what cannot be read or decoded and list it in `lost`, instead of failing. */
  readonly salvage: boolean;
}

export interface BlockResult {
  /** Holds the units; owned by the receiver, who gives it back with `release`. */
  readonly buffer: ArrayBuffer;
  /** One entry per unit that is not all zero, ascending: unit number on the disk, place in `buffer`. */
  readonly index: Float64Array;
  readonly offset: Uint32Array;
  readonly length: Uint32Array;
  /** 1: packed by `encoding`; 0: the unit's plain bytes, zero-padded to the whole unit. */
  readonly packed: Uint8Array;
  /** For every 64 KiB that is not all zero: its virtual start, and 32 bytes: its BLAKE3 chaining value (of a disk no larger than that: its BLAKE3). */
  readonly hashAt: Float64Array;
  readonly hashes: Uint8Array;
  /** Ranges of the virtual disk zeroed because they could not be read, with the reason. */
  readonly lost: readonly LostRange[];
  /** Bytes read from sources. */
  readonly read: number;
}
export interface LostRange extends Range {
  readonly reason: string;
}

/** Zeros whose BLAKE3 is wanted, without anything to read. Plain data, cloneable. */
export interface ZeroOrder {
  readonly diskSize: number;
  /** Starts and lengths in whole 64 KiB, but for the disk's last piece. */
  readonly ranges: readonly Range[];
}

/** Workers with WASM; the same results, byte for byte, with any number of them. */
export interface BlockPool {
  /** How many orders may be in flight: workers × buffers each. This is the whole back-pressure. */
  readonly credits: number;
  /** Virtual bytes of an order at most: the larger, the faster files are read; with the credits it bounds the memory. */
  readonly orderBytes: number;
  /** Makes a source readable by the workers; the number stands in extents' `file`. */
  attach(source: ByteSource): number;
  detach(id: number): void;
  process(order: BlockOrder, signal: AbortSignal): Promise<BlockResult>;
  /** 32 bytes for each 64 KiB of the ranges, one behind the other, as in BlockResult.hashes. */
  hashZeros(order: ZeroOrder, signal: AbortSignal): Promise<Uint8Array>;
  /** Gives a result's buffer back, to be used again. */
  release(buffer: ArrayBuffer): void;
  /** One input for all kinds of hashing that the jobs do outside the workers. */
  readonly hasher: Hasher;
}

/** BLAKE3 pieces that run on the calling thread. */
export interface Hasher {
  /** Plain BLAKE3 of a short message, 32 bytes. */
  digest(message: Uint8Array): Uint8Array;
  /** A running BLAKE3 over the disk, fed with the chaining values of its non-zero 64 KiB pieces in ascending order. */
  disk(size: number): DiskHash;
}
/** The BLAKE3 of a whole virtual disk from the hashes of its 64 KiB pieces (BlockResult.hashes). */
export interface DiskHash {
  /** `at` is a multiple of 64 KiB, ascending from call to call; pieces never added are zero. */
  add(at: number, pieceHash: Uint8Array): void;
  /** No piece will be added any more. */
  end(): void;
  /**
   * Gaps of zeros that wait to be hashed (BLAKE3 ties a chunk of zeros to its place, so they cost time too), ascending: before `end` those
   * ahead of the last piece, after it all of them. Each that waits costs memory.
   */
  readonly gaps: readonly Range[];
  /** Hashes of the next zeros that wait, 32 bytes for each 64 KiB. */
  fill(hashes: Uint8Array): void;
  /** 32 bytes; only after `end`, and when nothing waits. */
  finish(): Uint8Array;
}

/** What formats have computed for them; kernels stand behind it. Results are the caller's own, arguments are not kept. */
export interface Compute {
  readonly scanTable: ScanTable;
  readonly mergeLayers: MergeLayers;
  /** `seed`: the sum of the bytes before. */
  crc32(bytes: Uint8Array, seed?: number): number;
  crc32c(bytes: Uint8Array, seed?: number): number;
  adler32(bytes: Uint8Array): number;
  hash(name: HashName): RunningHash;
  /** Unpacks one whole unit of at most 64 MiB: for a format's own tables; a disk's data goes through the block workers. */
  decode(packing: Packing, packed: Uint8Array): Promise<Uint8Array>;
  /** A decoder for one stream, of any length. */
  streamDecoder(codec: StreamCodec): Promise<StreamDecoder>;
  /** Hash of one short message. */
  digest(hash: KeyHash, message: Uint8Array): Promise<Uint8Array>;
  /** PBKDF2 with HMAC (RFC 8018 section 5.2). Takes about a second for every few million iterations and cannot be interrupted. */
  deriveKey(derivation: KeyDerivation): Promise<Uint8Array>;
  /** `key`: 16, 24 or 32 bytes; of XTS two keys of 16 or 32 bytes, one behind the other. */
  sectorCipher(name: SectorCipherName, key: Uint8Array): Promise<SectorCipher>;
}

export type KeyHash = "sha1" | "sha256" | "sha512";
export interface KeyDerivation {
  readonly hash: KeyHash;
  readonly passphrase: Uint8Array;
  readonly salt: Uint8Array;
  readonly iterations: number;
  /** Bytes of key wanted. */
  readonly length: number;
}

/** AES over sectors of 512 bytes, in dm-crypt's words: the chaining mode, and what makes a sector's number its initialization vector (of XTS: its tweak). */
export type SectorCipherName = `${"cbc" | "xts"}-${"plain" | "plain64" | "essiv:sha256"}`;
export interface SectorCipher {
  /** Decrypts whole sectors in place; `first`: the first one's number. */
  decrypt(sectors: Uint8Array, first: number): void;
}

export type HashName = "sha256" | "sha1";
export interface RunningHash {
  update(bytes: Uint8Array): void;
  /** Ends the hash. */
  digest(): Uint8Array;
}

/** `deflate` and `lzma2` are bare streams; the others are file formats, with their headers, checksums and concatenation. */
export type StreamCodec = "deflate" | "gzip" | "bzip2" | "xz" | "zstd" | "lz4";

/** Unpacks one stream piece by piece. Throws DiskError (`at`: offset in the packed stream); memory is bounded by what the stream's header asks for. */
export interface StreamDecoder {
  /**
   * Takes from the front of `input` and fills `output` from its front. `last`: nothing follows `input`. Stops when `output` is full,
   * when it needs more input than it was given (it may leave some untaken, at most 64 KiB: give that again, with more behind it),
   * or when the stream has ended.
   */
  step(input: Uint8Array, last: boolean, output: Uint8Array): StreamStep;
  /** Everything needed to go on from here, later: a copy. */
  save(): StreamState;
  /** Puts this decoder where the one that saved was. */
  restore(state: StreamState): void;
}
export interface StreamStep {
  readonly taken: number;
  readonly given: number;
  /** The stream has ended and its checksums were right. */
  readonly ended: boolean;
  /** With `ended`: something that people should know, such as bytes behind the stream that do not belong to it; else null. */
  readonly remark: string | null;
}
/** Opaque; belongs to the codec that made it. `bytes`: its size, so that callers can bound what they keep. */
export interface StreamState {
  readonly bytes: number;
}

/** Bytes that stand in a file of the source as they are to be written. */
export interface Copied {
  readonly source: ByteSource;
  readonly at: number;
  readonly length: number;
}

/** Where an image goes: the files of one target. The target appears whole under its final names, or not at all. */
export interface ImageSink {
  /** The parts, one behind the other. `copied`: where the source has all of the same bytes, for a sink that need not touch them to copy them. */
  write(file: number, at: number, parts: readonly Uint8Array[], copied?: readonly Copied[]): Promise<void>;
  /** Sets the sizes and ends writing; the files can then be read back. */
  close(sizes: readonly number[], signal: AbortSignal): Promise<readonly ByteSource[]>;
  /** The files were found right: they get their final names. Called once, after `close`. */
  commit(): Promise<void>;
  /** Removes whatever was written. Safe at any time before `commit`. */
  abort(reason: unknown): Promise<void>;
}
