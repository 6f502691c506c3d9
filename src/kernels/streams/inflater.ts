import { INFLATE_STREAM_BASE64 } from "../../../build/inflate-stream.js";
import type { DataStep } from "./framed-decoder.ts";
import { History, type HistoryState } from "./history.ts";
import { kernelModule } from "./instance.ts";

/** What each does is stated in `assembly/inflate-stream/index.ts`; places are offsets into the memory. */
interface InflateExports {
  heapBase(): number;
  crc32(at: number, length: number, seed: number): number;
  inflateStart(): void;
  inflateRun(input: number, length: number, output: number, room: number, history: number): number;
  inflateTaken(): number;
  inflateGiven(): number;
  inflateStateBytes(): number;
  inflateSave(to: number): void;
  inflateRestore(from: number): void;
}

const NEEDS_INPUT = 0;
const ENDED = 2;
const BAD_STREAM = -1;

/** RFC 1951 section 2: how far back a match may reach. */
const WINDOW = 1 << 15;
/** Bytes made in one run, and taken in at once. */
const CHUNK = 1 << 17;
const INPUT = 1 << 16;
/** Enough for any header of a block, which is taken whole or not at all. */
const MIN_INPUT = 1 << 10;
/** Bytes by which a run may go past its output, and may touch past its input or output. */
const OVERSHOOT = 260;
const OUTPUT_SLACK = OVERSHOOT + 320;
const INPUT_SLACK = 16;

export interface InflaterState {
  readonly bytes: number;
  readonly kernel: Uint8Array;
  readonly history: HistoryState;
  /** How many bytes at its end were not given yet. */
  readonly waiting: number;
  readonly sum: number;
  readonly size: number;
}

const instantiate = kernelModule<InflateExports>(INFLATE_STREAM_BASE64);

/** One bare DEFLATE stream after another, piece by piece, in about 1 MiB of memory. */
export class Inflater {
  readonly #kernel: InflateExports;
  readonly #memory: Uint8Array<ArrayBuffer>;
  readonly #state: number;
  readonly #input: number;
  readonly #history: History;
  readonly #summed: boolean;
  /** Place of what was made and waits to be given, up to the end of the history. */
  #waiting = 0;
  #ended = false;
  #sum = 0;
  #size = 0;

  /** `summed`: the CRC-32 of what is made is wanted. */
  constructor(summed: boolean) {
    const { exports, base, reserve } = instantiate();
    this.#kernel = exports;
    this.#summed = summed;
    this.#state = base;
    this.#input = base + Math.ceil(exports.inflateStateBytes() / 16) * 16;
    const area = this.#input + INPUT + INPUT_SLACK;
    this.#memory = reserve(area + WINDOW + CHUNK + OUTPUT_SLACK - base);
    this.#history = new History(this.#memory, area, WINDOW, CHUNK);
    this.start();
  }

  /** CRC-32 of this stream's bytes; only when `summed`. */
  get sum(): number {
    return this.#sum;
  }
  /** Bytes made since `start`, modulo 2^32. */
  get size(): number {
    return this.#size;
  }

  /** A new stream begins. All of the one before was given. */
  start(): void {
    this.#kernel.inflateStart();
    this.#history.clear();
    this.#waiting = this.#history.at;
    this.#ended = false;
    this.#sum = 0;
    this.#size = 0;
  }

  /** `ended` only when all bytes were given; `hungry` only when the kernel looked at all of `input`. */
  step(input: Uint8Array, output: Uint8Array): DataStep {
    let taken = 0;
    let given = 0;
    let loaded = 0;
    let loadedEnd = 0;
    while (true) {
      given += this.#give(output.subarray(given));
      if (this.#waiting < this.#history.at) return { taken, given, status: "full" };
      if (this.#ended) return { taken, given, status: "ended" };
      if (given === output.length) return { taken, given, status: "full" };
      if (loadedEnd - taken < MIN_INPUT && loadedEnd < input.length) {
        // A small output needs little input, of which the rest would be loaded again.
        const length = Math.min(INPUT, MIN_INPUT + 2 * (output.length - given));
        const part = input.subarray(taken, taken + length);
        this.#memory.set(part, this.#input);
        loaded = taken;
        loadedEnd = taken + part.length;
      }
      const status = this.#run(this.#input + taken - loaded, loadedEnd - taken, output.length - given);
      taken += this.#kernel.inflateTaken();
      if (status === BAD_STREAM) return { taken, given, status: "damaged" };
      if (status === NEEDS_INPUT && loadedEnd === input.length) {
        given += this.#give(output.subarray(given));
        return { taken, given, status: "hungry" };
      }
    }
  }

  save(): InflaterState {
    const kernel = this.#memory.subarray(this.#state, this.#state + this.#kernel.inflateStateBytes());
    this.#kernel.inflateSave(this.#state);
    const history = this.#history.save();
    return {
      bytes: history.made.length + kernel.length,
      kernel: kernel.slice(),
      history,
      waiting: this.#history.at - this.#waiting,
      sum: this.#sum,
      size: this.#size,
    };
  }

  restore(state: InflaterState): void {
    this.#memory.set(state.kernel, this.#state);
    this.#kernel.inflateRestore(this.#state);
    this.#history.restore(state.history);
    this.#waiting = this.#history.at - state.waiting;
    this.#ended = false;
    this.#sum = state.sum;
    this.#size = state.size;
  }

  /** CRC-32 of bytes that are not the stream's. */
  crc32(bytes: Uint8Array, seed: number): number {
    let sum = seed;
    for (let at = 0; at < bytes.length; at += INPUT) {
      const part = bytes.subarray(at, at + INPUT);
      this.#memory.set(part, this.#input);
      sum = this.#kernel.crc32(this.#input, part.length, sum) >>> 0;
    }
    return sum;
  }

  /** All that was made before was given. */
  #run(input: number, length: number, wanted: number): number {
    const room = Math.min(wanted, CHUNK);
    const history = this.#history;
    history.makeRoom(room);
    this.#waiting = history.at;
    const status = this.#kernel.inflateRun(input, length, history.at, room, history.first);
    const made = this.#kernel.inflateGiven();
    if (this.#summed) this.#sum = this.#kernel.crc32(history.at, made, this.#sum) >>> 0;
    history.at += made;
    this.#size = (this.#size + made) >>> 0;
    this.#ended = status === ENDED;
    return status;
  }

  #give(output: Uint8Array): number {
    const length = Math.min(output.length, this.#history.at - this.#waiting);
    if (length === 0) return 0;
    output.set(this.#memory.subarray(this.#waiting, this.#waiting + length));
    this.#waiting += length;
    return length;
  }
}
