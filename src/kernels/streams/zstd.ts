import { DiskError } from "../../core/errors.ts";
import type { StreamDecoder, StreamState } from "../../core/ports.ts";
import { type DataStep, FramedDecoder, isSkippable, type Place, skipBytes, u32 } from "./framed-decoder.ts";
import { ZstdBlocks, type ZstdBlocksState } from "./zstd-blocks.ts";
import {
  BLOCK_HEADER_BYTES,
  BLOCK_LIMIT,
  type BlockHeader,
  type FrameHeader,
  MAGIC,
  readBlockHeader,
  readFrameHeader,
} from "./zstd-header.ts";

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

/** Of the formats before the one that was published: versions 0.2 to 0.7. */
const MAGIC_OLDEST = 0xfd2fb522;
/** What the zstd program takes unless it is told otherwise. */
const WINDOW_LIMIT = 128 << 20;

interface ZstdPlace extends Place {
  part: Part;
  /** Frames begun so far. */
  frames: number;
  /** Of the frame that is under way. */
  header: FrameHeader;
  /** Bytes of its content so far. */
  content: number;
  /** The one that is under way. */
  block: BlockHeader;
  /** Bytes of a skippable frame still to come. */
  skip: number;
}
interface ZstdState extends StreamState {
  readonly place: ZstdPlace;
  readonly blocks: ZstdBlocksState;
}

const hex = (value: number): string => `0x${value.toString(16)}`;

/**
 * A Zstandard file: frames and skippable frames one after another; sizes and checksums are verified. What follows the last
 * frame and is none is left alone, with a remark. Frames that need a dictionary are refused, and windows of more than 128 MiB.
 */
export function createZstdDecoder(): StreamDecoder {
  return new ZstdDecoder();
}

class ZstdDecoder extends FramedDecoder<ZstdPlace> {
  readonly #blocks = new ZstdBlocks();

  constructor() {
    super("zstd", {
      part: "Magic_Number",
      at: 0,
      frames: 0,
      header: { length: 0, window: 0, contentSize: null, checksum: false, windowAt: null, sizeAt: 0 },
      content: 0,
      block: { type: "raw", size: 0, packed: 0, isLast: false },
      skip: 0,
    });
  }

  save(): ZstdState {
    const blocks = this.#blocks.save();
    return { bytes: blocks.bytes, place: { ...this.place }, blocks };
  }

  restore(state: StreamState): void {
    const saved = state as ZstdState;
    this.place = { ...saved.place };
    this.#blocks.restore(saved.blocks);
  }

  protected get isInData(): boolean {
    return this.place.part === "Block_Content" || this.#blocks.pending > 0;
  }

  protected takeData(input: Uint8Array, output: Uint8Array): DataStep {
    const blocks = this.#blocks;
    const given = blocks.give(output);
    if (blocks.pending > 0) return { taken: 0, given, status: "full" };
    if (this.place.part !== "Block_Content") return { taken: 0, given, status: "ended" };
    const missing = this.place.block.packed - blocks.taken;
    if (missing > 0 && given === output.length) return { taken: 0, given, status: "full" };
    const taken = Math.min(missing, input.length);
    blocks.take(input.subarray(0, taken));
    if (taken < missing) return { taken, given, status: "hungry" };
    this.#decodeBlock(this.place.at + taken);
    return { taken, given, status: "ended" };
  }

  protected takePart(input: Uint8Array, last: boolean): number | null {
    const place = this.place;
    switch (place.part) {
      case "Magic_Number":
        return this.#takeMagic(input, last);
      case "Frame_Header":
        return this.#takeFrameHeader(input);
      case "Block_Header":
        return this.#takeBlockHeader(input);
      case "User_Data of a skippable frame": {
        const length = skipBytes(place, input);
        if (place.skip === 0) place.part = "Magic_Number";
        return length;
      }
      default:
        return input.length < 4 ? null : this.#takeNumber(u32(input));
    }
  }

  #takeMagic(input: Uint8Array, last: boolean): number | null {
    const place = this.place;
    const magic = input.length < 4 ? null : u32(input);
    if (magic === null && (!last || place.frames === 0)) return null;
    if (magic === MAGIC) place.part = "Frame_Header";
    else if (magic !== null && isSkippable(magic)) place.part = "Frame_Size of a skippable frame";
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

  #takeFrameHeader(input: Uint8Array): number | null {
    const place = this.place;
    const header = readFrameHeader(input, place.at);
    if (header === null) return null;
    if (header.window > WINDOW_LIMIT)
      throw new DiskError("limit", `zstd: Window_Size is ${header.window}, the most is ${WINDOW_LIMIT} bytes`, {
        at: header.windowAt ?? header.sizeAt,
      });
    place.header = header;
    place.content = 0;
    place.part = "Block_Header";
    this.#blocks.startFrame(header);
    return header.length;
  }

  #takeBlockHeader(input: Uint8Array): number | null {
    const place = this.place;
    const block = readBlockHeader(input, place.at, Math.min(place.header.window, BLOCK_LIMIT));
    if (block === null) return null;
    place.block = block;
    place.part = "Block_Content";
    return BLOCK_HEADER_BYTES;
  }

  /** `end`: place of the block's end in the packed stream. */
  #decodeBlock(end: number): void {
    const place = this.place;
    const { type, size, isLast } = place.block;
    const fault = this.#blocks.decode(type, size);
    if (fault !== null) throw this.corrupt(`the compressed block is damaged: ${fault}`, end - size);
    place.content += this.#blocks.pending;
    const { contentSize, checksum, sizeAt } = place.header;
    if (contentSize !== null && (place.content > contentSize || (isLast && place.content < contentSize)))
      throw this.corrupt(
        `Frame_Content_Size is ${contentSize}, but the frame has ${isLast ? "" : "at least "}${place.content} bytes`,
        sizeAt,
      );
    place.part = !isLast ? "Block_Header" : checksum ? "Content_Checksum" : "Magic_Number";
  }

  /** The parts that are one number of 32 bits. */
  #takeNumber(value: number): number {
    const place = this.place;
    if (place.part === "Frame_Size of a skippable frame") {
      place.skip = value;
      place.part = "User_Data of a skippable frame";
      return 4;
    }
    const actual = this.#blocks.checksum;
    if (value !== actual) throw this.corrupt(`Content_Checksum is ${hex(value)}, but the data gives ${hex(actual)}`);
    place.part = "Magic_Number";
    return 4;
  }
}
