import { BZIP2_BASE64 } from "../../../build/bzip2.js";
import { DiskError } from "../../core/errors.ts";
import type { StreamDecoder, StreamState, StreamStep } from "../../core/ports.ts";
import type { UnitDecoder } from "./index.ts";
import { kernelModule } from "./instance.ts";
import { unitDecoder } from "./stream-units.ts";

/** What each does is stated in `assembly/bzip2/`; places are offsets into the memory. */
interface Bzip2Exports {
  heapBase(): number;
  bzip2Append(length: number): void;
  bzip2At(): number;
  bzip2BlockCrc(): number;
  bzip2BlockStart(): number;
  bzip2ColumnBytes(): number;
  bzip2Compact(): number;
  bzip2Given(): number;
  bzip2InputEnd(): number;
  bzip2IsBetween(): number;
  bzip2Places(input: number, column: number, chain: number): void;
  bzip2Restored(): void;
  bzip2Run(output: number, room: number, last: boolean): number;
  bzip2Start(): void;
  bzip2State(): number;
  bzip2StateBytes(): number;
  bzip2StatedCrc(): number;
  bzip2StreamCrc(): number;
}

/** `assembly/bzip2/parts.ts` has the same numbers. */
const OUTPUT_FULL = 1;
const STREAM_ENDED = 2;
const FOREIGN = 3;
const FAILURES: Readonly<Record<number, string>> = {
  [-2]: "neither a block nor the end of the stream begins here",
  [-3]: "the block's header is damaged",
  [-4]: "the block's data is damaged",
};
const BAD_MAGIC = -1;
const BAD_BLOCK_CRC = -5;
const BAD_STREAM_CRC = -6;
const CRC_BYTES = 4;

const INPUT = 1 << 16;
/** A group of symbols that the input breaks off in, and a load beyond. */
const INPUT_SLACK = 256;
const OUTPUT = 1 << 17;
const COLUMN = 900_000;
const CHAIN = 4 * COLUMN;

interface Bzip2State extends StreamState {
  readonly kernel: Uint8Array;
  readonly input: Uint8Array;
  readonly column: Uint8Array;
  readonly dropped: number;
  readonly ended: boolean;
}

const instantiate = kernelModule<Bzip2Exports>(BZIP2_BASE64);
const hex = (value: number): string => `0x${(value >>> 0).toString(16).padStart(8, "0")}`;

/** A bzip2 file: streams one after another. Other bytes behind a stream are left alone with a remark, as bzip2 does. */
export function createBzip2Decoder(): StreamDecoder {
  return new Bzip2Decoder(true);
}

/** Units of one bzip2 stream each. */
export function createBzip2Units(): UnitDecoder {
  const decoder = new Bzip2Decoder(false);
  return unitDecoder("bzip2", decoder, () => decoder.begin());
}

/** In about 5 MiB of memory. */
class Bzip2Decoder implements StreamDecoder {
  readonly #kernel: Bzip2Exports;
  readonly #memory: Uint8Array<ArrayBuffer>;
  readonly #input: number;
  readonly #output: number;
  readonly #column: number;
  readonly #several: boolean;
  /** Bytes of the packed stream before the kernel's input. */
  #dropped = 0;
  #ended = false;

  /** `several`: streams may follow the first. */
  constructor(several: boolean) {
    const { exports, base, reserve } = instantiate();
    this.#kernel = exports;
    this.#several = several;
    this.#input = base;
    this.#output = this.#input + INPUT + INPUT_SLACK;
    this.#column = this.#output + OUTPUT;
    const chain = this.#column + COLUMN;
    this.#memory = reserve(chain + CHAIN - base);
    exports.bzip2Places(this.#input, this.#column, chain);
    this.begin();
  }

  /** Back to the beginning of a stream. */
  begin(): void {
    this.#kernel.bzip2Start();
    this.#dropped = 0;
    this.#ended = false;
  }

  step(input: Uint8Array, last: boolean, output: Uint8Array): StreamStep {
    const kernel = this.#kernel;
    let taken = 0;
    let given = 0;
    while (!this.#ended) {
      taken += this.#append(input.subarray(taken));
      const all = last && taken === input.length;
      const status = kernel.bzip2Run(this.#output, Math.min(OUTPUT, output.length - given), all);
      const made = kernel.bzip2Given();
      output.set(this.#memory.subarray(this.#output, this.#output + made), given);
      given += made;
      if (status < 0) throw this.#failure(status);
      if (status === FOREIGN) return this.#end(taken, given, `bzip2: the bytes from ${this.#at()} on do not belong to the stream`);
      if (status === STREAM_ENDED) {
        if (!this.#several) return this.#end(taken, given, null);
        continue;
      }
      if (status === OUTPUT_FULL) {
        if (given === output.length) return { taken, given, ended: false, remark: null };
        continue;
      }
      if (taken < input.length) continue;
      if (!last) return { taken, given, ended: false, remark: null };
      if (kernel.bzip2IsBetween() === 0)
        throw new DiskError("corrupt", "bzip2: the file ends inside a stream: it is truncated", {
          at: this.#dropped + kernel.bzip2InputEnd(),
        });
      this.#ended = true;
    }
    return { taken, given, ended: true, remark: null };
  }

  save(): Bzip2State {
    const memory = this.#memory;
    const state = this.#kernel.bzip2State();
    const kernel = memory.slice(state, state + this.#kernel.bzip2StateBytes());
    const input = memory.slice(this.#input, this.#input + this.#kernel.bzip2InputEnd());
    const column = memory.slice(this.#column, this.#column + this.#kernel.bzip2ColumnBytes());
    const bytes = kernel.length + input.length + column.length;
    return { bytes, kernel, input, column, dropped: this.#dropped, ended: this.#ended };
  }

  restore(state: StreamState): void {
    const saved = state as Bzip2State;
    this.#memory.set(saved.kernel, this.#kernel.bzip2State());
    this.#memory.set(saved.input, this.#input);
    this.#memory.set(saved.column, this.#column);
    this.#dropped = saved.dropped;
    this.#ended = saved.ended;
    this.#kernel.bzip2Restored();
  }

  /** Puts as much input as there is room for behind the kernel's. */
  #append(input: Uint8Array): number {
    if (input.length === 0) return 0;
    this.#dropped += this.#kernel.bzip2Compact();
    const end = this.#kernel.bzip2InputEnd();
    const part = input.subarray(0, INPUT - end);
    this.#memory.set(part, this.#input + end);
    this.#kernel.bzip2Append(part.length);
    return part.length;
  }

  /** Of the next bit, in the packed stream. */
  #at(): number {
    return this.#dropped + this.#kernel.bzip2At();
  }

  #end(taken: number, given: number, remark: string | null): StreamStep {
    this.#ended = true;
    const unused = this.#kernel.bzip2InputEnd() - this.#kernel.bzip2At();
    return { taken: Math.max(0, taken - unused), given, ended: true, remark };
  }

  #failure(status: number): DiskError {
    const kernel = this.#kernel;
    if (status === BAD_MAGIC)
      return new DiskError("wrong-format", 'bzip2: the magic "BZh" and a size from 1 to 9 are missing: this is not a bzip2 file', {
        at: 0,
      });
    if (status === BAD_STREAM_CRC) {
      const sums = `${hex(kernel.bzip2StatedCrc())}, but its blocks give ${hex(kernel.bzip2StreamCrc())}`;
      return new DiskError("corrupt", `bzip2: the stream's CRC is ${sums}`, { at: this.#at() - CRC_BYTES });
    }
    const at = this.#dropped + kernel.bzip2BlockStart();
    if (status !== BAD_BLOCK_CRC) return new DiskError("corrupt", `bzip2: ${FAILURES[status]}`, { at });
    const sums = `${hex(kernel.bzip2StatedCrc())}, but its data gives ${hex(kernel.bzip2BlockCrc())}`;
    return new DiskError("corrupt", `bzip2: the block's CRC is ${sums}`, { at });
  }
}
