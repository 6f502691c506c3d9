import { ZSTD_STREAM_BASE64 } from "../../../build/zstd-stream.js";
import { kernelModule } from "./instance.ts";
import { BLOCK_LIMIT, type BlockType, type FrameForm } from "./zstd-header.ts";
import { ZstdHistory, type ZstdHistoryState } from "./zstd-history.ts";

/** What each does is stated in `assembly/zstd-stream/`; places are offsets into the memory. */
export interface ZstdExports {
  heapBase(): number;
  zstdBlock(input: number, length: number, literals: number, output: number, limit: number): number;
  zstdChecksum(): number;
  zstdHash(at: number, length: number): void;
  zstdHistory(window: number, made: number, start: number, older: number): void;
  zstdSlack(): number;
  zstdStart(): void;
  zstdState(): number;
  zstdStateBytes(): number;
}

const NO_FRAME: FrameForm = { window: 0, contentSize: 0, checksum: false };

export interface ZstdBlocksState {
  readonly bytes: number;
  readonly frame: FrameForm;
  readonly kernel: Uint8Array;
  readonly input: Uint8Array;
  readonly history: ZstdHistoryState;
  readonly pending: number;
}

/** The parts of a block that the kernel's errors name, from -1 downwards. */
const DAMAGED = [
  "Literals_Section_Header contradicts the block's size",
  "Huffman_Tree_Description is damaged",
  "the Huffman coded literals are damaged",
  "Sequences_Section_Header is damaged",
  "an FSE table of the sequences is damaged",
  "the sequences are damaged",
  "an offset is 0, or reaches back beyond Window_Size or the beginning of the frame",
  "the content is larger than Block_Maximum_Size",
] as const;

const instantiate = kernelModule<ZstdExports>(ZSTD_STREAM_BASE64);

/** A function that gives the lower half of a message's XXH64, as Content_Checksum states it. Memory: the longest message. */
export function createContentHash(): (message: Uint8Array) => number {
  const { exports, base, reserve } = instantiate();
  return (message) => {
    reserve(message.length).set(message, base);
    exports.zstdStart();
    exports.zstdHash(base, message.length);
    return exports.zstdChecksum() >>> 0;
  };
}

/**
 * The blocks of Zstandard frames, one at a time: `take` the packed bytes, `decode` them, `give` what they made. Memory: what is
 * needed of the window, and half a MiB.
 */
export class ZstdBlocks {
  readonly #kernel: ZstdExports;
  readonly #reserve: (bytes: number) => Uint8Array<ArrayBuffer>;
  readonly #input: number;
  readonly #literals: number;
  readonly #history: ZstdHistory;
  #memory: Uint8Array<ArrayBuffer>;
  #frame: FrameForm = NO_FRAME;
  /** Bytes of the block taken so far, and bytes made that were not given yet. */
  #packed = 0;
  #pending = 0;

  constructor() {
    const { exports, base, reserve } = instantiate();
    this.#kernel = exports;
    const slack = exports.zstdSlack();
    this.#input = base + slack;
    this.#literals = this.#input + BLOCK_LIMIT + slack;
    const history = this.#literals + BLOCK_LIMIT + slack;
    this.#reserve = reserve;
    this.#memory = reserve(history - base);
    this.#history = new ZstdHistory(history, (end) => {
      this.#memory = this.#reserve(end - base);
      return this.#memory;
    });
  }

  get pending(): number {
    return this.#pending;
  }
  get taken(): number {
    return this.#packed;
  }

  startFrame(frame: FrameForm): void {
    this.#frame = frame;
    this.#packed = this.#pending = 0;
    this.#history.begin(frame.window, frame.contentSize);
    this.#kernel.zstdStart();
  }

  /** The next bytes of the block, which has at most BLOCK_LIMIT of them. */
  take(bytes: Uint8Array): void {
    this.#memory.set(bytes, this.#input + this.#packed);
    this.#packed += bytes.length;
  }

  /** Decodes the block taken. `size`: what a block that is not compressed makes. Null, or what is wrong with it. */
  decode(type: BlockType, size: number): string | null {
    const history = this.#history;
    history.makeRoom();
    const made = type === "compressed" ? this.#decodeCompressed() : size;
    if (made < 0) return DAMAGED[-1 - made] as string;
    if (type === "raw") this.#memory.copyWithin(history.at, this.#input, this.#input + size);
    if (type === "rle") this.#memory.fill(this.#memory[this.#input] as number, history.at, history.at + size);
    if (this.#frame.checksum) this.#kernel.zstdHash(history.at, made);
    history.add(made);
    this.#packed = 0;
    this.#pending = made;
    return null;
  }

  #decodeCompressed(): number {
    const { window, made, start, older, at } = this.#history;
    this.#kernel.zstdHistory(window, made, start, older);
    return this.#kernel.zstdBlock(this.#input, this.#packed, this.#literals, at, Math.min(BLOCK_LIMIT, window));
  }

  /** Fills `output` with what was made: how many bytes. */
  give(output: Uint8Array): number {
    const length = Math.min(output.length, this.#pending);
    const from = this.#history.at - this.#pending;
    output.set(this.#memory.subarray(from, from + length));
    this.#pending -= length;
    return length;
  }

  /** Of the frame's content so far: the lower half of its XXH64. */
  get checksum(): number {
    return this.#kernel.zstdChecksum() >>> 0;
  }

  save(): ZstdBlocksState {
    const at = this.#kernel.zstdState();
    const kernel = this.#memory.slice(at, at + this.#kernel.zstdStateBytes());
    const input = this.#memory.slice(this.#input, this.#input + this.#packed);
    const history = this.#history.save();
    const bytes = kernel.length + input.length + history.made.length;
    return { bytes, frame: this.#frame, kernel, input, history, pending: this.#pending };
  }

  restore({ frame, kernel, input, history, pending }: ZstdBlocksState): void {
    this.startFrame(frame);
    this.#history.restore(history);
    this.#memory.set(kernel, this.#kernel.zstdState());
    this.take(input);
    this.#pending = pending;
  }
}
