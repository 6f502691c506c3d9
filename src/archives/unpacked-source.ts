import { BitSet } from "../core/bit-set.ts";
import { checkRange } from "../core/bytes.ts";
import { DiskError } from "../core/errors.ts";
import type { ByteSource, OpenContext, Range } from "../core/model.ts";
import type { StreamCodec, StreamDecoder, StreamState } from "../core/ports.ts";
import { growthOf, withGrowth } from "./growth.ts";

// A packed stream can only be read from its beginning. Here it is gone through once, which tells its size and proves its
// checksums before anything is written; on the way the decoder's state is kept at places from which reading can go on later, and it is
// noted which windows hold anything but zeros: the others are never decoded again.

/** Plain bytes are cached in windows of this size; a read that goes backwards a little finds them here. */
const WINDOW = 1 << 20;
const CACHED_WINDOWS = 24;
/** All states together; when they outgrow it every second one is given up. */
const STATE_BYTES = 48 << 20;
const FIRST_SPACING = 4 << 20;
/** A state larger than this (of a codec with a huge dictionary) is the last one that is kept: a few of them would fill the memory. */
const LARGEST_STATE = 72 << 20;
/** Packed bytes read at once. */
const INPUT = 1 << 20;
/** Plain bytes after which the event loop gets a turn, so that a cancel is heard: packed zeros give terabytes for one piece of input. */
const TURN = 32 << 20;
/** A stream that becomes larger than this and than so many times what the outermost file has of it is followed only when the user says so. */
const BOMB_BYTES = 2 * 2 ** 30;
const BOMB_RATIO = 200;

/** What is known of the plain bytes beforehand; they are held to it. */
export interface Expected {
  readonly size: number;
  readonly crc32: number;
}

export interface UnpackedSource extends ByteSource {
  readonly remarks: readonly string[];
}

/** The plain bytes of a packed stream, at random access. Memory: at most about 100 MiB, a bit per MiB, and what the codec needs for itself. */
export async function unpackedSource(
  packed: ByteSource,
  codec: StreamCodec,
  name: string,
  context: OpenContext,
  expected?: Expected,
): Promise<UnpackedSource> {
  const reader = new StreamReader(packed, codec, context);
  await reader.start();
  const size = await reader.goThrough(expected);
  let queue: Promise<unknown> = Promise.resolve();
  const source: UnpackedSource = {
    name,
    size,
    origin: null,
    remarks: reader.remarks,
    dataRanges: (at, length) => reader.dataRanges(at, length, size),
    read(at, length, signal) {
      const work = queue.then(() => {
        signal?.throwIfAborted();
        checkRange({ name, size }, at, length);
        return reader.read(at, length, size, signal);
      });
      queue = work.catch(() => undefined);
      return work;
    },
  };
  return withGrowth(source, (growthOf(packed) * size) / packed.size);
}

/** The first bytes of a packed stream, at most `length`: without going through the rest. */
export async function firstBytes(packed: ByteSource, codec: StreamCodec, length: number, context: OpenContext): Promise<Uint8Array> {
  const reader = new StreamReader(packed, codec, context);
  await reader.start();
  const out = new Uint8Array(length);
  return out.subarray(0, await reader.fill(out, context.signal));
}

interface Checkpoint {
  /** Place in the plain bytes, and in the packed ones. */
  readonly at: number;
  readonly packedAt: number;
  readonly state: StreamState;
}

/** A decoder with its place in the stream. */
class StreamReader {
  readonly remarks: string[] = [];
  readonly #packed: ByteSource;
  readonly #codec: StreamCodec;
  readonly #context: OpenContext;
  #decoder: StreamDecoder | null = null;
  /** Plain bytes given so far, and the place of the next packed byte. */
  #at = 0;
  #packedAt = 0;
  #ended = false;
  /** Something failed under way: neither the decoder nor its place can be gone on from. */
  #isAstray = false;
  /** Packed bytes read ahead: `#input` begins at `#packedAt`. */
  #input: Uint8Array = new Uint8Array(0);
  /** Plain bytes since the packed source was last read. */
  #sinceRead = 0;
  #checkpoints: Checkpoint[] = [];
  #spacing = FIRST_SPACING;
  readonly #windows = new Map<number, Uint8Array>();
  /** What a window was cached in that gave way to another: the next one is decoded into it, so that none wait to be collected. */
  #spare: Uint8Array | null = null;
  /** Numbers of the windows that hold anything but zeros. */
  readonly #data = new BitSet();

  constructor(packed: ByteSource, codec: StreamCodec, context: OpenContext) {
    this.#packed = packed;
    this.#codec = codec;
    this.#context = context;
  }

  async start(): Promise<void> {
    this.#decoder = await this.#context.compute.streamDecoder(this.#codec);
    this.#keepState();
  }

  /** From the beginning to the end: the size of it all. */
  async goThrough(expected: Expected | undefined): Promise<number> {
    const { compute, signal, onUnpack } = this.#context;
    let sum = 0;
    let buffer = new Uint8Array(WINDOW);
    if (expected !== undefined) this.#followOnly(expected.size);
    while (!this.#ended) {
      signal?.throwIfAborted();
      const start = this.#at;
      const given = await this.fill(buffer, signal);
      const bytes = buffer.subarray(0, given);
      if (expected !== undefined) {
        if (this.#at > expected.size) throw this.#fault(`holds more than the ${expected.size} bytes that are stated`);
        sum = compute.crc32(bytes, sum);
      } else this.#followOnly(this.#at);
      if (!isZero(bytes)) {
        this.#data.add(start / WINDOW);
        this.#cache(start / WINDOW, bytes);
        buffer = this.#takeBuffer();
      }
      this.#keepState();
      onUnpack?.(this.#packedAt, this.#packed.size);
    }
    if (expected !== undefined && this.#at !== expected.size)
      throw this.#fault(`ends after ${this.#at} bytes, but ${expected.size} are stated`);
    if (expected !== undefined && sum !== expected.crc32)
      throw this.#fault(`has the CRC-32 0x${sum.toString(16)}, but 0x${expected.crc32.toString(16)} is stated`);
    return this.#at;
  }

  async read(at: number, length: number, size: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const out = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      signal?.throwIfAborted();
      const place = at + done;
      const index = Math.floor(place / WINDOW);
      const within = place - index * WINDOW;
      const wanted = Math.min(WINDOW - within, length - done);
      if (this.#data.has(index)) {
        const window = this.#windows.get(index) ?? (await this.#readWindow(index, size, signal));
        this.#cache(index, window);
        out.set(window.subarray(within, within + wanted), done);
      }
      done += wanted;
    }
    return out;
  }

  /** The windows with data in them, those that touch as one. */
  *dataRanges(at: number, length: number, size: number): Generator<Range> {
    const end = Math.min(at + length, size);
    for (let index = Math.floor(at / WINDOW); index * WINDOW < end; index++) {
      if (!this.#data.has(index)) continue;
      const start = Math.max(at, index * WINDOW);
      while ((index + 1) * WINDOW < end && this.#data.has(index + 1)) index++;
      yield { start, length: Math.min(end, (index + 1) * WINDOW) - start };
    }
  }

  /** Decodes until `out` is full or the stream ends; how many bytes came. */
  async fill(out: Uint8Array, signal?: AbortSignal): Promise<number> {
    let given = 0;
    this.#isAstray = true;
    while (given < out.length && !this.#ended) {
      if (this.#sinceRead >= TURN) await this.#giveTurn(signal);
      const last = this.#packedAt + this.#input.length === this.#packed.size;
      const step = this.#step(last, out.subarray(given));
      given += step.given;
      this.#at += step.given;
      this.#sinceRead += step.given;
      this.#packedAt += step.taken;
      this.#input = this.#input.subarray(step.taken);
      this.#ended = step.ended;
      if (step.remark !== null && !this.remarks.includes(step.remark)) this.remarks.push(step.remark);
      if (step.given > 0 || step.ended) continue;
      if (last && step.taken === 0) throw this.#fault("ends too soon: it is truncated");
      if (!last) await this.#readInput(signal);
    }
    this.#isAstray = false;
    return given;
  }

  #step(last: boolean, out: Uint8Array) {
    try {
      return (this.#decoder as StreamDecoder).step(this.#input, last, out);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      const { code, message, at, cause } = error;
      const file = this.#packed.name;
      throw new DiskError(code, message.includes(file) ? message : `${file}: ${message}`, { file, at, cause });
    }
  }

  /** More input behind what is left of it. */
  async #readInput(signal?: AbortSignal): Promise<void> {
    const end = this.#packedAt + this.#input.length;
    const more = await this.#packed.read(end, Math.min(INPUT, this.#packed.size - end), signal);
    const joined = new Uint8Array(this.#input.length + more.length);
    joined.set(this.#input);
    joined.set(more, this.#input.length);
    this.#input = joined;
    this.#sinceRead = 0;
  }

  /** Reading a file is what lets other work run: the next packed byte is read again, for nothing else. */
  async #giveTurn(signal?: AbortSignal): Promise<void> {
    await this.#packed.read(Math.min(this.#packedAt, this.#packed.size - 1), 1, signal);
    signal?.throwIfAborted();
    this.#sinceRead = 0;
  }

  async #readWindow(index: number, size: number, signal?: AbortSignal): Promise<Uint8Array> {
    const start = index * WINDOW;
    this.#goBack(start);
    let buffer = this.#takeBuffer();
    for (;;) {
      signal?.throwIfAborted();
      const at = this.#at;
      const window = buffer.subarray(0, Math.min(WINDOW, size - at));
      if ((await this.fill(window, signal)) !== window.length) throw this.#fault("is no longer what it was: the file has changed");
      if (at === start) return window;
      if (!this.#data.has(at / WINDOW)) continue;
      this.#cache(at / WINDOW, window);
      buffer = this.#takeBuffer();
    }
  }

  /** To the state from which `start` is reached soonest. */
  #goBack(start: number): void {
    const best = this.#checkpoints.findLast(({ at }) => at <= start) as Checkpoint;
    if (!this.#isAstray && this.#at <= start && this.#at >= best.at && !this.#ended) return;
    (this.#decoder as StreamDecoder).restore(best.state);
    this.#at = best.at;
    this.#packedAt = best.packedAt;
    this.#input = new Uint8Array(0);
    this.#ended = false;
  }

  #keepState(): void {
    const last = this.#checkpoints[this.#checkpoints.length - 1];
    if (this.#ended || (last !== undefined && (last.state.bytes > LARGEST_STATE || this.#at < last.at + this.#spacing))) return;
    if (this.#stateBytes() > STATE_BYTES) this.#giveUpStates();
    this.#checkpoints.push({ at: this.#at, packedAt: this.#packedAt, state: (this.#decoder as StreamDecoder).save() });
    if (this.#stateBytes() > STATE_BYTES && this.#checkpoints.length > 2) this.#giveUpStates();
  }

  #stateBytes(): number {
    return this.#checkpoints.reduce((sum, { state }) => sum + state.bytes, 0);
  }

  /** Every second one goes; of two, the one that is not the stream's beginning. */
  #giveUpStates(): void {
    this.#checkpoints = this.#checkpoints.filter((_, i) => i % 2 === 0);
    this.#spacing *= 2;
  }

  /** The newest windows stay. */
  #cache(index: number, window: Uint8Array): void {
    this.#windows.delete(index);
    this.#windows.set(index, window);
    if (this.#windows.size <= CACHED_WINDOWS) return;
    const [oldest, given] = this.#windows.entries().next().value as [number, Uint8Array];
    this.#windows.delete(oldest);
    this.#spare = given;
  }

  /** A whole window to decode into. */
  #takeBuffer(): Uint8Array<ArrayBuffer> {
    const spare = this.#spare;
    this.#spare = null;
    return new Uint8Array(spare === null ? new ArrayBuffer(WINDOW) : (spare.buffer as ArrayBuffer));
  }

  /** Stops at a stream that has or states so many bytes, when they are out of all proportion to what they come from. */
  #followOnly(bytes: number): void {
    const { size, name } = this.#packed;
    const given = Math.ceil(size / growthOf(this.#packed));
    if (this.#context.anySize === true || bytes <= BOMB_BYTES || bytes < given * BOMB_RATIO) return;
    const message = `${name}: ${given} bytes of the file unpack to ${bytes} or more: they are followed only when asked for (--any-size)`;
    throw new DiskError("limit", message, { file: name });
  }

  #fault(what: string): DiskError {
    const { name } = this.#packed;
    return new DiskError("corrupt", `${name}: the ${this.#codec} stream ${what}`, { file: name, at: this.#packedAt });
  }
}

/** `bytes` begin where their buffer does. Four words are looked at together, which is twice as fast as one by one. */
function isZero(bytes: Uint8Array): boolean {
  const words = new Int32Array(bytes.buffer, 0, (bytes.length >> 4) * 4);
  for (let i = 0; i < words.length; i += 4) {
    const [low, high] = [(words[i] as number) | (words[i + 1] as number), (words[i + 2] as number) | (words[i + 3] as number)];
    if ((low | high) !== 0) return false;
  }
  return bytes.subarray(words.length * 4).every((byte) => byte === 0);
}
