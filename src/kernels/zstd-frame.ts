import { DiskError } from "../core/errors.ts";
import { isSkippable, u32 } from "./streams/framed-decoder.ts";
import {
  BLOCK_HEADER_BYTES,
  BLOCK_LIMIT,
  type BlockHeader,
  CHECKSUM_BYTES,
  type FrameForm,
  type FrameHeader,
  MAGIC,
  readBlockHeader,
  readFrameHeader,
} from "./streams/zstd-header.ts";

// RFC 8878. One unit is one frame, but a cluster's bytes may run on after it: its end is found here.

/** Section 3.1.1.1.2: what every decoder should take, and all that one unit can use. */
const WINDOW_LIMIT = 8 << 20;

interface PlacedBlock extends BlockHeader {
  /** Place of its content. */
  readonly at: number;
}
/** The first frame in some bytes, past skippable ones. */
export interface ZstdFrame {
  readonly start: number;
  readonly end: number;
  readonly form: FrameForm;
  readonly blocks: readonly PlacedBlock[];
  /** Null when it has none. */
  readonly checksum: { readonly at: number; readonly stated: number } | null;
}

/** Throws a `corrupt` or `unsupported` DiskError whose `at` is an offset into `bytes`. */
export function findZstdFrame(bytes: Uint8Array): ZstdFrame {
  const start = skipFrames(bytes);
  const form = readHeader(bytes, start + 4);
  const limit = Math.min(form.window, BLOCK_LIMIT);
  const blocks: PlacedBlock[] = [];
  let at = start + 4 + form.length;
  for (let isLast = false; !isLast; ) {
    const block = readBlockHeader(bytes.subarray(at), at, limit) ?? endsInside("Block_Header", at);
    isLast = block.isLast;
    blocks.push({ ...block, at: at + BLOCK_HEADER_BYTES });
    at = need(bytes, at + BLOCK_HEADER_BYTES, block.packed, "Block_Content");
  }
  if (!form.checksum) return { start, end: at, form, blocks, checksum: null };
  const end = need(bytes, at, CHECKSUM_BYTES, "Content_Checksum");
  return { start, end, form, blocks, checksum: { at, stated: u32(bytes.subarray(at)) } };
}

function endsInside(field: string, at: number): never {
  throw new DiskError("corrupt", `zstd: the data ends inside ${field}`, { at });
}

/** The end of a field of `count` bytes at `at`. */
function need(bytes: Uint8Array, at: number, count: number, field: string): number {
  return at + count > bytes.length ? endsInside(field, at) : at + count;
}

function skipFrames(bytes: Uint8Array): number {
  let at = 0;
  for (;;) {
    const next = need(bytes, at, 4, "Magic_Number");
    const magic = u32(bytes.subarray(at));
    if (magic === MAGIC) return at;
    if (!isSkippable(magic))
      throw new DiskError("corrupt", `zstd: Magic_Number is 0x${magic.toString(16)}, expected 0x${MAGIC.toString(16)}`, { at });
    at = need(bytes, next, 4, "Frame_Size") + u32(bytes.subarray(next));
  }
}

function readHeader(bytes: Uint8Array, at: number): FrameHeader {
  const header = readFrameHeader(bytes.subarray(at), at) ?? endsInside("Frame_Header", at);
  if (header.windowAt !== null && header.window > WINDOW_LIMIT)
    throw new DiskError("unsupported", `zstd: Window_Size is ${header.window}, expected at most ${WINDOW_LIMIT} bytes`, {
      at: header.windowAt,
    });
  return header;
}
