import { clip } from "../core/block-map.ts";
import { isZero, totalLength } from "../core/bytes.ts";
import { placer } from "../core/grains.ts";
import type { PackedExtent, RawExtent } from "../core/model.ts";
import type { BlockOrder, BlockResult, LostRange, PlacedExtent, ZeroOrder } from "../core/ports.ts";
import type { Encoding } from "../core/target.ts";
import { type Codecs, createCodecs } from "../kernels/codecs.ts";
import { pieceHashes, zeroHashes } from "../kernels/disk-hash.ts";
import { createKernels, type Kernels } from "../kernels/index.ts";
import { type FileRange, footprint, orderReads, placeOf } from "./reads.ts";

/** BLAKE3 values are kept for pieces of this many bytes. */
export const PIECE = 64 << 10;
const SPARE_BUFFERS = 2;

/** Gives memory of exactly so many bytes, with anything in it. */
export type Room = (bytes: number) => Uint8Array<ArrayBuffer>;

/** The attached sources, by the numbers that extents name them with. */
export interface Sources {
  /** Exactly these bytes, one range behind the other, in `room(all)` or memory of their own; past the end is a DiskError. */
  read(source: number, ranges: readonly FileRange[], room: Room): Promise<Uint8Array<ArrayBuffer>>;
  nameOf(source: number): string | undefined;
}

/** Carries out orders on one thread: read, decode, scan, hash, pack. */
export interface Processor {
  process(order: BlockOrder, sources: Sources): Promise<BlockResult>;
  /** See `BlockPool.hashZeros`. */
  hashZeros(order: ZeroOrder): Uint8Array<ArrayBuffer>;
  /** Takes a spent result buffer back. */
  recycle(buffer: ArrayBuffer): void;
}

export function createProcessor(): Processor {
  const kernels = createKernels();
  const codecs = createCodecs(kernels);
  const spare: ArrayBuffer[] = [];
  let chunk = new Uint8Array(0);
  /** For packed and scattered data, which is gone through before the next read. */
  const chunkRoom: Room = (bytes) => {
    if (chunk.length < bytes) chunk = new Uint8Array(bytes);
    return chunk.subarray(0, bytes);
  };
  const allocate: Room = (bytes) => {
    const at = spare.findIndex((buffer) => buffer.byteLength === bytes);
    return new Uint8Array(at < 0 ? new ArrayBuffer(bytes) : (spare.splice(at, 1)[0] as ArrayBuffer));
  };
  const recycle = (buffer: ArrayBuffer): void => {
    if (spare.length === SPARE_BUFFERS) spare.shift();
    spare.push(buffer);
  };
  return {
    recycle,
    hashZeros: ({ ranges, diskSize }) => zeroHashes(kernels, ranges, diskSize),
    async process(order, sources) {
      for (const codec of codecsOf(order)) await codecs.need(codec);
      const lost: LostRange[] = [];
      const plain = await gather(order, sources, codecs, lost, allocate, chunkRoom);
      const scanned = scan(order, plain, kernels, codecs, allocate);
      if (scanned.buffer !== plain.bytes.buffer) recycle(plain.bytes.buffer);
      return { ...scanned, lost, read: plain.read };
    },
  };
}

function codecsOf(order: BlockOrder): Set<string> {
  const ids = new Set<string>();
  for (const extent of order.extents) if (extent.kind === "packed") ids.add(extent.codec);
  if (order.encoding !== null) ids.add(order.encoding.codec);
  return ids;
}

interface Plain {
  /** The order's grains, one after another. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly read: number;
  /** Units whose packed form in the source is what the order's encoding asks for, by their number on the disk. */
  readonly packed: ReadonlyMap<number, Uint8Array>;
}

/** Reads and decodes an order's extents into its grains. */
async function gather(
  order: BlockOrder,
  sources: Sources,
  codecs: Codecs,
  lost: LostRange[],
  allocate: Room,
  chunkRoom: Room,
): Promise<Plain> {
  const { reads, whole } = orderReads(order);
  const [first] = reads;
  if (whole && first !== undefined) {
    const bytes = await sources.read(first.source, reads, allocate);
    return { bytes, read: bytes.length, packed: new Map() };
  }
  const bytes = allocate(order.grains.length * order.grain);
  if (order.salvage || totalLength(order.extents) < bytes.length) bytes.fill(0);
  const place = placer(order);
  const packed = new Map<number, Uint8Array>();
  let total = 0;
  for (const planned of reads) {
    const direct = placeOf(planned, order, place);
    let chunk: Uint8Array | null = null;
    try {
      const room = direct === null ? chunkRoom : (length: number) => bytes.subarray(direct, direct + length);
      chunk = await sources.read(planned.source, [planned], room);
    } catch (error) {
      if (!order.salvage) throw error;
    }
    total += planned.length;
    if (direct !== null && chunk !== null) {
      if (chunk.buffer !== bytes.buffer) bytes.set(chunk, direct);
      continue;
    }
    for (const extent of planned.extents) {
      try {
        const own = { at: extent.at, length: footprint(extent) };
        const from = chunk ?? (await sources.read(extent.file, [own], chunkRoom));
        const skip = chunk === null ? 0 : extent.at - planned.at;
        const file = sources.nameOf(extent.file);
        const stored = from.subarray(skip, skip + own.length);
        bytes.set(content(extent, stored, file, codecs), place(extent.start));
        const stream = order.encoding !== null && isUnit(order, extent) ? codecs.repack(order.encoding, extent, stored) : null;
        if (stream !== null) packed.set(extent.start / order.unit, stream);
      } catch (error) {
        if (!order.salvage) throw error;
        if (extent.kind === "packed") lost.push({ start: extent.start, length: extent.length, reason: reasonOf(error) });
        else await rescue(extent, sources, (start, rescued) => bytes.set(rescued, place(start)), lost);
      }
    }
  }
  return { bytes, read: total, packed };
}

/** A packed extent that is one whole unit of the target. */
const isUnit = ({ unit }: BlockOrder, extent: PlacedExtent): extent is PackedExtent =>
  extent.kind === "packed" && extent.start % unit === 0 && extent.length === unit && extent.unpacked === unit;

/** Plain data that cannot be read at once is given up in no larger pieces than this. */
const RESCUE_STEP = 4096;

/** Reads what can be read of a plain extent by halving it around the places that fail. */
async function rescue(
  extent: RawExtent,
  sources: Sources,
  keep: (start: number, bytes: Uint8Array) => void,
  lost: LostRange[],
): Promise<void> {
  try {
    keep(extent.start, await sources.read(extent.file, [extent], fresh));
  } catch (error) {
    if (extent.length <= RESCUE_STEP) {
      lost.push({ start: extent.start, length: extent.length, reason: reasonOf(error) });
      return;
    }
    const half = Math.ceil(extent.length / 2 / RESCUE_STEP) * RESCUE_STEP;
    await rescue(clip(extent, extent.start, half), sources, keep, lost);
    await rescue(clip(extent, extent.start + half, extent.length - half), sources, keep, lost);
  }
}

const fresh: Room = (bytes) => new Uint8Array(bytes);
const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The bytes that an extent stands for, from the bytes of its footprint; a damaged block is named by its place in file and disk. */
function content(extent: PlacedExtent, from: Uint8Array, file: string | undefined, codecs: Codecs): Uint8Array {
  if (extent.kind === "raw") return from;
  const { start, length, skip, at } = extent;
  return codecs.decode(extent, from, { file, at, guest: { start, length } }).subarray(skip, skip + length);
}

type Scanned = Omit<BlockResult, "lost" | "read">;

/** Finds the zero units, hashes the rest and packs it. */
function scan(order: BlockOrder, { bytes: plain, packed }: Plain, kernels: Kernels, codecs: Codecs, allocate: Room): Scanned {
  const hashAt: number[] = [];
  const hashes = new Uint8Array(order.hash ? Math.ceil(plain.length / PIECE) * 32 : 0);
  const units = new UnitList(order, plain, packed, allocate);
  order.grains.forEach((start, i) => {
    const length = Math.min(order.grain, order.diskSize - start);
    const padded = Math.ceil(length / order.unit) * order.unit;
    const from = i * order.grain;
    if (!order.hash && order.encoding === null) {
      if (order.units) units.addPlain(start / order.unit, from, padded);
      return;
    }
    kernels.input.set(plain.subarray(from, from + padded));
    if (order.hash) hashGrain(start, length, order.diskSize, kernels, hashAt, hashes);
    if (order.units) units.addGrain(start / order.unit, from, padded, kernels, codecs);
  });
  return { ...units.finish(), hashAt: Float64Array.from(hashAt), hashes: hashes.slice(0, hashAt.length * 32) };
}

/** Hashes the grain in `kernels.input`: runs of pieces that are not all zero, each run in one call. */
function hashGrain(start: number, length: number, diskSize: number, kernels: Kernels, hashAt: number[], hashes: Uint8Array): void {
  const zero = kernels.zeroUnits(length, PIECE).slice();
  for (let piece = 0; piece < zero.length; ) {
    if (zero[piece] === 1) {
      piece++;
      continue;
    }
    let end = piece;
    while (end < zero.length && zero[end] === 0) end++;
    const at = piece * PIECE;
    const values = pieceHashes(kernels, at, Math.min(end * PIECE, length) - at, start + at, diskSize);
    hashes.set(values, hashAt.length * 32);
    for (; piece < end; piece++) hashAt.push(start + piece * PIECE);
  }
}

/** The units of a result that are not all zero, plain in the gathered bytes or packed back to back. */
class UnitList {
  readonly #order: BlockOrder;
  readonly #plain: Uint8Array<ArrayBuffer>;
  readonly #ready: ReadonlyMap<number, Uint8Array>;
  readonly #out: Uint8Array<ArrayBuffer>;
  readonly #index: number[] = [];
  readonly #offset: number[] = [];
  readonly #length: number[] = [];
  readonly #packed: number[] = [];
  #end = 0;

  constructor(order: BlockOrder, plain: Uint8Array<ArrayBuffer>, ready: ReadonlyMap<number, Uint8Array>, allocate: Room) {
    this.#order = order;
    this.#plain = plain;
    this.#ready = ready;
    this.#out = order.encoding === null ? plain : allocate(packedBound(order.grains.length * order.grain, order.unit));
  }

  /** The grain's bytes lie at `from` of the gathered bytes. */
  addPlain(firstUnit: number, from: number, padded: number): void {
    const { unit } = this.#order;
    for (let at = from, index = firstUnit; at < from + padded; at += unit, index++)
      if (!isZero(this.#plain, at, at + unit)) this.#push(index, at, unit, 0);
  }

  /** The grain's bytes lie in `kernels.input` and at `from` of the gathered bytes. */
  addGrain(firstUnit: number, from: number, padded: number, kernels: Kernels, codecs: Codecs): void {
    const { unit, encoding } = this.#order;
    const zero = kernels.zeroUnits(padded, unit).slice();
    for (let u = 0; u < zero.length; u++) {
      if (zero[u] === 1) continue;
      if (encoding === null) this.#push(firstUnit + u, from + u * unit, unit, 0);
      else this.#pack(firstUnit + u, u * unit, from + u * unit, encoding, codecs);
    }
  }

  #pack(index: number, at: number, from: number, encoding: Encoding, codecs: Codecs): void {
    const { unit } = this.#order;
    const length = encoding.cut === true ? Math.min(unit, this.#order.diskSize - index * unit) : unit;
    const ready = this.#ready.get(index);
    const packed = ready !== undefined && ready.length < unit ? ready : codecs.encode(encoding, at, length);
    const bytes = packed ?? this.#plain.subarray(from, from + unit);
    this.#out.set(bytes, this.#end);
    this.#push(index, this.#end, bytes.length, packed === null ? 0 : 1);
    this.#end += bytes.length;
  }

  #push(index: number, offset: number, length: number, packed: number): void {
    this.#index.push(index);
    this.#offset.push(offset);
    this.#length.push(length);
    this.#packed.push(packed);
  }

  finish(): Pick<BlockResult, "buffer" | "index" | "offset" | "length" | "packed"> {
    return {
      buffer: this.#order.units ? this.#out.buffer : new ArrayBuffer(0),
      index: Float64Array.from(this.#index),
      offset: Uint32Array.from(this.#offset),
      length: Uint32Array.from(this.#length),
      packed: Uint8Array.from(this.#packed),
    };
  }
}

/** Room for units that all grew: DEFLATE's stored blocks and a zlib frame at most (RFC 1951 §3.2.4, RFC 1950 §2.2). */
export function packedBound(bytes: number, unit: number): number {
  return bytes + Math.ceil(bytes / unit) * (Math.ceil(unit / 65535) * 5 + 64);
}
