import { DiskError } from "../../core/errors.ts";
import { hexNumber } from "../../core/hex.ts";
import type { StreamDecoder, StreamState } from "../../core/ports.ts";
import { type DataStep, FramedDecoder, isSkippable, type Place, skipBytes, u32 } from "./framed-decoder.ts";
import { Lz4Blocks, type Lz4BlocksState } from "./lz4-blocks.ts";

/** The parts of a frame ("LZ4 Frame Format Description" 1.6.4), in order. */
type Part =
  | "magic number"
  | "frame descriptor"
  | "block size"
  | "block"
  | "block checksum"
  | "content checksum"
  | "skippable frame size"
  | "skippable frame"
  | "legacy block size"
  | "end";

const MAGIC = 0x184d2204;
const MAGIC_LEGACY = 0x184c2102;
const VERSION = 1;
/** Block size: the block is not compressed. */
const STORED = 0x8000_0000;
const LEGACY_BLOCK = 8 << 20;
/** The most that a legacy block can be packed to: a larger size is the magic number of another frame. */
const LEGACY_PACKED = LEGACY_BLOCK + Math.floor(LEGACY_BLOCK / 255) + 16;

interface Descriptor {
  readonly legacy: boolean;
  readonly independent: boolean;
  readonly blockSums: boolean;
  readonly contentSum: boolean;
  readonly contentSize: number | null;
  readonly blockLimit: number;
}
const LEGACY: Descriptor = {
  legacy: true,
  independent: true,
  blockSums: false,
  contentSum: false,
  contentSize: null,
  blockLimit: LEGACY_BLOCK,
};

interface Lz4Place extends Place {
  part: Part;
  /** Frames begun so far. */
  frames: number;
  descriptor: Descriptor;
  /** Bytes of the frame's content so far. */
  content: number;
  /** Bytes of a skippable frame still to come. */
  skip: number;
}
interface Lz4State extends StreamState {
  readonly place: Lz4Place;
  readonly blocks: Lz4BlocksState;
}

/**
 * An LZ4 file: frames of the current and the legacy format and skippable ones, one after another; checksums and sizes are
 * verified. What follows the last frame and is none is left alone, with a remark.
 */
export function createLz4Decoder(): StreamDecoder {
  return new Lz4Decoder();
}

class Lz4Decoder extends FramedDecoder<Lz4Place> {
  readonly #blocks = new Lz4Blocks();

  constructor() {
    super("lz4", { part: "magic number", at: 0, frames: 0, descriptor: LEGACY, content: 0, skip: 0 });
  }

  save(): Lz4State {
    const blocks = this.#blocks.save();
    return { bytes: blocks.bytes, place: { ...this.place }, blocks };
  }

  restore(state: StreamState): void {
    const saved = state as Lz4State;
    this.place = { ...saved.place };
    this.#blocks.restore(saved.blocks);
  }

  protected get isInData(): boolean {
    return this.place.part === "block";
  }

  protected takeData(input: Uint8Array, output: Uint8Array): DataStep {
    const step = this.#blocks.step(input, output);
    this.place.content += step.given;
    if (step.status === "ended") this.#endBlock();
    return step;
  }

  protected takePart(input: Uint8Array, last: boolean): number | null {
    const place = this.place;
    if (place.part === "magic number") return this.#takeMagic(input, last);
    if (place.part === "frame descriptor") return this.#takeDescriptor(input);
    if (place.part === "skippable frame") {
      const length = skipBytes(place, input);
      if (place.skip === 0) place.part = "magic number";
      return length;
    }
    if (place.part === "legacy block size" && last && input.length === 0) {
      place.part = "end";
      return 0;
    }
    if (input.length < 4) return null;
    const value = u32(input);
    if (place.part === "skippable frame size") {
      place.skip = value;
      place.part = "skippable frame";
    } else if (place.part === "legacy block size") {
      if (value > LEGACY_PACKED) {
        place.part = "magic number";
        return 0;
      }
      this.#startBlock(value, false);
    } else if (place.part === "block size") this.#takeBlockSize(value);
    else if (place.part === "block checksum") {
      this.#compare("block checksum", value, this.#blocks.blockHash);
      place.part = "block size";
    } else {
      this.#compare("content checksum", value, this.#blocks.contentHash);
      place.part = "magic number";
    }
    return 4;
  }

  #takeMagic(input: Uint8Array, last: boolean): number | null {
    const place = this.place;
    const magic = input.length < 4 ? null : u32(input);
    if (magic === null && (!last || place.frames === 0)) return null;
    if (magic === MAGIC) place.part = "frame descriptor";
    else if (magic === MAGIC_LEGACY) {
      place.part = "legacy block size";
      place.descriptor = LEGACY;
      this.#blocks.startFrame();
    } else if (magic !== null && isSkippable(magic)) place.part = "skippable frame size";
    else if (place.frames === 0)
      throw new DiskError("wrong-format", `lz4: the magic number is ${hexNumber(magic ?? 0)}, expected ${hexNumber(MAGIC)}`, {
        at: place.at,
      });
    else {
      place.part = "end";
      return 0;
    }
    place.frames++;
    return 4;
  }

  /** Section "Frame Descriptor": FLG, BD, the content size and the dictionary ID if FLG says so, HC. */
  #takeDescriptor(input: Uint8Array): number | null {
    const place = this.place;
    const [flg, bd] = input;
    if (flg === undefined || bd === undefined) return null;
    const hasSize = (flg & 8) !== 0;
    if (flg >>> 6 !== VERSION || (flg & 2) !== 0)
      throw new DiskError("unsupported", `lz4: FLG is ${hexNumber(flg)}, expected version ${VERSION} and reserved bits of 0`, {
        at: place.at,
      });
    if ((flg & 1) !== 0) throw new DiskError("unsupported", "lz4: the frame needs a dictionary (FLG: DictID is 1)", { at: place.at });
    if ((bd & 0x8f) !== 0 || bd >>> 4 < 4) throw this.corrupt(`BD is ${hexNumber(bd)}, expected 0x40, 0x50, 0x60 or 0x70`, place.at + 1);
    const length = hasSize ? 11 : 3;
    if (input.length < length) return null;
    const stated = input[length - 1] as number;
    const actual = (this.#blocks.hash(input.subarray(0, length - 1)) >>> 8) & 255;
    if (stated !== actual)
      throw this.corrupt(`HC is ${hexNumber(stated)}, but the descriptor gives ${hexNumber(actual)}`, place.at + length - 1);
    place.descriptor = {
      legacy: false,
      independent: (flg & 32) !== 0,
      blockSums: (flg & 16) !== 0,
      contentSum: (flg & 4) !== 0,
      contentSize: hasSize ? Number(new DataView(input.buffer, input.byteOffset + 2, 8).getBigUint64(0, true)) : null,
      blockLimit: 1 << (8 + 2 * (bd >>> 4)),
    };
    place.content = 0;
    place.part = "block size";
    this.#blocks.startFrame();
    return length;
  }

  #takeBlockSize(value: number): void {
    const place = this.place;
    const { blockLimit, contentSize, contentSum } = place.descriptor;
    const packed = value % STORED;
    if (packed > blockLimit) throw this.corrupt(`the block size is ${packed}, expected at most ${blockLimit}`);
    if (value !== 0) {
      this.#startBlock(packed, value >= STORED);
      return;
    }
    if (contentSize !== null && contentSize !== place.content)
      throw this.corrupt(`the content size is ${contentSize}, but the frame holds ${place.content} bytes`);
    place.part = contentSum ? "content checksum" : "magic number";
  }

  #startBlock(packed: number, stored: boolean): void {
    const { blockLimit, independent, blockSums, contentSum } = this.place.descriptor;
    this.#blocks.startBlock({ packed, limit: blockLimit, stored, independent, blockSum: blockSums, contentSum });
    this.place.part = "block";
  }

  #endBlock(): void {
    const { legacy, blockSums } = this.place.descriptor;
    this.place.part = legacy ? "legacy block size" : blockSums ? "block checksum" : "block size";
  }

  #compare(field: string, stated: number, actual: number): void {
    if (stated !== actual) throw this.corrupt(`the ${field} is ${hexNumber(stated)}, but the data gives ${hexNumber(actual)}`);
  }
}
