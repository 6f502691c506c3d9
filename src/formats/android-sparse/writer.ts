import type { ImageWriter, TargetSpec, Write } from "../../core/target.ts";
import { ChunkHeader, DONT_CARE, FILL, Header, MAGIC, RAW, WORD } from "./spec.ts";

const UNIT = 1 << 16;
/** A raw chunk ends here at the latest: flashing tools take a chunk into memory. */
const MOST_CHUNK = 64 << 20;

/** The largest block size up to 4096 that divides the disk. */
export const blockSizeFor = (size: number): number => (size % 4096 === 0 ? 4096 : 512);

/** Chunks in the disk's order. A raw chunk's header is written when its length is known; the file header at the end. */
export function createAndroidSparse(spec: TargetSpec): ImageWriter {
  const blockSize = blockSizeFor(spec.size);
  const isOpenZero = spec.options["zeros"] === "dont_care";
  let chunks = 0;
  let place = Header.bytes;
  /** Disk up to which chunks are complete, and the raw chunk that grows behind it. */
  let done = 0;
  let rawBytes = 0;

  const header = (chunkType: number, bytes: number, stored: number): Uint8Array => {
    chunks++;
    return ChunkHeader.write({ chunkType, reserved: 0, chunkSize: bytes / blockSize, totalSize: ChunkHeader.bytes + stored });
  };
  const endRaw = (): Write[] => {
    if (rawBytes === 0) return [];
    const write = { file: 0, at: place, bytes: header(RAW, rawBytes, rawBytes) };
    place += ChunkHeader.bytes + rawBytes;
    done += rawBytes;
    rawBytes = 0;
    return [write];
  };
  const zeros = (end: number): Write[] => {
    const writes: Write[] = [];
    // A chunk counts its blocks in 32 bits; a whole number of blocks below 2^31 is always in range.
    for (const most = (2 ** 31 - 8) * blockSize; done < end; ) {
      const length = Math.min(most, end - done);
      const stored = isOpenZero ? 0 : WORD;
      const bytes = new Uint8Array(ChunkHeader.bytes + stored);
      bytes.set(header(isOpenZero ? DONT_CARE : FILL, length, stored));
      writes.push({ file: 0, at: place, bytes });
      place += bytes.length;
      done += length;
    }
    return writes;
  };
  return {
    unit: UNIT,
    files: [spec.name],
    encoding: null,
    sequential: false,
    put(index, block) {
      const start = index * UNIT;
      const bytes = block.bytes.subarray(0, Math.min(UNIT, spec.size - start));
      const writes = start > done + rawBytes || rawBytes + bytes.length > MOST_CHUNK ? endRaw() : [];
      writes.push(...zeros(rawBytes === 0 ? start : done));
      writes.push({ file: 0, at: place + ChunkHeader.bytes + rawBytes, bytes });
      rawBytes += bytes.length;
      return writes;
    },
    end() {
      const writes = [...endRaw(), ...zeros(spec.size)];
      const bytes = Header.write({
        magic: MAGIC,
        majorVersion: 1,
        minorVersion: 0,
        fileHeaderSize: Header.bytes,
        chunkHeaderSize: ChunkHeader.bytes,
        blockSize,
        totalBlocks: spec.size / blockSize,
        totalChunks: chunks,
        imageChecksum: 0,
      });
      return { writes: [...writes, { file: 0, at: 0, bytes }], sizes: [place] };
    },
  };
}
