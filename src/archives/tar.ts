import { sliceSource } from "../core/bytes.ts";
import { DiskError } from "../core/errors.ts";
import type { ByteSource, Range } from "../core/model.ts";
import type { Member } from "./members.ts";
import { sparseSource } from "./sparse-source.ts";

// References
// - POSIX.1-2017, pax: "ustar Interchange Format" and "pax Header Block"
// - GNU tar manual, "Basic Tar Format" (base-256 numbers, long names) and "Storing Sparse Files" (old GNU format)

const BLOCK = 512;
const HEAD = 1 << 16;
const MOST_MEMBERS = 100_000;
/** Names and pax records of real archives take less than this. */
const MOST_META_BYTES = 1 << 20;
/** Headers are read through a window of this size, as most members of a large archive are small. */
const WINDOW = 1 << 16;

/** Whether these first bytes begin a tar archive: by the magic of ustar and GNU, with the header's checksum right or wrong. */
export const isTar = (head: Uint8Array): boolean => head.length >= BLOCK && text(head, 257, 5) === "ustar";

/** The name of the first member, as far as the first block says it. */
export const firstName = (head: Uint8Array): string => text(head, 0, 100);

export interface TarMember extends Member {
  /** Place of the member's bytes in the archive. */
  readonly at: number;
}

interface Header {
  readonly name: string;
  readonly size: number;
  readonly type: string;
  readonly block: Uint8Array;
}

/** The regular files of an archive, in its order. Members of other kinds (folders, links, devices) are passed over: a link is never followed. */
export async function readTar(file: ByteSource, signal?: AbortSignal): Promise<TarMember[]> {
  const members: TarMember[] = [];
  const blocks = new BlockReader(file);
  let longName: string | null = null;
  let pax: ReadonlyMap<string, string> = new Map();
  for (let at = 0; at + BLOCK <= file.size; ) {
    signal?.throwIfAborted();
    const block = await blocks.read(at);
    if (block.every((byte) => byte === 0)) break;
    const header = readHeader(file, block, at);
    const size = header.type === "g" ? header.size : (paxSize(file, pax, at) ?? header.size);
    const { map, end } = header.type === "S" ? await readSparseMap(file, blocks, header, at) : { map: null, end: at + BLOCK };
    if (end + size > file.size)
      throw new DiskError(
        "corrupt",
        `${file.name}: tar: size of “${header.name}” is ${size}, but the archive ends ${Math.max(0, file.size - end)} bytes behind its header: it is truncated or damaged`,
        { file: file.name, at: at + 124 },
      );
    const meta = async (): Promise<Uint8Array> => {
      if (size > MOST_META_BYTES)
        throw new DiskError("limit", `${file.name}: tar: a name record of ${size} bytes`, { file: file.name, at });
      return file.read(end, size, signal);
    };
    if (header.type === "L") longName = cString(await meta());
    else if (header.type === "x") pax = readPax(file, await meta(), end);
    else {
      if (isFile(header)) {
        requirePlain(file, pax, at);
        const name = pax.get("path") ?? longName ?? header.name;
        members.push(makeMember(file, name, end, size, map));
        if (members.length > MOST_MEMBERS)
          throw new DiskError("limit", `${file.name}: tar: more than ${MOST_MEMBERS} members`, { file: file.name, at });
      }
      if (header.type !== "g" && header.type !== "K") {
        longName = null;
        pax = new Map();
      }
    }
    at = end + Math.ceil(size / BLOCK) * BLOCK;
  }
  return members;
}

/** Regular files: `0`, NUL (before POSIX; a name that ends in a slash is then a folder), contiguous files, and old GNU sparse ones. */
const isFile = ({ type, name }: Header): boolean => ["0", "\0", "7", "S"].includes(type) && !name.endsWith("/");

function makeMember(file: ByteSource, name: string, at: number, stored: number, map: SparseMap | null): TarMember {
  const whole = sliceSource(file, at, stored, lastPart(name));
  const source = map === null ? whole : sparseSource(whole, map.size, map.ranges);
  return {
    name,
    size: source.size,
    at,
    head: () => source.read(0, Math.min(HEAD, source.size)),
    open: async () => ({ source }),
  };
}

const lastPart = (name: string): string => name.split("/").findLast((part) => part !== "") ?? name;

function readHeader(file: ByteSource, block: Uint8Array, at: number): Header {
  const stated = readNumber(file, block, 148, 8, at, "chksum");
  let sum = 8 * 32;
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += block[i] as number;
  if (stated !== sum)
    throw new DiskError("corrupt", `${file.name}: tar: chksum is ${stated}, but the header gives ${sum}`, {
      file: file.name,
      at: at + 148,
    });
  const prefix = text(block, 257, 6) === "ustar" ? text(block, 345, 155) : "";
  const name = (prefix === "" ? "" : `${prefix}/`) + text(block, 0, 100);
  return { name, size: readNumber(file, block, 124, 12, at, "size"), type: String.fromCharCode(block[156] as number), block };
}

/** Octal digits, or base 256 when the first bit is set. */
function readNumber(file: ByteSource, block: Uint8Array, from: number, length: number, at: number, field: string): number {
  const first = block[from] as number;
  let value = 0;
  if ((first & 0x80) !== 0) {
    if (first !== 0x80)
      throw new DiskError("corrupt", `${file.name}: tar: ${field} is negative or too large`, { file: file.name, at: at + from });
    for (let i = from + 1; i < from + length; i++) value = value * 256 + (block[i] as number);
  } else {
    const digits = text(block, from, length).trim();
    if (!/^[0-7]*$/.test(digits))
      throw new DiskError("corrupt", `${file.name}: tar: ${field} is “${digits}”, expected octal digits`, {
        file: file.name,
        at: at + from,
      });
    value = digits === "" ? 0 : Number.parseInt(digits, 8);
  }
  if (Number.isSafeInteger(value)) return value;
  throw new DiskError("corrupt", `${file.name}: tar: ${field} is past 2^53`, { file: file.name, at: at + from });
}

/** Records `LENGTH KEY=VALUE\n`. */
function readPax(file: ByteSource, bytes: Uint8Array, at: number): ReadonlyMap<string, string> {
  const records = new Map<string, string>();
  for (let from = 0; from < bytes.length; ) {
    const space = bytes.indexOf(0x20, from);
    const length = Number(space < 0 ? "" : utf8(bytes.subarray(from, space)));
    const record = bytes.subarray(space + 1, from + length);
    const equals = record.indexOf(0x3d);
    if (!Number.isSafeInteger(length) || length < 5 || from + length > bytes.length || equals < 1 || record[record.length - 1] !== 0x0a)
      throw new DiskError("corrupt", `${file.name}: tar: a pax record is damaged`, { file: file.name, at: at + from });
    records.set(utf8(record.subarray(0, equals)), utf8(record.subarray(equals + 1, -1)));
    from += length;
  }
  return records;
}

function paxSize(file: ByteSource, pax: ReadonlyMap<string, string>, at: number): number | null {
  const stated = pax.get("size");
  if (stated === undefined) return null;
  const size = Number(stated);
  if (/^\d+$/.test(stated) && Number.isSafeInteger(size)) return size;
  throw new DiskError("corrupt", `${file.name}: tar: size is “${stated}”, expected a number`, { file: file.name, at });
}

/** GNU's newer sparse formats keep the map in pax records; taken for a plain file, such a member would have its holes missing. */
function requirePlain(file: ByteSource, pax: ReadonlyMap<string, string>, at: number): void {
  const sparse = [...pax.keys()].find((key) => key.startsWith("GNU.sparse."));
  if (sparse === undefined) return;
  throw new DiskError(
    "unsupported",
    `${file.name}: tar: ${sparse}: sparse members of pax archives are not read; unpack the archive first`,
    {
      file: file.name,
      at,
    },
  );
}

interface SparseMap {
  readonly size: number;
  readonly ranges: readonly Range[];
}

/** Old GNU sparse: four entries at 386, an "is extended" flag at 482, the real size at 483; extension blocks hold 21 entries and a flag at 504. */
async function readSparseMap(
  file: ByteSource,
  blocks: BlockReader,
  header: Header,
  at: number,
): Promise<{ readonly map: SparseMap; readonly end: number }> {
  const ranges: Range[] = [];
  const size = readNumber(file, header.block, 483, 12, at, "realsize");
  let stored = 0;
  const add = (block: Uint8Array, from: number, count: number, blockAt: number): void => {
    for (let i = 0; i < count; i++) {
      const start = readNumber(file, block, from + i * 24, 12, blockAt, "offset");
      const length = readNumber(file, block, from + i * 24 + 12, 12, blockAt, "numbytes");
      if (length === 0) continue;
      const before = ranges[ranges.length - 1];
      if (start + length > size || (before !== undefined && start < before.start + before.length))
        throw new DiskError("corrupt", `${file.name}: tar: offset ${start} with numbytes ${length} does not fit the sparse map`, {
          file: file.name,
          at: blockAt + from + i * 24,
        });
      ranges.push({ start, length });
      stored += length;
    }
  };
  add(header.block, 386, 4, at);
  let end = at + BLOCK;
  let isExtended = header.block[482] !== 0;
  while (isExtended) {
    const block = await blocks.read(end);
    add(block, 0, 21, end);
    isExtended = block[504] !== 0;
    end += BLOCK;
  }
  if (stored !== header.size)
    throw new DiskError("corrupt", `${file.name}: tar: size of “${header.name}” is ${header.size}, but its sparse map needs ${stored}`, {
      file: file.name,
      at: at + 124,
    });
  return { map: { size, ranges }, end };
}

/** Blocks of headers, through a window. */
class BlockReader {
  readonly #file: ByteSource;
  #window: Uint8Array = new Uint8Array(0);
  #start = 0;

  constructor(file: ByteSource) {
    this.#file = file;
  }

  async read(at: number): Promise<Uint8Array> {
    if (at < this.#start || at + BLOCK > this.#start + this.#window.length) {
      this.#window = await this.#file.read(at, Math.max(BLOCK, Math.min(WINDOW, this.#file.size - at)));
      this.#start = at;
    }
    return this.#window.subarray(at - this.#start, at - this.#start + BLOCK);
  }
}

const utf8 = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const cString = (bytes: Uint8Array): string => utf8(bytes.subarray(0, (bytes.indexOf(0) + bytes.length + 1) % (bytes.length + 1)));
const text = (block: Uint8Array, from: number, length: number): string => cString(block.subarray(from, from + length));
