import { DiskError } from "../../core/errors.ts";
import type { StreamDecoder, StreamState, StreamStep } from "../../core/ports.ts";
import { BLOCK_LIMIT, type BlockType, ZstdBlocks, type ZstdBlocksState } from "./zstd-blocks.ts";
import { type FrameHeader, readFrameHeader } from "./zstd-header.ts";

/** The parts of a frame (RFC 8878 section 3.1), in order; then those of a skippable one. */
type Part =
  | "Magic_Number"
  | "Frame_Header"
  | "Block_Header"
  | "Block_Content"
  | "Content_Checksum"
  | "Frame_Size of a skippable frame"
  | "User_Data of a skippable frame"
  | "end";

const MAGIC = 0xfd2fb528;
/** With any value in the lowest four bits. */
const MAGIC_SKIPPABLE = 0x184d2a50;
/** Of the formats before the one that was published: versions 0.2 to 0.7. */
const MAGIC_OLDEST = 0xfd2fb522;
const BLOCK_TYPES: readonly (BlockType | undefined)[] = ["raw", "rle", "compressed"];
const BLOCK_HEADER_BYTES = 3;

interface Place {
  part: Part;
  /** Offset in the packed stream. */
  at: number;
  /** Frames begun so far. */
  frames: number;
  /** Of the frame that is under way. */
  header: FrameHeader;
  /** Bytes of its content so far. */
  content: number;
  type: BlockType;
  /** Block_Size. */
  size: number;
  isLast: boolean;
  /** Bytes of a skippable frame still to come. */
  skip: number;
}
interface ZstdState extends StreamState {
  readonly place: Place;
  readonly blocks: ZstdBlocksState;
}

const hex = (value: number): string => `0x${value.toString(16)}`;
const u32 = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);

/**
 * A Zstandard file: frames and skippable frames one after another; sizes and checksums are verified. What follows the last
 * frame and is none is left alone, with a remark. Frames that need a dictionary are refused, and windows of more than 128 MiB.
 */
export function createZstdDecoder(): StreamDecoder {
  return new ZstdDecoder();
}

class ZstdDecoder implements StreamDecoder {
  readonly #blocks = new ZstdBlocks();
  #place: Place = {
    part: "Magic_Number",
    at: 0,
    frames: 0,
    header: { length: 0, window: 0, contentSize: null, checksum: false, sizeAt: 0 },
    content: 0,
    type: "raw",
    size: 0,
    isLast: false,
    skip: 0,
  };

  step(input: Uint8Array, last: boolean, output: Uint8Array): StreamStep {
    const blocks = this.#blocks;
    const place = this.#place;
    let taken = 0;
    let given = 0;
    while (place.part !== "end" || blocks.pending > 0) {
      given += blocks.give(output.subarray(given));
      if (blocks.pending > 0 || (given === output.length && place.part === "Block_Content")) break;
      const rest = input.subarray(taken);
      const length = this.#takePart(rest, last);
      if (length === null) {
        if (last) throw this.#truncated(rest.length);
        break;
      }
      taken += length;
      place.at += length;
      if (place.part === "Block_Content" && blocks.taken === this.#packedSize) this.#decodeBlock();
    }
    const ended = place.part === "end";
    const remark = ended && taken < input.length ? `zstd: the bytes from ${place.at} on do not belong to the stream` : null;
    return { taken, given, ended, remark };
  }

  save(): ZstdState {
    const blocks = this.#blocks.save();
    return { bytes: blocks.bytes, place: { ...this.#place }, blocks };
  }

  restore(state: StreamState): void {
    const saved = state as ZstdState;
    this.#place = { ...saved.place };
    this.#blocks.restore(saved.blocks);
  }

  /** Goes over one part, or a piece of it, and on to the next: bytes taken; null when more are needed. */
  #takePart(input: Uint8Array, last: boolean): number | null {
    const place = this.#place;
    switch (place.part) {
      case "Magic_Number":
        return this.#takeMagic(input, last);
      case "Frame_Header": {
        const header = readFrameHeader(input, place.at);
        if (header === null) return null;
        place.header = header;
        place.content = 0;
        place.part = "Block_Header";
        this.#blocks.startFrame(header);
        return header.length;
      }
      case "Block_Header":
        return this.#takeBlockHeader(input);
      case "Block_Content": {
        const length = Math.min(this.#packedSize - this.#blocks.taken, input.length);
        if (length === 0) return null;
        this.#blocks.take(input.subarray(0, length));
        return length;
      }
      case "User_Data of a skippable frame": {
        const length = Math.min(place.skip, input.length);
        if (length === 0 && place.skip > 0) return null;
        place.skip -= length;
        if (place.skip === 0) place.part = "Magic_Number";
        return length;
      }
      default:
        return input.length < 4 ? null : this.#takeNumber(u32(input));
    }
  }

  #takeMagic(input: Uint8Array, last: boolean): number | null {
    const place = this.#place;
    const magic = input.length < 4 ? null : u32(input);
    if (magic === null && (!last || place.frames === 0)) return null;
    if (magic === MAGIC) place.part = "Frame_Header";
    else if (magic !== null && (magic & ~15) === MAGIC_SKIPPABLE) place.part = "Frame_Size of a skippable frame";
    else if (magic !== null && magic >= MAGIC_OLDEST && magic < MAGIC)
      throw new DiskError("unsupported", `zstd: Magic_Number is ${hex(magic)}, that of a Zstandard version before 0.8`, { at: place.at });
    else if (place.frames === 0)
      throw new DiskError("wrong-format", `zstd: Magic_Number is ${hex(magic ?? 0)}, expected ${hex(MAGIC)}`, { at: place.at });
    else {
      place.part = "end";
      return 0;
    }
    place.frames++;
    return 4;
  }

  /** Section 3.1.1.2. */
  #takeBlockHeader(input: Uint8Array): number | null {
    if (input.length < BLOCK_HEADER_BYTES) return null;
    const place = this.#place;
    const { at } = place;
    const header = (input[0] as number) | ((input[1] as number) << 8) | ((input[2] as number) << 16);
    const type = BLOCK_TYPES[(header >>> 1) & 3];
    const size = header >>> 3;
    const limit = Math.min(place.header.window, BLOCK_LIMIT);
    if (type === undefined) throw new DiskError("corrupt", "zstd: Block_Type is 3, which is reserved", { at });
    if (size > limit) throw new DiskError("corrupt", `zstd: Block_Size is ${size}, expected at most ${limit} (Block_Maximum_Size)`, { at });
    place.type = type;
    place.size = size;
    place.isLast = (header & 1) === 1;
    place.part = "Block_Content";
    return BLOCK_HEADER_BYTES;
  }

  get #packedSize(): number {
    return this.#place.type === "rle" ? 1 : this.#place.size;
  }

  #decodeBlock(): void {
    const place = this.#place;
    const fault = this.#blocks.decode(place.type, place.size);
    if (fault !== null) throw new DiskError("corrupt", `zstd: the compressed block is damaged: ${fault}`, { at: place.at - place.size });
    place.content += this.#blocks.pending;
    const { contentSize, checksum, sizeAt } = place.header;
    if (contentSize !== null && (place.content > contentSize || (place.isLast && place.content < contentSize)))
      throw new DiskError(
        "corrupt",
        `zstd: Frame_Content_Size is ${contentSize}, but the frame has ${place.isLast ? "" : "at least "}${place.content} bytes`,
        { at: sizeAt },
      );
    place.part = !place.isLast ? "Block_Header" : checksum ? "Content_Checksum" : "Magic_Number";
  }

  /** The parts that are one number of 32 bits. */
  #takeNumber(value: number): number {
    const place = this.#place;
    if (place.part === "Frame_Size of a skippable frame") {
      place.skip = value;
      place.part = "User_Data of a skippable frame";
      return 4;
    }
    const actual = this.#blocks.checksum;
    if (value !== actual)
      throw new DiskError("corrupt", `zstd: Content_Checksum is ${hex(value)}, but the data gives ${hex(actual)}`, { at: place.at });
    place.part = "Magic_Number";
    return 4;
  }

  #truncated(left: number): DiskError {
    const { part, at } = this.#place;
    return new DiskError("corrupt", `zstd: the file ends inside the ${part}: it is truncated`, { at: at + left });
  }
}
