import { DiskError } from "../../core/errors.ts";
import type { StreamDecoder, StreamState, StreamStep } from "../../core/ports.ts";

/** Where a decoder stands in a file of several parts. Plain data: a shallow copy is the whole of it. */
export interface Place {
  /** The part that comes next, by its name in the format's specification; "end": nothing does. */
  part: string;
  /** Offset in the packed stream. */
  at: number;
}
/** `hungry`: more input is needed. `full`: the output is. `ended`: the data did. `damaged`: it cannot go on. */
export interface DataStep {
  readonly taken: number;
  readonly given: number;
  readonly status: "hungry" | "full" | "ended" | "damaged";
}

/** Of LZ4 and Zstandard, with any value in the lowest four bits. */
const MAGIC_SKIPPABLE = 0x184d2a50;
export const isSkippable = (magic: number): boolean => (magic & ~15) === MAGIC_SKIPPABLE;

/** Goes over bytes that do not matter, of which `place.skip` are still to come: how many; null when there is no input. */
export function skipBytes(place: { skip: number }, input: Uint8Array): number | null {
  const length = Math.min(place.skip, input.length);
  if (length === 0 && place.skip > 0) return null;
  place.skip -= length;
  return length;
}

export const u32 = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);

/** The way through a file whose packed data stand between headers, sums and padding: `place` says which part comes next. */
export abstract class FramedDecoder<P extends Place> implements StreamDecoder {
  protected place: P;
  readonly #codec: string;

  constructor(codec: string, place: P) {
    this.#codec = codec;
    this.place = place;
  }

  step(input: Uint8Array, last: boolean, output: Uint8Array): StreamStep {
    let taken = 0;
    let given = 0;
    while (this.isInData || this.place.part !== "end") {
      const rest = input.subarray(taken);
      if (this.isInData) {
        const step = this.takeData(rest, output.subarray(given));
        taken += step.taken;
        given += step.given;
        this.place.at += step.taken;
        if (step.status === "ended") continue;
        if (step.status === "damaged") throw this.corrupt(`${this.partName} is damaged`);
        if (step.status === "hungry" && last && given < output.length) throw this.#truncated(rest.length - step.taken);
        break;
      }
      const length = this.takePart(rest, last);
      if (length === null) {
        if (last) throw this.#truncated(rest.length);
        break;
      }
      taken += length;
      this.place.at += length;
    }
    const ended = this.place.part === "end";
    const remark = ended && taken < input.length ? `${this.#codec}: the bytes from ${this.place.at} on do not belong to the stream` : null;
    return { taken, given, ended, remark };
  }

  abstract save(): StreamState;
  abstract restore(state: StreamState): void;

  /** Whether packed data come next, or bytes wait to be given. */
  protected abstract get isInData(): boolean;
  /** Goes on with the data; when they have ended, on to the next part. `place.at` is where `input` begins. */
  protected abstract takeData(input: Uint8Array, output: Uint8Array): DataStep;
  /** Goes over any other part, or a piece of it, and on to the next: bytes taken; null when more are needed. */
  protected abstract takePart(input: Uint8Array, last: boolean): number | null;

  /** Of the part that is under way, for messages. */
  protected get partName(): string {
    return `the ${this.place.part}`;
  }

  protected corrupt(what: string, at = this.place.at): DiskError {
    return new DiskError("corrupt", `${this.#codec}: ${what}`, { at });
  }

  #truncated(left: number): DiskError {
    return this.corrupt(`the file ends inside ${this.partName}: it is truncated`, this.place.at + left);
  }
}
