import { sliceSource } from "../core/bytes.ts";
import { DiskError } from "../core/errors.ts";
import { hexNumber } from "../core/hex.ts";
import type { ByteSource, OpenContext } from "../core/model.ts";
import { readPlaced } from "../core/placed-struct.ts";
import type { StreamCodec } from "../core/ports.ts";
import { bytes, struct, u16, u32, u64 } from "../core/struct.ts";
import { growthOf, withGrowth } from "./growth.ts";
import { type Member, type MemberSource, shownName } from "./members.ts";
import { firstBytes, unpackedSource } from "./unpacked-source.ts";

// References
// - PKWARE APPNOTE.TXT 6.3.10: §4.3.7 local header, §4.3.12 central directory, §4.3.14 zip64 end, §4.3.16 end, §4.4.5 methods, §4.5.3 zip64 extra

const EndRecord = struct("le", {
  signature: u32,
  disk: u16,
  directoryDisk: u16,
  entriesHere: u16,
  entries: u16,
  directoryBytes: u32,
  directoryOffset: u32,
  commentLength: u16,
});
const Zip64Locator = struct("le", { signature: u32, disk: u32, endOffset: u64, disks: u32 });
const Zip64End = struct("le", {
  signature: u32,
  recordBytes: u64,
  madeBy: u16,
  needed: u16,
  disk: u32,
  directoryDisk: u32,
  entriesHere: u64,
  entries: u64,
  directoryBytes: u64,
  directoryOffset: u64,
});
const CentralHeader = struct("le", {
  signature: u32,
  madeBy: u16,
  needed: u16,
  flags: u16,
  method: u16,
  time: bytes(4),
  crc32: u32,
  packedSize: u32,
  size: u32,
  nameLength: u16,
  extraLength: u16,
  commentLength: u16,
  disk: u16,
  internal: u16,
  external: u32,
  localOffset: u32,
});
const LocalHeader = struct("le", {
  signature: u32,
  needed: u16,
  flags: u16,
  method: u16,
  time: bytes(4),
  crc32: u32,
  packedSize: u32,
  size: u32,
  nameLength: u16,
  extraLength: u16,
});

const END = 0x06054b50;
const ZIP64_LOCATOR = 0x07064b50;
const ZIP64_END = 0x06064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const MOST_COMMENT = 65_535;
const MOST_DIRECTORY_BYTES = 64 << 20;
const MOST_ENTRIES = 100_000;
const ENCRYPTED = 1;
const UTF8 = 1 << 11;
const STORED = 0;
const METHODS: Readonly<Record<number, StreamCodec>> = { 8: "deflate", 12: "bzip2", 93: "zstd", 95: "xz" };
const HEAD = 1 << 16;
const STEP = 4 << 20;

/** By the signature of a first member, or of an archive without any. */
export const isZip = (head: Uint8Array): boolean =>
  head.length >= 4 && head[0] === 0x50 && head[1] === 0x4b && ((head[2] === 3 && head[3] === 4) || (head[2] === 5 && head[3] === 6));

interface Entry {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly crc32: number;
  readonly packedSize: number;
  readonly size: number;
  readonly localOffset: number;
  /** Place of the entry in the file, for messages. */
  readonly at: number;
}

/** The files of an archive, by its central directory. Folders are passed over. */
export async function readZip(file: ByteSource, context: OpenContext): Promise<Member[]> {
  const directory = await findDirectory(file);
  const table = await file.read(directory.at, directory.length, context.signal);
  const entries = readEntries(file, table, directory);
  return entries.filter(({ name }) => !name.endsWith("/")).map((entry) => makeMember(file, entry, context));
}

const fault = (file: ByteSource, text: string, at: number) =>
  new DiskError("corrupt", `${file.name}: zip: ${text}`, { file: file.name, at });

interface Directory {
  readonly at: number;
  readonly length: number;
  readonly entries: number;
}

async function findDirectory(file: ByteSource): Promise<Directory> {
  const tailLength = Math.min(file.size, EndRecord.bytes + MOST_COMMENT);
  const tailAt = file.size - tailLength;
  const tail = await file.read(tailAt, tailLength);
  for (let i = tailLength - EndRecord.bytes; i >= 0; i--) {
    if (tail[i] !== 0x50 || tail[i + 1] !== 0x4b || tail[i + 2] !== 5 || tail[i + 3] !== 6) continue;
    const end = EndRecord.read(tail, i);
    const at = tailAt + i;
    if (i + EndRecord.bytes + end.commentLength > tailLength) continue;
    if (end.signature !== END) continue;
    if (!isOnlyPart(end.disk) || !isOnlyPart(end.directoryDisk)) throw severalParts(file, at + 4);
    const isLarge = end.entries === 0xffff || end.directoryBytes === 0xffff_ffff || end.directoryOffset === 0xffff_ffff;
    const stated = isLarge ? await readZip64(file, at) : { at: end.directoryOffset, length: end.directoryBytes, entries: end.entries };
    if (stated.at + stated.length > at)
      throw fault(file, `the central directory is stated at ${stated.at} with ${stated.length} bytes, but ends at byte ${at}`, at + 12);
    if (stated.length > MOST_DIRECTORY_BYTES || stated.entries > MOST_ENTRIES)
      throw new DiskError(
        "limit",
        `${file.name}: zip: ${stated.entries} entries in ${stated.length} bytes, at most ${MOST_ENTRIES} are read`,
        {
          file: file.name,
          at,
        },
      );
    return stated;
  }
  throw fault(file, "there is no end of central directory record: the file is truncated or damaged", file.size);
}

/** Of an archive in several parts only the first has the number 0; all ones: it is stated elsewhere (§4.4.1.4). */
const isOnlyPart = (disk: number): boolean => disk === 0 || disk === 0xffff;
const severalParts = (file: ByteSource, at: number) =>
  new DiskError("unsupported", `${file.name}: zip: archives in several parts are not read; join the parts first`, { file: file.name, at });

async function readZip64(file: ByteSource, endAt: number): Promise<Directory> {
  const locatorAt = endAt - Zip64Locator.bytes;
  if (locatorAt < 0) throw fault(file, "the zip64 locator is missing", 0);
  const locator = readPlaced(Zip64Locator, await file.read(locatorAt, Zip64Locator.bytes), file, locatorAt, "zip");
  if (locator.signature !== ZIP64_LOCATOR) throw fault(file, "the zip64 locator is missing", locatorAt);
  if (locator.endOffset + Zip64End.bytes > locatorAt) throw fault(file, `endOffset is ${locator.endOffset}`, locatorAt + 8);
  const end = readPlaced(Zip64End, await file.read(locator.endOffset, Zip64End.bytes), file, locator.endOffset, "zip");
  if (end.signature !== ZIP64_END) throw fault(file, "the zip64 end record is missing", locator.endOffset);
  return { at: end.directoryOffset, length: end.directoryBytes, entries: end.entries };
}

function readEntries(file: ByteSource, table: Uint8Array, directory: Directory): Entry[] {
  const entries: Entry[] = [];
  for (let from = 0; from < table.length; ) {
    const at = directory.at + from;
    if (from + CentralHeader.bytes > table.length) throw fault(file, "the central directory ends inside an entry", at);
    const header = CentralHeader.read(table, from);
    if (header.signature !== CENTRAL) throw fault(file, "an entry of the central directory has no signature", at);
    if (!isOnlyPart(header.disk)) throw severalParts(file, at + 34);
    if (entries.length === directory.entries) throw wrongCount(file, "more", directory);
    const nameAt = from + CentralHeader.bytes;
    const extraAt = nameAt + header.nameLength;
    const next = extraAt + header.extraLength + header.commentLength;
    if (next > table.length) throw fault(file, "nameLength, extraLength and commentLength lead past the central directory", at + 28);
    const name = decodeName(table.subarray(nameAt, extraAt), (header.flags & UTF8) !== 0);
    const { packedSize, size, localOffset } = widen(file, header, table.subarray(extraAt, extraAt + header.extraLength), at);
    entries.push({ name, flags: header.flags, method: header.method, crc32: header.crc32, packedSize, size, localOffset, at });
    from = next;
  }
  if (entries.length !== directory.entries) throw wrongCount(file, `only ${entries.length}`, directory);
  return entries;
}

const wrongCount = (file: ByteSource, found: string, { entries, at }: Directory): DiskError =>
  fault(file, `${entries} entries are stated, but the central directory holds ${found}`, at);

/** §4.5.3: fields of all ones stand in the zip64 extra field, in this order, each only when it is needed. */
function widen(file: ByteSource, header: ReturnType<typeof CentralHeader.read>, extra: Uint8Array, at: number) {
  const view = new DataView(extra.buffer, extra.byteOffset, extra.length);
  let wide: DataView | null = null;
  for (let from = 0; from + 4 <= extra.length; ) {
    const length = view.getUint16(from + 2, true);
    if (view.getUint16(from, true) === 1 && from + 4 + length <= extra.length)
      wide = new DataView(extra.buffer, extra.byteOffset + from + 4, length);
    from += 4 + length;
  }
  let used = 0;
  const take = (narrow: number, field: string): number => {
    if (narrow !== 0xffff_ffff) return narrow;
    if (wide === null || used + 8 > wide.byteLength) throw fault(file, `${field} is in a zip64 extra field that is not there`, at);
    const value = Number(wide.getBigUint64(used, true));
    used += 8;
    if (!Number.isSafeInteger(value)) throw fault(file, `${field} is past 2^53`, at);
    return value;
  };
  const size = take(header.size, "size");
  const packedSize = take(header.packedSize, "packedSize");
  return { size, packedSize, localOffset: take(header.localOffset, "localOffset") };
}

/** Names without the mark are in an old code page (§4.4.4, bit 11), but some programs write UTF-8 all the same; of others only ASCII matters here. */
function decodeName(name: Uint8Array, isUtf8: boolean): string {
  try {
    return new TextDecoder("utf-8", { fatal: !isUtf8 }).decode(name);
  } catch {
    return String.fromCharCode(...name);
  }
}

function makeMember(file: ByteSource, entry: Entry, context: OpenContext): Member {
  const codec = METHODS[entry.method];
  const stored = async (): Promise<ByteSource> => {
    if ((entry.flags & ENCRYPTED) !== 0)
      throw new DiskError("unsupported", `${file.name}: zip: “${entry.name}” is encrypted; unpack the archive first`, {
        file: file.name,
        at: entry.at,
      });
    if (entry.method !== STORED && codec === undefined)
      throw new DiskError(
        "unsupported",
        `${file.name}: zip: “${entry.name}” has the compression method ${entry.method}, which is not read`,
        {
          file: file.name,
          at: entry.at + 10,
        },
      );
    return withGrowth(sliceSource(file, await findData(file, entry), entry.packedSize, shownName(entry.name)), growthOf(file));
  };
  return {
    name: entry.name,
    size: entry.size,
    async head() {
      const packed = await stored();
      if (codec !== undefined) return firstBytes(packed, codec, Math.min(HEAD, entry.size), context);
      return packed.read(0, Math.min(HEAD, packed.size));
    },
    async open(): Promise<MemberSource> {
      const packed = await stored();
      if (codec !== undefined) return { source: await unpackedSource(packed, codec, packed.name, context, entry) };
      if (entry.packedSize !== entry.size)
        throw fault(file, `size of “${entry.name}” is ${entry.size}, but ${entry.packedSize} bytes are stored`, entry.at + 24);
      return { source: packed, verify: (progress, signal) => verifySum(file.name, packed, entry, context, progress, signal) };
    },
  };
}

/** The local header says only where the data begins: of what it repeats of the entry, the entry's counts (the data's sum proves it). */
async function findData(file: ByteSource, entry: Entry): Promise<number> {
  const at = entry.localOffset;
  if (at + LocalHeader.bytes > file.size)
    throw fault(file, `localOffset of “${entry.name}” is ${at}, past the end of the file`, entry.at + 42);
  const header = LocalHeader.read(await file.read(at, LocalHeader.bytes));
  if (header.signature !== LOCAL) throw fault(file, `there is no local header of “${entry.name}”`, at);
  if (header.method !== entry.method) throw fault(file, `method of “${entry.name}” is ${header.method} and ${entry.method}`, at + 8);
  const data = at + LocalHeader.bytes + header.nameLength + header.extraLength;
  if (data + entry.packedSize > file.size)
    throw fault(file, `packedSize of “${entry.name}” is ${entry.packedSize}, past the end of the file`, entry.at + 20);
  return data;
}

async function verifySum(
  archive: string,
  source: ByteSource,
  entry: Entry,
  { compute }: OpenContext,
  progress: (done: number, total: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  let sum = 0;
  for (let at = 0; at < source.size; at += STEP) {
    signal?.throwIfAborted();
    sum = compute.crc32(await source.read(at, Math.min(STEP, source.size - at), signal), sum);
    progress(at, source.size);
  }
  if (sum !== entry.crc32)
    throw new DiskError(
      "corrupt",
      `${archive}: zip: “${entry.name}” has the CRC-32 ${hexNumber(sum)}, but crc32 is ${hexNumber(entry.crc32)}`,
      { file: archive, at: entry.at + 16 },
    );
}
