import { DiskError } from "../core/errors.ts";
import type { ByteSource, Range } from "../core/model.ts";
import { BLOCK, type BlockReader, type Header, readNumber } from "./tar-header.ts";

// Reference: GNU tar manual, "Storing Sparse Files": the old GNU format, and PAX formats 0.1 and 1.0

/** A map in a member's own data, as text. */
const MOST_MAP_BYTES = 16 << 20;
/** Ranges of one map; they are kept in memory. */
const MOST_RANGES = 1 << 19;

/** Where the stored bytes of a member belong; between the ranges it is zero. */
export interface SparseMap {
  readonly size: number;
  /** Ascending, apart. */
  readonly ranges: readonly Range[];
}

/** Old GNU: four entries at 386, an "is extended" flag at 482, the real size at 483; extension blocks hold 21 entries and a flag at 504. */
export async function readGnuMap(
  file: ByteSource,
  blocks: BlockReader,
  header: Header,
  at: number,
): Promise<{ readonly map: SparseMap; readonly end: number }> {
  const size = readNumber(file, header.block, 483, 12, at, "realsize");
  const map = new MapBuilder(file, size);
  const add = (block: Uint8Array, from: number, count: number, blockAt: number): void => {
    for (let i = from; i < from + count * 24; i += 24)
      map.add(readNumber(file, block, i, 12, blockAt, "offset"), readNumber(file, block, i + 12, 12, blockAt, "numbytes"), blockAt + i);
  };
  add(header.block, 386, 4, at);
  let end = at + BLOCK;
  for (let isExtended = header.block[482] !== 0; isExtended; end += BLOCK) {
    const block = await blocks.read(end);
    add(block, 0, 21, end);
    isExtended = block[504] !== 0;
  }
  return { map: map.finish(header.size, at + 124), end };
}

/** The map of a sparse member of a pax archive; null when it is an ordinary one. `at`, `size`: of the member's data. */
export async function readPaxMap(
  file: ByteSource,
  pax: ReadonlyMap<string, string>,
  at: number,
  size: number,
): Promise<{ readonly map: SparseMap; readonly at: number; readonly stored: number } | null> {
  const keys = [...pax.keys()].filter((key) => key.startsWith("GNU.sparse."));
  if (keys.length === 0) return null;
  const map = new MapBuilder(file, number(file, pax.get("GNU.sparse.realsize") ?? pax.get("GNU.sparse.size"), "realsize", at));
  if (pax.get("GNU.sparse.major") === "1" && pax.get("GNU.sparse.minor") === "0") {
    const length = await readTextMap(file, map, at, size);
    return { map: map.finish(size - length, at), at: at + length, stored: size - length };
  }
  const list = pax.get("GNU.sparse.map");
  if (list === undefined)
    throw new DiskError("unsupported", `${file.name}: tar: ${keys[0]}: this kind of sparse member is not read; unpack the archive first`, {
      file: file.name,
      at,
    });
  const numbers = list.split(",").map((text) => number(file, text, "map", at));
  if (numbers.length % 2 !== 0)
    throw new DiskError("corrupt", `${file.name}: tar: GNU.sparse.map has ${numbers.length} numbers, expected pairs`, {
      file: file.name,
      at,
    });
  for (let i = 0; i < numbers.length; i += 2) map.add(numbers[i] as number, numbers[i + 1] as number, at);
  return { map: map.finish(size, at), at, stored: size };
}

/** Format 1.0: decimal lines ahead of the data, padded to a block: how many entries, then offset and length of each. */
async function readTextMap(file: ByteSource, map: MapBuilder, at: number, size: number): Promise<number> {
  let text = "";
  let length = 0;
  const lines: string[] = [];
  for (let wanted = 1; lines.length < wanted; ) {
    if (length + BLOCK > Math.min(size, MOST_MAP_BYTES))
      throw new DiskError("corrupt", `${file.name}: tar: a sparse map does not end`, { file: file.name, at });
    text += new TextDecoder().decode(await file.read(at + length, BLOCK));
    length += BLOCK;
    const parts = text.split("\n");
    text = parts.pop() as string;
    lines.push(...parts);
    if (lines[0] !== undefined) wanted = 1 + 2 * number(file, lines[0], "map", at);
    if (wanted * 2 > MOST_MAP_BYTES)
      throw new DiskError("limit", `${file.name}: tar: a sparse map of ${lines[0]} entries`, { file: file.name, at });
  }
  const count = number(file, lines[0], "map", at);
  for (let i = 0; i < count; i++) map.add(number(file, lines[1 + 2 * i], "map", at), number(file, lines[2 + 2 * i], "map", at), at);
  return length;
}

function number(file: ByteSource, text: string | undefined, field: string, at: number): number {
  const value = text !== undefined && /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw new DiskError("corrupt", `${file.name}: tar: GNU.sparse.${field} is “${text ?? ""}”, expected a number`, { file: file.name, at });
}

class MapBuilder {
  readonly #file: ByteSource;
  readonly #size: number;
  readonly #ranges: Range[] = [];
  #stored = 0;

  constructor(file: ByteSource, size: number) {
    this.#file = file;
    this.#size = size;
  }

  add(start: number, length: number, at: number): void {
    if (length === 0) return;
    const before = this.#ranges[this.#ranges.length - 1];
    if (start + length > this.#size || (before !== undefined && start < before.start + before.length))
      throw new DiskError("corrupt", `${this.#file.name}: tar: offset ${start} with numbytes ${length} does not fit the sparse map`, {
        file: this.#file.name,
        at,
      });
    if (this.#ranges.length === MOST_RANGES)
      throw new DiskError("limit", `${this.#file.name}: tar: a sparse map of more than ${MOST_RANGES} ranges; unpack the archive first`, {
        file: this.#file.name,
        at,
      });
    this.#ranges.push({ start, length });
    this.#stored += length;
  }

  finish(stored: number, at: number): SparseMap {
    if (this.#stored !== stored)
      throw new DiskError(
        "corrupt",
        `${this.#file.name}: tar: ${stored} bytes of a sparse member are stored, but its map needs ${this.#stored}`,
        {
          file: this.#file.name,
          at,
        },
      );
    return { size: this.#size, ranges: this.#ranges };
  }
}
