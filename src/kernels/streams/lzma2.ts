import { DiskError } from "../../core/errors.ts";
import { CHUNK_BYTES, DICTIONARY_MARGIN, type XzKernel } from "./xz-kernel.ts";

/** The .xz file format, section 5.3.1: values of a chunk's control byte. */
const END = 0;
const PLAIN_WITH_DICTIONARY_RESET = 1;
const PLAIN = 2;
const PACKED = 0x80;
const WITH_STATE_RESET = 0xa0;
const WITH_PROPERTIES = 0xc0;
const WITH_DICTIONARY_RESET = 0xe0;
const PLAIN_HEADER_BYTES = 3;
/** Without the properties. */
const PACKED_HEADER_BYTES = 5;

type Chunk =
  | { readonly kind: "plain"; left: number }
  /** `loaded` of its `packed` bytes lie in the kernel's memory; it begins at `at`. */
  | { readonly kind: "packed"; readonly at: number; readonly packed: number; loaded: number; left: number };

/** `given` bytes that lie at `place` in the kernel's memory. */
export interface Lzma2Step {
  readonly taken: number;
  readonly place: number;
  readonly given: number;
  readonly ended: boolean;
}
export interface Lzma2State {
  /** Also of the checks and filters. */
  readonly kernel: Uint8Array;
  readonly size: number;
  readonly at: number;
  readonly needsDictionary: boolean;
  readonly needsProperties: boolean;
  readonly chunk: Chunk | null;
  readonly input: Uint8Array;
  /** The dictionary, in the order in which its bytes came. */
  readonly dictionary: Uint8Array;
}

/** LZMA2: chunks of LZMA and of plain bytes, until one says that it is the end. */
export class Lzma2 {
  readonly #kernel: XzKernel;
  #size = 0;
  /** Bytes taken since the start. */
  #at = 0;
  #needsDictionary = true;
  #needsProperties = true;
  #chunk: Chunk | null = null;

  constructor(kernel: XzKernel) {
    this.#kernel = kernel;
  }

  get at(): number {
    return this.#at;
  }

  /** `size`: how far back matches reach. */
  start(size: number): void {
    this.#kernel.reserve(size);
    this.#kernel.exports.lzmaResetDictionary();
    this.#size = size;
    this.#at = 0;
    this.#needsDictionary = true;
    this.#needsProperties = true;
    this.#chunk = null;
  }

  /** Gives at most `room` bytes, fewer where that is easier; gives nothing only for want of input or room. Errors: `at` since the start. */
  step(input: Uint8Array, room: number): Lzma2Step {
    const begin = this.#at;
    const nothing = { place: 0, given: 0 };
    while (true) {
      const rest = input.subarray(this.#at - begin);
      const chunk = this.#chunk;
      if (chunk === null) {
        const length = this.#readHeader(rest);
        if (length === null) return { ...nothing, taken: this.#at - begin, ended: false };
        this.#at += length;
        if (this.#chunk === null) return { ...nothing, taken: this.#at - begin, ended: true };
        continue;
      }
      if (chunk.kind === "packed" && chunk.loaded < chunk.packed) {
        const part = rest.subarray(0, chunk.packed - chunk.loaded);
        if (part.length === 0) return { ...nothing, taken: this.#at - begin, ended: false };
        this.#kernel.memory.set(part, this.#kernel.input + chunk.loaded);
        chunk.loaded += part.length;
        this.#at += part.length;
        if (chunk.loaded === chunk.packed && this.#kernel.exports.lzmaBegin(this.#kernel.input, chunk.packed, chunk.left) < 0)
          throw new DiskError("corrupt", "the LZMA chunk does not begin as one", { at: chunk.at });
        continue;
      }
      if (room === 0 || (chunk.kind === "plain" && rest.length === 0)) return { ...nothing, taken: this.#at - begin, ended: false };
      const given = chunk.kind === "plain" ? this.#plain(rest, Math.min(chunk.left, room)) : this.#unpack(chunk.at, chunk.packed, room);
      chunk.left -= given;
      if (chunk.left === 0) this.#chunk = null;
      const end = this.#kernel.dictionary + this.#kernel.exports.lzmaPosition();
      return { taken: this.#at - begin, place: end - given, given, ended: false };
    }
  }

  save(): Lzma2State {
    const { memory, input, dictionary, exports } = this.#kernel;
    const chunk = this.#chunk === null ? null : { ...this.#chunk };
    const reach = exports.lzmaReach();
    const position = exports.lzmaPosition();
    const history = new Uint8Array(reach);
    const near = Math.min(reach, position);
    history.set(memory.subarray(dictionary + position - near, dictionary + position), reach - near);
    // The buffer is a circle: the rest lies at its end.
    const end = dictionary + this.#size + DICTIONARY_MARGIN;
    history.set(memory.subarray(end - (reach - near), end));
    return {
      kernel: this.#kernel.saveState(),
      size: this.#size,
      at: this.#at,
      needsDictionary: this.#needsDictionary,
      needsProperties: this.#needsProperties,
      chunk,
      input: memory.slice(input, input + (chunk?.kind === "packed" ? chunk.loaded : 0)),
      dictionary: history,
    };
  }

  restore(state: Lzma2State): void {
    this.start(state.size);
    this.#kernel.restoreState(state.kernel);
    this.#at = state.at;
    this.#needsDictionary = state.needsDictionary;
    this.#needsProperties = state.needsProperties;
    this.#chunk = state.chunk === null ? null : { ...state.chunk };
    this.#kernel.memory.set(state.input, this.#kernel.input);
    this.#kernel.memory.set(state.dictionary, this.#kernel.dictionary);
    this.#kernel.exports.lzmaMoved(state.dictionary.length);
  }

  /** A chunk's header; its length, or null when there is not all of it. */
  #readHeader(input: Uint8Array): number | null {
    const { exports } = this.#kernel;
    const [control, ...size] = input.subarray(0, PACKED_HEADER_BYTES);
    if (control === undefined) return null;
    if (control === END) return 1;
    const resets = control >= WITH_DICTIONARY_RESET || control === PLAIN_WITH_DICTIONARY_RESET;
    if (control > PLAIN && control < PACKED) throw this.#bad(`the control byte of a chunk is 0x${control.toString(16)}`);
    if (this.#needsDictionary && !resets) throw this.#bad("the first chunk does not reset the dictionary");
    const word = (at: number): number => ((size[at] as number) << 8) + (size[at + 1] as number) + 1;
    if (control < PACKED) {
      if (input.length < PLAIN_HEADER_BYTES) return null;
      if (resets) this.#resetDictionary();
      this.#chunk = { kind: "plain", left: word(0) };
      return PLAIN_HEADER_BYTES;
    }
    const hasProperties = control >= WITH_PROPERTIES;
    const length = PACKED_HEADER_BYTES + (hasProperties ? 1 : 0);
    if (!hasProperties && this.#needsProperties) throw this.#bad("an LZMA chunk comes before the properties that it needs");
    if (input.length < length) return null;
    if (resets) this.#resetDictionary();
    if (hasProperties) {
      if (exports.lzmaProperties(input[PACKED_HEADER_BYTES] as number) < 0) throw this.#bad("lc, lp and pb of a chunk are out of range");
      this.#needsProperties = false;
    } else if (control >= WITH_STATE_RESET) exports.lzmaResetState();
    const left = word(0) + ((control & 0x1f) << 16);
    this.#chunk = { kind: "packed", at: this.#at, packed: word(2), loaded: 0, left };
    return length;
  }

  #resetDictionary(): void {
    this.#kernel.exports.lzmaResetDictionary();
    this.#needsDictionary = false;
    this.#needsProperties = true;
  }

  #plain(input: Uint8Array, room: number): number {
    const { memory, input: place, dictionary, exports } = this.#kernel;
    const part = input.subarray(0, Math.min(room, CHUNK_BYTES));
    memory.set(part, place);
    const given = exports.lzmaStored(place, part.length, dictionary, this.#size);
    this.#at += given;
    return given;
  }

  #unpack(at: number, packed: number, room: number): number {
    const { input, dictionary, exports } = this.#kernel;
    const given = exports.lzmaDecode(input, packed, dictionary, this.#size, Math.min(room, 1 << 30));
    if (given < 0) throw new DiskError("corrupt", "the LZMA chunk is damaged", { at });
    return given;
  }

  #bad(message: string): DiskError {
    return new DiskError("corrupt", message, { at: this.#at });
  }
}
