import { DiskError } from "../../core/errors.ts";
import { hexNumber } from "../../core/hex.ts";
import type { StreamDecoder, StreamState, StreamStep } from "../../core/ports.ts";
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
/** With any value in the lowest four bits. */
const MAGIC_SKIPPABLE = 0x184d2a50;
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

interface Place {
  part: Part;
  /** Offset in the packed stream. */
  at: number;
  /** Frames begun so far. */
  frames: number;
  descriptor: Descriptor;
  /** Bytes of the frame's content so far. */
  content: number;
  /** Bytes of a skippable frame still to come. */
  skip: number;
}
interface Lz4State extends StreamState {
  readonly place: Place;
  readonly blocks: Lz4BlocksState;
}

const u32 = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);

/**
 * An LZ4 file: frames of the current and the legacy format and skippable ones, one after another; checksums and sizes are
 * verified. What follows the last frame and is none is left alone, with a remark.
 */
export function createLz4Decoder(): StreamDecoder {
  return new Lz4Decoder();
}

class Lz4Decoder implements StreamDecoder {
  readonly #blocks = new Lz4Blocks();
  #place: Place = { part: "magic number", at: 0, frames: 0, descriptor: LEGACY, content: 0, skip: 0 };

  step(input: Uint8Array, last: boolean, output: Uint8Array): StreamStep {
    const place = this.#place;
    let taken = 0;
    let given = 0;
    while (place.part !== "end") {
      const rest = input.subarray(taken);
      if (place.part === "block") {
        const step = this.#blocks.step(rest, output.subarray(given));
        taken += step.taken;
        given += step.given;
        place.at += step.taken;
        place.content += step.given;
        if (step.status === "damaged") throw new DiskError("corrupt", "lz4: the compressed block is damaged", { at: place.at });
        if (step.status === "full") break;
        if (step.status === "ended") this.#endBlock();
        else if (last && given < output.length) throw this.#truncated(rest.length - step.taken);
        else break;
        continue;
      }
      const length = this.#takePart(rest, last);
      if (length === null) {
        if (last) throw this.#truncated(rest.length);
        break;
      }
      taken += length;
      place.at += length;
    }
    const ended = place.part === "end";
    const remark = ended && taken < input.length ? `lz4: the bytes from ${place.at} on do not belong to the stream` : null;
    return { taken, given, ended, remark };
  }

  save(): Lz4State {
    const blocks = this.#blocks.save();
    return { bytes: blocks.bytes, place: { ...this.#place }, blocks };
  }

  restore(state: StreamState): void {
    const saved = state as Lz4State;
    this.#place = { ...saved.place };
    this.#blocks.restore(saved.blocks);
  }

  /** Goes over one part, or a piece of it, and on to the next: bytes taken; null when more are needed. */
  #takePart(input: Uint8Array, last: boolean): number | null {
    const place = this.#place;
    if (place.part === "magic number") return this.#takeMagic(input, last);
    if (place.part === "frame descriptor") return this.#takeDescriptor(input);
    if (place.part === "skippable frame") {
      const length = Math.min(place.skip, input.length);
      if (length === 0 && place.skip > 0) return null;
      place.skip -= length;
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
    const place = this.#place;
    const magic = input.length < 4 ? null : u32(input);
    if (magic === null && (!last || place.frames === 0)) return null;
    if (magic === MAGIC) place.part = "frame descriptor";
    else if (magic === MAGIC_LEGACY) {
      place.part = "legacy block size";
      place.descriptor = LEGACY;
      this.#blocks.startFrame();
    } else if (magic !== null && (magic & ~15) === MAGIC_SKIPPABLE) place.part = "skippable frame size";
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
    const place = this.#place;
    const [flg, bd] = input;
    if (flg === undefined || bd === undefined) return null;
    const hasSize = (flg & 8) !== 0;
    if (flg >>> 6 !== VERSION || (flg & 2) !== 0)
      throw new DiskError("unsupported", `lz4: FLG is ${hexNumber(flg)}, expected version ${VERSION} and reserved bits of 0`, {
        at: place.at,
      });
    if ((flg & 1) !== 0) throw new DiskError("unsupported", "lz4: the frame needs a dictionary (FLG: DictID is 1)", { at: place.at });
    if ((bd & 0x8f) !== 0 || bd >>> 4 < 4)
      throw new DiskError("corrupt", `lz4: BD is ${hexNumber(bd)}, expected 0x40, 0x50, 0x60 or 0x70`, { at: place.at + 1 });
    const length = hasSize ? 11 : 3;
    if (input.length < length) return null;
    const stated = input[length - 1] as number;
    const actual = (this.#blocks.hash(input.subarray(0, length - 1)) >>> 8) & 255;
    if (stated !== actual)
      throw new DiskError("corrupt", `lz4: HC is ${hexNumber(stated)}, but the descriptor gives ${hexNumber(actual)}`, {
        at: place.at + length - 1,
      });
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
    const place = this.#place;
    const { blockLimit, contentSize, contentSum } = place.descriptor;
    const packed = value % STORED;
    if (packed > blockLimit)
      throw new DiskError("corrupt", `lz4: the block size is ${packed}, expected at most ${blockLimit}`, { at: place.at });
    if (value !== 0) {
      this.#startBlock(packed, value >= STORED);
      return;
    }
    if (contentSize !== null && contentSize !== place.content)
      throw new DiskError("corrupt", `lz4: the content size is ${contentSize}, but the frame holds ${place.content} bytes`, {
        at: place.at,
      });
    place.part = contentSum ? "content checksum" : "magic number";
  }

  #startBlock(packed: number, stored: boolean): void {
    const { blockLimit, independent, blockSums, contentSum } = this.#place.descriptor;
    this.#blocks.startBlock({ packed, limit: blockLimit, stored, independent, blockSum: blockSums, contentSum });
    this.#place.part = "block";
  }

  #endBlock(): void {
    const { legacy, blockSums } = this.#place.descriptor;
    this.#place.part = legacy ? "legacy block size" : blockSums ? "block checksum" : "block size";
  }

  #compare(field: string, stated: number, actual: number): void {
    if (stated !== actual)
      throw new DiskError("corrupt", `lz4: the ${field} is ${hexNumber(stated)}, but the data gives ${hexNumber(actual)}`, {
        at: this.#place.at,
      });
  }

  #truncated(left: number): DiskError {
    const { part, at } = this.#place;
    return new DiskError("corrupt", `lz4: the file ends inside the ${part}: it is truncated`, { at: at + left });
  }
}
