import { DiskError } from "../../core/errors.ts";
import type { FrameForm } from "./zstd-blocks.ts";

/** RFC 8878 section 3.1.1.1: Frame_Header. */
export interface FrameHeader extends FrameForm {
  /** Its bytes. */
  readonly length: number;
  /** Offset of Frame_Content_Size in the packed stream. */
  readonly sizeAt: number;
}

const WINDOW_LOG_MIN = 10;
/** What the zstd program takes unless it is told otherwise. */
const WINDOW_LIMIT = 128 << 20;
const SINGLE_SEGMENT = 1 << 5;
const RESERVED = 1 << 3;
const CHECKSUM = 1 << 2;
/** Bytes of the field for each value of its flag. */
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;

/** The header at the front of `input`, which is at `at` in the packed stream; null: more of it is needed. */
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
  if (window > WINDOW_LIMIT)
    throw new DiskError("limit", `zstd: Window_Size is ${window}, the most is ${WINDOW_LIMIT} bytes`, {
      at: at + (single ? sizePlace : 1),
    });
  return { length, window, contentSize, checksum: (descriptor & CHECKSUM) !== 0, sizeAt: at + sizePlace };
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
