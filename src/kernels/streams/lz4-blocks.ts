import { LZ4_BASE64 } from "../../../build/lz4.js";
import type { DataStep } from "./framed-decoder.ts";
import { History, type HistoryState } from "./history.ts";
import { kernelModule } from "./instance.ts";

/** What each does is stated in `assembly/lz4/`; places are offsets into the memory. */
interface Lz4Exports {
  heapBase(): number;
  lz4Block(packed: number, room: number, stored: boolean): void;
  lz4Run(input: number, length: number, output: number, room: number, history: number): number;
  lz4Taken(): number;
  lz4Given(): number;
  lz4State(): number;
  lz4StateBytes(): number;
  lz4Hash(number: number): number;
  xxh32Start(state: number): void;
  xxh32Update(state: number, at: number, length: number): void;
  xxh32Final(state: number): number;
}

const ERROR_BLOCK = -1;
const NEEDS_INPUT = 0;
const BLOCK_ENDED = 2;

/** How far back a match may reach. */
const WINDOW = 1 << 16;
const CHUNK = 1 << 17;
const INPUT = 1 << 16;
const MIN_INPUT = 1 << 10;
const INPUT_SLACK = 48;
const OUTPUT_SLACK = 32;

export interface BlockForm {
  readonly packed: number;
  /** The most that it may give. */
  readonly limit: number;
  readonly stored: boolean;
  /** It has no history. */
  readonly independent: boolean;
  /** Whether the XXH32 of its packed bytes, or that of the frame's content, is wanted. */
  readonly blockSum: boolean;
  readonly contentSum: boolean;
}
export interface Lz4BlocksState {
  readonly bytes: number;
  readonly kernel: Uint8Array;
  readonly history: HistoryState;
  readonly blockSum: boolean;
  readonly contentSum: boolean;
}

const instantiate = kernelModule<Lz4Exports>(LZ4_BASE64);

/** The blocks of LZ4 frames, piece by piece, in 1 MiB of memory. */
export class Lz4Blocks {
  readonly #kernel: Lz4Exports;
  readonly #memory: Uint8Array<ArrayBuffer>;
  readonly #input: number;
  readonly #history: History;
  #blockSum = false;
  #contentSum = false;

  constructor() {
    const { exports, base, reserve } = instantiate();
    this.#kernel = exports;
    this.#input = base;
    const area = base + INPUT + INPUT_SLACK;
    this.#memory = reserve(INPUT + INPUT_SLACK + WINDOW + CHUNK + OUTPUT_SLACK);
    this.#history = new History(this.#memory, area, WINDOW, CHUNK);
  }

  startFrame(): void {
    this.#history.clear();
    this.#kernel.xxh32Start(this.#kernel.lz4Hash(1));
  }

  startBlock({ packed, limit, stored, independent, blockSum, contentSum }: BlockForm): void {
    this.#kernel.lz4Block(packed, limit, stored);
    this.#kernel.xxh32Start(this.#kernel.lz4Hash(0));
    if (independent) this.#history.first = this.#history.at;
    this.#blockSum = blockSum;
    this.#contentSum = contentSum;
  }

  /** Goes on with the block. `hungry` only when all of `input` was looked at; at most one byte of it is then left. */
  step(input: Uint8Array, output: Uint8Array): DataStep {
    const kernel = this.#kernel;
    const history = this.#history;
    let taken = 0;
    let given = 0;
    while (true) {
      const room = Math.min(output.length - given, CHUNK);
      if (room === 0) return { taken, given, status: "full" };
      history.makeRoom(room);
      const part = input.subarray(taken, taken + Math.min(INPUT, MIN_INPUT + 2 * room));
      this.#memory.set(part, this.#input);
      const status = kernel.lz4Run(this.#input, part.length, history.at, room, history.first);
      const took = kernel.lz4Taken();
      const gave = kernel.lz4Given();
      if (this.#blockSum) kernel.xxh32Update(kernel.lz4Hash(0), this.#input, took);
      if (this.#contentSum) kernel.xxh32Update(kernel.lz4Hash(1), history.at, gave);
      output.set(this.#memory.subarray(history.at, history.at + gave), given);
      history.at += gave;
      given += gave;
      const seen = taken + part.length;
      taken += took;
      if (status === ERROR_BLOCK) return { taken, given, status: "damaged" };
      if (status === BLOCK_ENDED) return { taken, given, status: "ended" };
      if (status === NEEDS_INPUT && seen === input.length) return { taken, given, status: "hungry" };
    }
  }

  /** XXH32 of the block's packed bytes. */
  get blockHash(): number {
    return this.#kernel.xxh32Final(this.#kernel.lz4Hash(0)) >>> 0;
  }
  /** XXH32 of the frame's content so far. */
  get contentHash(): number {
    return this.#kernel.xxh32Final(this.#kernel.lz4Hash(1)) >>> 0;
  }

  /** XXH32 of a message; not while a block is under way. */
  hash(message: Uint8Array): number {
    const kernel = this.#kernel;
    const state = kernel.lz4Hash(0);
    this.#memory.set(message, this.#input);
    kernel.xxh32Start(state);
    kernel.xxh32Update(state, this.#input, message.length);
    return kernel.xxh32Final(state) >>> 0;
  }

  save(): Lz4BlocksState {
    const state = this.#kernel.lz4State();
    const kernel = this.#memory.slice(state, state + this.#kernel.lz4StateBytes());
    const history = this.#history.save();
    return { bytes: kernel.length + history.made.length, kernel, history, blockSum: this.#blockSum, contentSum: this.#contentSum };
  }

  restore(state: Lz4BlocksState): void {
    this.#memory.set(state.kernel, this.#kernel.lz4State());
    this.#history.restore(state.history);
    this.#blockSum = state.blockSum;
    this.#contentSum = state.contentSum;
  }
}
