import { DiskError } from "../core/errors.ts";

// RFC 8878. The decoder wants exactly one frame, but a cluster's bytes may run on after it: its end is found here.

const MAGIC = 0xfd2fb528;
/** Section 3.1.2: 16 magic numbers. */
const SKIPPABLE_MAGIC = 0x184d2a50;
const SKIPPABLE_MASK = 0xfffffff0;
/** Section 3.1.1.1.2: what every decoder should take, and all that one unit can use. */
const WINDOW_LIMIT = 8 << 20;
const WINDOW_LOG_MIN = 10;
const BLOCK_RLE = 1;
const BLOCK_RESERVED = 3;
/** Section 3.1.1.2.4. */
const BLOCK_LIMIT = 128 << 10;
const CHECKSUM_BYTES = 4;
/** Section 3.1.1.1: bytes of the field for each value of its flag. */
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;

/** The place of the first frame in `bytes`, past skippable ones; `contentSize` is null when the frame does not state it. */
export interface ZstdFrame {
  readonly start: number;
  readonly end: number;
  readonly contentSize: number | null;
}

/** Throws a `corrupt` or `unsupported` DiskError whose `at` is an offset into `bytes`. */
export function findZstdFrame(bytes: Uint8Array): ZstdFrame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const need = (at: number, count: number, field: string): number => {
    if (at + count > bytes.length) throw new DiskError("corrupt", `zstd: the data ends inside ${field}`, { at });
    return at;
  };
  const start = skipFrames(view, need);
  const header = readHeader(view, start, need);
  let at = header.end;
  for (let last = false; !last; ) {
    need(at, 3, "Block_Header");
    const block = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
    last = (block & 1) === 1;
    const type = (block >>> 1) & 3;
    const size = block >>> 3;
    if (type === BLOCK_RESERVED) throw new DiskError("corrupt", "zstd: Block_Type is 3, which is reserved", { at });
    if (size > BLOCK_LIMIT) throw new DiskError("corrupt", `zstd: Block_Size is ${size}, expected at most ${BLOCK_LIMIT}`, { at });
    at += 3;
    const stored = type === BLOCK_RLE ? 1 : size;
    at = need(at, stored, "Block_Content") + stored;
  }
  if (header.checksum) at = need(at, CHECKSUM_BYTES, "Content_Checksum") + CHECKSUM_BYTES;
  return { start, end: at, contentSize: header.contentSize };
}

type Need = (at: number, count: number, field: string) => number;

function skipFrames(view: DataView, need: Need): number {
  let at = 0;
  for (;;) {
    const magic = view.getUint32(need(at, 4, "Magic_Number"), true);
    if (magic === MAGIC) return at;
    if ((magic & SKIPPABLE_MASK) >>> 0 !== SKIPPABLE_MAGIC)
      throw new DiskError("corrupt", `zstd: Magic_Number is 0x${magic.toString(16)}, expected 0x${MAGIC.toString(16)}`, { at });
    at += 8 + view.getUint32(need(at + 4, 4, "Frame_Size"), true);
  }
}

/** Section 3.1.1.1: Frame_Header. */
function readHeader(view: DataView, start: number, need: Need): { end: number; contentSize: number | null; checksum: boolean } {
  let at = need(start + 4, 1, "Frame_Header_Descriptor");
  const descriptor = view.getUint8(at);
  const singleSegment = (descriptor & 0x20) !== 0;
  if ((descriptor & 0x08) !== 0) throw new DiskError("corrupt", "zstd: Reserved_bit of Frame_Header_Descriptor is 1, expected 0", { at });
  at++;
  if (!singleSegment) {
    const window = view.getUint8(need(at, 1, "Window_Descriptor"));
    const base = 2 ** (WINDOW_LOG_MIN + (window >>> 3));
    const size = base + (base / 8) * (window & 7);
    if (size > WINDOW_LIMIT)
      throw new DiskError("unsupported", `zstd: Window_Size is ${size}, expected at most ${WINDOW_LIMIT} bytes`, { at });
    at++;
  }
  const idBytes = DICTIONARY_ID_BYTES[(descriptor & 3) as 0 | 1 | 2 | 3];
  need(at, idBytes, "Dictionary_ID");
  for (let i = 0; i < idBytes; i++)
    if (view.getUint8(at + i) !== 0)
      throw new DiskError("unsupported", "zstd: Dictionary_ID is set, expected a frame without a dictionary", { at });
  at += idBytes;
  const sizeFlag = (descriptor >>> 6) as 0 | 1 | 2 | 3;
  const sizeBytes = sizeFlag === 0 && singleSegment ? 1 : CONTENT_SIZE_BYTES[sizeFlag];
  need(at, sizeBytes, "Frame_Content_Size");
  return { end: at + sizeBytes, contentSize: readContentSize(view, at, sizeBytes), checksum: (descriptor & 4) !== 0 };
}

function readContentSize(view: DataView, at: number, bytes: 0 | 1 | 2 | 4 | 8): number | null {
  if (bytes === 0) return null;
  if (bytes === 1) return view.getUint8(at);
  if (bytes === 2) return view.getUint16(at, true) + 256;
  if (bytes === 4) return view.getUint32(at, true);
  return Number(view.getBigUint64(at, true));
}
