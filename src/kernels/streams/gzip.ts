import { DiskError } from "../../core/errors.ts";
import { hexNumber } from "../../core/hex.ts";
import type { StreamDecoder, StreamState } from "../../core/ports.ts";
import { type DataStep, FramedDecoder, type Place, skipBytes } from "./framed-decoder.ts";
import { Inflater, type InflaterState } from "./inflater.ts";

/** RFC 1952 section 2.3: the parts of a member, in order; `between`: after a member, `padding`: zeros after the last one. */
type Part = "fixed" | "extra length" | "extra" | "name" | "comment" | "header CRC" | "data" | "trailer" | "between" | "padding" | "end";

const ID1 = 0x1f;
const ID2 = 0x8b;
const CM_DEFLATE = 8;
const FHCRC = 1 << 1;
const FEXTRA = 1 << 2;
const FNAME = 1 << 3;
const FCOMMENT = 1 << 4;
const RESERVED = 0xe0;
const FIXED_BYTES = 10;
const TRAILER_BYTES = 8;

interface GzipPlace extends Place {
  part: Part;
  /** Complete members so far. */
  members: number;
  flags: number;
  /** Bytes of the extra field that are still to come. */
  skip: number;
  /** CRC-32 of the member's header so far. */
  headerSum: number;
}
interface GzipState extends StreamState {
  readonly place: GzipPlace;
  readonly inflater: InflaterState;
}

/**
 * A gzip file (RFC 1952): members one after another, their checksums verified. Zeros after the last member are padding (tapes
 * leave them); other bytes there are left alone with a remark, as gzip does.
 */
export function createGzipDecoder(): StreamDecoder {
  return new GzipDecoder();
}

class GzipDecoder extends FramedDecoder<GzipPlace> {
  readonly #inflater = new Inflater(true);

  constructor() {
    super("gzip", { part: "fixed", at: 0, members: 0, flags: 0, skip: 0, headerSum: 0 });
  }

  save(): GzipState {
    const inflater = this.#inflater.save();
    return { bytes: inflater.bytes, place: { ...this.place }, inflater };
  }

  restore(state: StreamState): void {
    const saved = state as GzipState;
    this.place = { ...saved.place };
    this.#inflater.restore(saved.inflater);
  }

  protected get isInData(): boolean {
    return this.place.part === "data";
  }

  protected takeData(input: Uint8Array, output: Uint8Array): DataStep {
    const step = this.#inflater.step(input, output);
    if (step.status === "ended") this.place.part = "trailer";
    return step;
  }

  protected takePart(input: Uint8Array, last: boolean): number | null {
    const place = this.place;
    switch (place.part) {
      case "fixed":
        return this.#takeFixed(input);
      case "extra length":
        if (input.length < 2) return null;
        place.skip = (input[0] as number) | ((input[1] as number) << 8);
        return this.#takeHeader(input.subarray(0, 2), "extra");
      case "extra": {
        const length = skipBytes(place, input);
        if (length === null) return null;
        return this.#takeHeader(input.subarray(0, length), place.skip > 0 ? "extra" : this.#partAfter(FEXTRA));
      }
      case "name":
        return this.#takeText(input, FNAME);
      case "comment":
        return this.#takeText(input, FCOMMENT);
      case "header CRC": {
        if (input.length < 2) return null;
        const stated = (input[0] as number) | ((input[1] as number) << 8);
        const actual = place.headerSum & 0xffff;
        if (stated !== actual) throw this.corrupt(`CRC16 is ${hexNumber(stated)}, but the header gives ${hexNumber(actual)}`);
        return this.#takeHeader(input.subarray(0, 2), "data");
      }
      case "trailer":
        return this.#takeTrailer(input);
      case "between":
        return this.#takeBetween(input, last);
      default:
        return this.#takePadding(input, last);
    }
  }

  #takeFixed(input: Uint8Array): number | null {
    const { at, members } = this.place;
    if (members === 0 && ((input.length > 0 && input[0] !== ID1) || (input.length > 1 && input[1] !== ID2)))
      throw new DiskError("wrong-format", "gzip: ID1 and ID2 are not 0x1f and 0x8b: this is not a gzip file", { at });
    if (input.length < FIXED_BYTES) return null;
    const method = input[2] as number;
    const flags = input[3] as number;
    if (method !== CM_DEFLATE)
      throw new DiskError("unsupported", `gzip: CM is ${method}, expected ${CM_DEFLATE} (deflate)`, { at: at + 2 });
    if ((flags & RESERVED) !== 0)
      throw new DiskError("unsupported", `gzip: FLG is ${hexNumber(flags)}, but its three highest bits must be 0`, { at: at + 3 });
    this.place.flags = flags;
    this.place.headerSum = 0;
    return this.#takeHeader(input.subarray(0, FIXED_BYTES), this.#partAfter(0));
  }

  /** Up to and with the zero that ends it; of any length. */
  #takeText(input: Uint8Array, flag: number): number | null {
    if (input.length === 0) return null;
    const end = input.indexOf(0);
    if (end < 0) return this.#takeHeader(input, this.place.part);
    return this.#takeHeader(input.subarray(0, end + 1), this.#partAfter(flag));
  }

  #takeHeader(bytes: Uint8Array, next: Part): number {
    this.place.headerSum = this.#inflater.crc32(bytes, this.place.headerSum);
    this.place.part = next;
    if (next === "data") this.#inflater.start();
    return bytes.length;
  }

  /** The part that follows the one that belongs to `flag` (0: the fixed one). */
  #partAfter(flag: number): Part {
    const { flags } = this.place;
    if (flag < FEXTRA && (flags & FEXTRA) !== 0) return "extra length";
    if (flag < FNAME && (flags & FNAME) !== 0) return "name";
    if (flag < FCOMMENT && (flags & FCOMMENT) !== 0) return "comment";
    return (flags & FHCRC) !== 0 ? "header CRC" : "data";
  }

  #takeTrailer(input: Uint8Array): number | null {
    if (input.length < TRAILER_BYTES) return null;
    const view = new DataView(input.buffer, input.byteOffset, TRAILER_BYTES);
    const { at } = this.place;
    const sum = view.getUint32(0, true);
    const size = view.getUint32(4, true);
    const inflater = this.#inflater;
    if (sum !== inflater.sum) throw this.corrupt(`CRC32 is ${hexNumber(sum)}, but the data gives ${hexNumber(inflater.sum)}`);
    if (size !== inflater.size) throw this.corrupt(`ISIZE is ${size}, but the data has ${inflater.size} bytes (modulo 2^32)`, at + 4);
    this.place.members++;
    this.place.part = "between";
    return TRAILER_BYTES;
  }

  #takeBetween(input: Uint8Array, last: boolean): number | null {
    const [first, second] = input;
    if (first === ID1 && second === ID2) this.place.part = "fixed";
    else if (first === 0) this.place.part = "padding";
    else if (last || (first !== undefined && first !== ID1) || second !== undefined) this.place.part = "end";
    else return null;
    return 0;
  }

  #takePadding(input: Uint8Array, last: boolean): number | null {
    const end = input.findIndex((byte) => byte !== 0);
    if (end >= 0 || last) this.place.part = "end";
    else if (input.length === 0) return null;
    return end < 0 ? input.length : end;
  }

  protected override get partName(): string {
    const { part } = this.place;
    return part === "data" ? "the compressed data" : part === "trailer" ? "CRC32 and ISIZE" : "the header";
  }
}
