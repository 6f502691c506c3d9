import { sliceSource } from "../core/bytes.ts";
import { DiskError } from "../core/errors.ts";
import type { ByteSource } from "../core/model.ts";
import { growthOf, withGrowth } from "./growth.ts";
import { type Member, shownName } from "./members.ts";
import { sparseSource } from "./sparse-source.ts";
import { BLOCK, BlockReader, cString, type Header, readHeader, text, utf8 } from "./tar-header.ts";
import { readGnuMap, readPaxMap, type SparseMap } from "./tar-sparse.ts";

// References
// - POSIX.1-2017, pax: "ustar Interchange Format" and "pax Header Block"
// - GNU tar manual, "Basic Tar Format" (base-256 numbers, long names) and "Storing Sparse Files" (old GNU format)

const HEAD = 1 << 16;
const MOST_MEMBERS = 100_000;
/** Names and pax records of real archives take less than this. */
const MOST_META_BYTES = 1 << 20;

/** Whether these first bytes begin a tar archive: by the magic of ustar and GNU, with the header's checksum right or wrong. */
export const isTar = (head: Uint8Array): boolean => head.length >= BLOCK && text(head, 257, 5) === "ustar";

/** The name of the first member, as far as the first block says it. */
export const firstName = (head: Uint8Array): string => text(head, 0, 100);

/** A regular file in an archive. */
export interface TarEntry {
  readonly name: string;
  /** Place and length of its bytes in the archive. */
  readonly at: number;
  readonly stored: number;
  /** Where they belong, when only some are stored. */
  readonly map: SparseMap | null;
}

/** The regular files of an archive as members that are read in place. */
export async function readTar(file: ByteSource, signal?: AbortSignal): Promise<Member[]> {
  const members: Member[] = [];
  for await (const entry of walkTar(file, signal)) {
    members.push(makeMember(file, entry));
    if (members.length > MOST_MEMBERS)
      throw new DiskError("limit", `${file.name}: tar: more than ${MOST_MEMBERS} members`, { file: file.name, at: entry.at });
  }
  return members;
}

/** The regular files of an archive, in its order. Members of other kinds (folders, links, devices) are passed over: a link is never followed. */
export async function* walkTar(file: ByteSource, signal?: AbortSignal): AsyncGenerator<TarEntry> {
  const blocks = new BlockReader(file);
  let longName: string | null = null;
  let pax: ReadonlyMap<string, string> = new Map();
  for (let at = 0; at < file.size; ) {
    signal?.throwIfAborted();
    const block = at + BLOCK > file.size ? await file.read(at, file.size - at) : await blocks.read(at);
    if (block.every((byte) => byte === 0)) break;
    if (block.length < BLOCK)
      throw new DiskError("corrupt", `${file.name}: tar: the archive ends inside a header: it is truncated`, { file: file.name, at });
    const header = readHeader(file, block, at);
    const size = DATALESS.includes(header.type) ? 0 : RECORDS.includes(header.type) ? header.size : (paxSize(file, pax, at) ?? header.size);
    const { map, end } = header.type === "S" ? await readGnuMap(file, blocks, header, at) : { map: null, end: at + BLOCK };
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
    else if (!RECORDS.includes(header.type)) {
      const name = pax.get("GNU.sparse.name") ?? pax.get("path") ?? longName ?? header.name;
      const sparse = await readPaxMap(file, pax, end, size);
      if (isFile(header)) yield { name, at: sparse?.at ?? end, stored: sparse?.stored ?? size, map: sparse?.map ?? map };
      longName = null;
      pax = new Map();
    }
    at = end + Math.ceil(size / BLOCK) * BLOCK;
  }
}

/** Links, devices, folders and pipes have no data; their size is that of something else, or what some old program left there. */
const DATALESS = ["2", "3", "4", "5", "6"];
/** Records about members: pax (`g`: about all that follow) and GNU long names. */
const RECORDS = ["x", "g", "L", "K"];

/** Regular files: `0`, NUL (before POSIX; a name that ends in a slash is then a folder), contiguous files, and old GNU sparse ones. */
const isFile = ({ type, name }: Header): boolean => ["0", "\0", "7", "S"].includes(type) && !name.endsWith("/");

function makeMember(file: ByteSource, { name, at, stored, map }: TarEntry): Member {
  const whole = partOf(file, at, stored, shownName(name));
  const source = withGrowth(map === null ? whole : sparseSource(whole, map.size, map.ranges), growthOf(file));
  return {
    name,
    size: source.size,
    head: () => source.read(0, Math.min(HEAD, source.size)),
    open: async () => ({ source }),
  };
}

/** A slice that knows of zeros what the archive does: in a packed one they need not be decoded. */
function partOf(file: ByteSource, at: number, length: number, name: string): ByteSource {
  const slice = sliceSource(file, at, length, name);
  if (file.dataRanges === undefined) return slice;
  return {
    ...slice,
    *dataRanges(start, count) {
      for (const range of file.dataRanges?.(at + start, count) ?? []) yield { start: range.start - at, length: range.length };
    },
  };
}

/** Records `LENGTH KEY=VALUE\n`. */
function readPax(file: ByteSource, bytes: Uint8Array, at: number): ReadonlyMap<string, string> {
  const records = new Map<string, string>();
  for (let from = 0; from < bytes.length; ) {
    const space = bytes.indexOf(0x20, from);
    const digits = space < 0 ? "" : utf8(bytes.subarray(from, space));
    const length = /^\d{1,9}$/.test(digits) ? Number(digits) : 0;
    const record = bytes.subarray(space + 1, from + length);
    const equals = record.indexOf(0x3d);
    if (length < 5 || from + length > bytes.length || equals < 1 || record[record.length - 1] !== 0x0a)
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
