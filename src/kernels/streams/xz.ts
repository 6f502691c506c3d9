import { DiskError } from "../../core/errors.ts";
import { hexNumber, hexText } from "../../core/hex.ts";
import type { StreamDecoder, StreamState } from "../../core/ports.ts";
import { type DataStep, FramedDecoder, type Place } from "./framed-decoder.ts";
import type { UnitDecoder } from "./index.ts";
import { Lzma2, type Lzma2State, type Lzma2Step } from "./lzma2.ts";
import { unitDecoder } from "./stream-units.ts";
import { type FilterState, XzFilters } from "./xz-filters.ts";
import {
  type BlockHeader,
  beginsStream,
  checkBytes,
  checkName,
  readBlockHeader,
  readStreamFooter,
  readStreamHeader,
  STREAM_FOOTER_BYTES,
  STREAM_HEADER_BYTES,
  takeNumber,
} from "./xz-headers.ts";
import { XzKernel } from "./xz-kernel.ts";

/** The parts of an xz file, in order; `between`: behind a stream. */
type Part =
  | "Stream Header"
  | "Block Header"
  | "compressed data"
  | "Block Padding"
  | "Check"
  | "number of records"
  | "Index"
  | "Index Padding"
  | "Index CRC32"
  | "Stream Footer"
  | "between"
  | "end";

/** Blocks, counted as they were decoded and as the Index states them; a sum over their records instead of a list of them. */
interface Tally {
  count: number;
  readonly sum: Uint8Array;
}
interface XzPlace extends Place {
  part: Part;
  /** Where the part began: of the Index, of the compressed data, of the padding behind a stream. */
  start: number;
  streams: number;
  check: number;
  block: BlockHeader | null;
  /** Bytes that the block has given. */
  given: number;
  /** The compressed data has ended; filters may still have bytes to give. */
  drained: boolean;
  /** Records of the Index that are still to come. */
  records: number;
  indexSum: number;
}
interface XzState extends StreamState {
  readonly place: XzPlace;
  readonly found: Tally;
  readonly stated: Tally;
  readonly lzma2: Lzma2State;
  readonly filters: FilterState;
}
/** What becomes of one part: bytes taken, or null when more are needed. */
type Taken = number | null;

const DICTIONARY_LIMIT = 192 * 2 ** 20;
const INDEX_INDICATOR = 0;
const RECORD_BYTES = 16;
const INDEX_SUM_BYTES = 4;

const newPlace = (): XzPlace => ({
  part: "Stream Header",
  at: 0,
  start: 0,
  streams: 0,
  check: 0,
  block: null,
  given: 0,
  drained: false,
  records: 0,
  indexSum: 0,
});
const newTally = (): Tally => ({ count: 0, sum: new Uint8Array(8) });
const copyTally = ({ count, sum }: Tally): Tally => ({ count, sum: sum.slice() });
const padding = (bytes: number): number => -bytes & 3;

/** An xz file: streams one after another with their padding. All checks and sizes that it states are verified. */
export function createXzDecoder(): StreamDecoder {
  return new XzDecoder(Number.POSITIVE_INFINITY, true);
}

/** Units of one xz stream each. */
export function createXzUnits(): UnitDecoder {
  const decoder = new XzDecoder(0, false);
  return unitDecoder("xz", decoder, (unpacked) => decoder.begin(unpacked));
}

class XzDecoder extends FramedDecoder<XzPlace> {
  readonly #kernel = new XzKernel();
  readonly #lzma2 = new Lzma2(this.#kernel);
  readonly #filters = new XzFilters(this.#kernel);
  readonly #crc32 = (bytes: Uint8Array): number => this.#kernel.crc32(bytes);
  readonly #several: boolean;
  #most: number;
  #found = newTally();
  #stated = newTally();

  /** `most`: bytes that are wanted in all; larger dictionaries serve nothing. `several`: streams may follow the first. */
  constructor(most: number, several: boolean) {
    super("xz", newPlace());
    this.#most = most;
    this.#several = several;
  }

  /** Back to the beginning of a stream. */
  begin(most: number): void {
    this.#most = most;
    this.place = newPlace();
  }

  save(): XzState {
    const lzma2 = this.#lzma2.save();
    const filters = this.#filters.save();
    const bytes = lzma2.kernel.length + lzma2.input.length + lzma2.dictionary.length + filters.ready.length;
    const place = { ...this.place };
    return { bytes, place, found: copyTally(this.#found), stated: copyTally(this.#stated), lzma2, filters };
  }

  restore(state: StreamState): void {
    const saved = state as XzState;
    this.place = { ...saved.place };
    this.#found = copyTally(saved.found);
    this.#stated = copyTally(saved.stated);
    this.#filters.restore(saved.filters, saved.place.block?.filters ?? []);
    this.#lzma2.restore(saved.lzma2);
  }

  protected get isInData(): boolean {
    return this.place.part === "compressed data";
  }

  protected takeData(input: Uint8Array, output: Uint8Array): DataStep {
    const filters = this.#filters;
    const place = this.place;
    let taken = 0;
    let given = 0;
    while (true) {
      given += filters.give(output.subarray(given));
      if (filters.ready > 0) return { taken, given, status: "full" };
      if (place.drained) {
        this.#endBlock(place.at + taken);
        return { taken, given, status: "ended" };
      }
      const room = output.length - given;
      const step = this.#decode(input.subarray(taken), filters.active && room > 0 ? filters.room : room);
      taken += step.taken;
      place.drained = step.ended;
      if (!filters.active) {
        output.set(this.#kernel.memory.subarray(step.place, step.place + step.given), given);
        given += step.given;
        this.#count(step.place, step.given);
      } else if (step.given > 0 || step.ended) {
        const through = filters.run(step.place, step.given, step.ended);
        this.#count(through.place, through.length);
      }
      if (step.given === 0 && !step.ended) return { taken, given, status: "hungry" };
    }
  }

  #decode(input: Uint8Array, room: number): Lzma2Step {
    try {
      return this.#lzma2.step(input, room);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      throw new DiskError(error.code, `xz: ${error.message}`, { at: this.place.start + (error.at ?? 0) });
    }
  }

  #count(at: number, length: number): void {
    const place = this.place;
    place.given += length;
    const unpacked = place.block?.unpacked ?? null;
    if (unpacked !== null && place.given > unpacked)
      throw this.corrupt(`the block gives more than its Uncompressed Size, ${unpacked}`, place.start);
    this.#kernel.exports.checkUpdate(place.check, at, length);
  }

  #endBlock(at: number): void {
    const place = this.place;
    const block = place.block as BlockHeader;
    const packed = this.#lzma2.at;
    if (block.packed !== null && block.packed !== packed)
      throw this.corrupt(`Compressed Size is ${block.packed}, but the block's data has ${packed} bytes`, at);
    if (block.unpacked !== null && block.unpacked !== place.given)
      throw this.corrupt(`Uncompressed Size is ${block.unpacked}, but the block gives ${place.given} bytes`, at);
    this.#record(this.#found, block.length + packed + checkBytes(place.check), place.given);
    place.part = "Block Padding";
  }

  #record(tally: Tally, unpadded: number, unpacked: number): void {
    const record = new DataView(new ArrayBuffer(RECORD_BYTES));
    record.setFloat64(0, unpadded);
    record.setFloat64(8, unpacked);
    tally.count++;
    this.#kernel.crc64(tally.sum, new Uint8Array(record.buffer));
  }

  protected takePart(input: Uint8Array, last: boolean): Taken {
    const place = this.place;
    switch (place.part) {
      case "Stream Header":
        return this.#takeStreamHeader(input);
      case "Block Header":
        return this.#takeBlockHeader(input);
      case "Block Padding":
        return this.#takePadding(input, padding(place.at - place.start), "Check");
      case "Check":
        return this.#takeCheck(input);
      case "number of records":
        return this.#takeRecordCount(input);
      case "Index":
        return this.#takeRecord(input);
      case "Index Padding":
        return this.#takeIndexPadding(input);
      case "Index CRC32":
        return this.#takeIndexSum(input);
      case "Stream Footer":
        return this.#takeStreamFooter(input);
      default:
        return this.#takeBetween(input, last);
    }
  }

  #takeStreamHeader(input: Uint8Array): Taken {
    const place = this.place;
    if (beginsStream(input) && input.length < STREAM_HEADER_BYTES) return null;
    place.check = readStreamHeader(input.subarray(0, STREAM_HEADER_BYTES), place.at, place.streams === 0, this.#crc32);
    place.part = "Block Header";
    this.#found = newTally();
    this.#stated = newTally();
    return STREAM_HEADER_BYTES;
  }

  #takeBlockHeader(input: Uint8Array): Taken {
    const place = this.place;
    const [size] = input;
    if (size === undefined) return null;
    if (size === INDEX_INDICATOR) {
      place.start = place.at;
      place.indexSum = this.#kernel.crc32(input.subarray(0, 1));
      place.part = "number of records";
      return 1;
    }
    const length = (size + 1) * 4;
    if (input.length < length) return null;
    const block = readBlockHeader(input.subarray(0, length), place.at, this.#crc32);
    const dictionary = Math.min(block.dictionary, block.unpacked ?? this.#most, this.#most);
    if (dictionary > DICTIONARY_LIMIT)
      throw new DiskError("limit", `xz: the block needs a dictionary of ${dictionary} bytes, the most is ${DICTIONARY_LIMIT}`, {
        at: place.at,
      });
    this.#lzma2.start(dictionary);
    this.#filters.start(block.filters);
    this.#kernel.exports.checkStart(place.check);
    place.block = block;
    place.start = place.at + length;
    place.given = 0;
    place.drained = false;
    place.part = "compressed data";
    return length;
  }

  #takePadding(input: Uint8Array, length: number, next: Part): Taken {
    if (input.length < length) return null;
    if (input.subarray(0, length).some((byte) => byte !== 0)) throw this.corrupt(`the ${this.place.part} is not zero`);
    this.place.part = next;
    return length;
  }

  #takeCheck(input: Uint8Array): Taken {
    const { check, at } = this.place;
    const length = checkBytes(check);
    if (input.length < length) return null;
    const { memory, exports } = this.#kernel;
    const found = exports.checkFinish(check);
    const actual = hexText(memory.subarray(found, found + length));
    const stated = hexText(input.subarray(0, length));
    if (stated !== actual) throw this.corrupt(`${checkName(check)} of the block is ${stated}, but its data gives ${actual}`, at);
    this.place.part = "Block Header";
    return length;
  }

  #takeRecordCount(input: Uint8Array): Taken {
    const place = this.place;
    const records = takeNumber(input, "Number of Records", place.at);
    if (records === null) return null;
    if (records.value !== this.#found.count)
      throw this.corrupt(`Number of Records is ${records.value}, but the stream has ${this.#found.count} blocks`);
    place.records = records.value;
    place.part = "Index";
    return this.#sumIndex(input.subarray(0, records.length));
  }

  #takeRecord(input: Uint8Array): Taken {
    const place = this.place;
    if (place.records === 0) {
      place.part = "Index Padding";
      return 0;
    }
    const unpadded = takeNumber(input, "Unpadded Size", place.at);
    if (unpadded === null) return null;
    const unpacked = takeNumber(input.subarray(unpadded.length), "Uncompressed Size", place.at + unpadded.length);
    if (unpacked === null) return null;
    this.#record(this.#stated, unpadded.value, unpacked.value);
    place.records--;
    return this.#sumIndex(input.subarray(0, unpadded.length + unpacked.length));
  }

  #takeIndexPadding(input: Uint8Array): Taken {
    const place = this.place;
    const length = this.#takePadding(input, padding(place.at - place.start), "Index CRC32");
    if (length === null) return null;
    if (hexText(this.#found.sum) !== hexText(this.#stated.sum))
      throw this.corrupt("the Index states other sizes than the blocks have", place.start);
    return this.#sumIndex(input.subarray(0, length));
  }

  #takeIndexSum(input: Uint8Array): Taken {
    const place = this.place;
    if (input.length < INDEX_SUM_BYTES) return null;
    const stated = new DataView(input.buffer, input.byteOffset).getUint32(0, true);
    if (stated !== place.indexSum)
      throw this.corrupt(`CRC32 of the Index is ${hexNumber(stated)}, but its bytes give ${hexNumber(place.indexSum)}`);
    place.part = "Stream Footer";
    return INDEX_SUM_BYTES;
  }

  #sumIndex(bytes: Uint8Array): number {
    this.place.indexSum = this.#kernel.crc32(bytes, this.place.indexSum);
    return bytes.length;
  }

  #takeStreamFooter(input: Uint8Array): Taken {
    const place = this.place;
    if (input.length < STREAM_FOOTER_BYTES) return null;
    readStreamFooter(input.subarray(0, STREAM_FOOTER_BYTES), place.at, place.check, place.at - place.start, this.#crc32);
    place.streams++;
    place.start = place.at + STREAM_FOOTER_BYTES;
    place.part = this.#several ? "between" : "end";
    return STREAM_FOOTER_BYTES;
  }

  /** Section 2.2: zeros, a multiple of four of them, and then another stream or nothing. */
  #takeBetween(input: Uint8Array, last: boolean): Taken {
    const place = this.place;
    const next = input.findIndex((byte) => byte !== 0);
    const zeros = next < 0 ? input.length : next;
    if (next < 0 && !last) return zeros === 0 ? null : zeros;
    if ((place.at + zeros - place.start) % 4 !== 0) throw this.corrupt("Stream Padding is not a multiple of four bytes", place.at + zeros);
    place.part = next < 0 ? "end" : "Stream Header";
    return zeros;
  }

  protected override get partName(): string {
    const { part } = this.place;
    return part === "compressed data" ? "a block's data" : part === "number of records" ? "the Index" : `the ${part}`;
  }
}
