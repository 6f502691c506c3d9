import { DiskError } from "../../core/errors.ts";

/** RFC 8878 section 3.1.1. */
export const MAGIC = 0xfd2fb528;
export const CHECKSUM_BYTES = 4;

/** Section 3.1.1.2.4: no block has more content, and none is packed to more. */
export const BLOCK_LIMIT = 128 << 10;

/** What a frame's header says of its content. */
export interface FrameForm {
  /** Bytes. */
  readonly window: number;
  /** Null when the frame does not state it. */
  readonly contentSize: number | null;
  /** Whether the XXH64 of the content follows it. */
  readonly checksum: boolean;
}
/** Section 3.1.1.1: Frame_Header. */
export interface FrameHeader extends FrameForm {
  /** Its bytes. */
  readonly length: number;
  /** Offsets in the packed stream: of Window_Descriptor, null when Frame_Content_Size is the window too; and of that. */
  readonly windowAt: number | null;
  readonly sizeAt: number;
}
/** Section 3.1.1.2.2. */
export type BlockType = "raw" | "rle" | "compressed";
/** Section 3.1.1.2. */
export interface BlockHeader {
  readonly type: BlockType;
  /** Block_Size. */
  readonly size: number;
  /** Bytes of Block_Content. */
  readonly packed: number;
  readonly isLast: boolean;
}

const WINDOW_LOG_MIN = 10;
const SINGLE_SEGMENT = 1 << 5;
const RESERVED = 1 << 3;
const CHECKSUM = 1 << 2;
/** Bytes of the field for each value of its flag. */
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;
const BLOCK_TYPES: readonly (BlockType | undefined)[] = ["raw", "rle", "compressed"];
export const BLOCK_HEADER_BYTES = 3;

/** The header at the front of `input`, which is at `at` in the packed stream; null: more of it is needed. The window is as stated. */
export function readFrameHeader(input: Uint8Array, at: number): FrameHeader | null {
  const descriptor = input[0];
  if (descriptor === undefined) return null;
  if ((descriptor & RESERVED) !== 0)
    throw new DiskError("corrupt", "zstd: Reserved_bit of Frame_Header_Descriptor is 1, expected 0", { at });
  const single = (descriptor & SINGLE_SEGMENT) !== 0;
  const idBytes = DICTIONARY_ID_BYTES[(descriptor & 3) as 0 | 1 | 2 | 3];
  const sizeFlag = (descriptor >>> 6) as 0 | 1 | 2 | 3;
  const sizeBytes = single && sizeFlag === 0 ? 1 : CONTENT_SIZE_BYTES[sizeFlag];
  const idPlace = single ? 1 : 2;
  const sizePlace = idPlace + idBytes;
  const length = sizePlace + sizeBytes;
  if (input.length < length) return null;
  const dictionary = littleEndian(input.subarray(idPlace, sizePlace));
  if (dictionary !== 0)
    throw new DiskError("unsupported", `zstd: Dictionary_ID is ${dictionary}, expected a frame without a dictionary`, {
      at: at + idPlace,
    });
  const contentSize = sizeBytes === 0 ? null : littleEndian(input.subarray(sizePlace, length)) + (sizeBytes === 2 ? 256 : 0);
  const window = single ? (contentSize as number) : windowSize(input[1] as number);
  const checksum = (descriptor & CHECKSUM) !== 0;
  return { length, window, contentSize, checksum, windowAt: single ? null : at + 1, sizeAt: at + sizePlace };
}

/** Section 3.1.1.1.2: Window_Descriptor. */
function windowSize(descriptor: number): number {
  const base = 2 ** (WINDOW_LOG_MIN + (descriptor >>> 3));
  return base + (base / 8) * (descriptor & 7);
}

/** Beyond 2^53 it is rounded: no frame has that much. */
function littleEndian(bytes: Uint8Array): number {
  return bytes.reduceRight((value, byte) => value * 256 + byte, 0);
}

/** The header at the front of `input`, which is at `at` in the packed stream; null: more of it is needed. `limit`: Block_Maximum_Size. */
export function readBlockHeader(input: Uint8Array, at: number, limit = BLOCK_LIMIT): BlockHeader | null {
  if (input.length < BLOCK_HEADER_BYTES) return null;
  const header = littleEndian(input.subarray(0, BLOCK_HEADER_BYTES));
  const type = BLOCK_TYPES[(header >>> 1) & 3];
  const size = header >>> 3;
  if (type === undefined) throw new DiskError("corrupt", "zstd: Block_Type is 3, which is reserved", { at });
  if (size > limit) throw new DiskError("corrupt", `zstd: Block_Size is ${size}, expected at most ${limit} (Block_Maximum_Size)`, { at });
  return { type, size, packed: type === "rle" ? 1 : size, isLast: (header & 1) === 1 };
}

/** Adds its checksum to a frame that was made without one; `hash`: XXH64 of its content, the lower half. `frame` has room for it behind `end`. */
export function addChecksum(frame: Uint8Array, end: number, hash: number): Uint8Array {
  const descriptor = 4;
  frame[descriptor] = (frame[descriptor] as number) | CHECKSUM;
  new DataView(frame.buffer, frame.byteOffset).setUint32(end, hash, true);
  return frame.subarray(0, end + CHECKSUM_BYTES);
}
