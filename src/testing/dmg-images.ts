import { deflateSync } from "node:zlib";
import { encodeBase64 } from "../formats/dmg/base64.ts";
import {
  Chunk,
  KIND_COMMENT,
  KIND_IGNORE,
  KIND_RAW,
  KIND_TERMINATOR,
  KIND_ZERO,
  KIND_ZLIB,
  SECTOR,
  TABLE_SIGNATURE,
  TableHead,
  Trailer,
  type TrailerFields,
} from "../formats/dmg/spec.ts";

// UDIF images (.dmg) of any tables of chunks, sound or not.

export interface TestChunk {
  kind: number;
  sector: number;
  sectors: number;
  data?: Uint8Array;
  /** Instead of the place where `data` comes to lie. */
  offset?: number;
  length?: number;
}
export interface TestTable {
  first: number;
  sectors: number;
  chunks: readonly TestChunk[];
  checksum?: number;
}
export const END: TestChunk = { kind: KIND_TERMINATOR, sector: 0, sectors: 0 };
export const filled = (sectors: number, byte: number) => new Uint8Array(sectors * SECTOR).fill(byte);
export const raw = (sector: number, sectors: number, byte: number): TestChunk => ({
  kind: KIND_RAW,
  sector,
  sectors,
  data: filled(sectors, byte),
});
export const zlib = (sector: number, plain: Uint8Array): TestChunk => ({
  kind: KIND_ZLIB,
  sector,
  sectors: plain.length / SECTOR,
  data: deflateSync(plain),
});

export const ascii = (text: string) => new TextEncoder().encode(text);

/** A resource fork with the tables as `blkx` resources from id 0. */
function forkOf(tables: readonly Uint8Array[]): Uint8Array {
  const data = Buffer.concat(tables.map((table) => Buffer.concat([u32(table.length), table])));
  const references = Buffer.alloc(tables.length * 12);
  let at = 0;
  tables.forEach((table, i) => {
    references.writeInt16BE(i, i * 12);
    references.writeUInt16BE(0xffff, i * 12 + 2);
    references.writeUInt32BE(at, i * 12 + 4);
    at += table.length + 4;
  });
  const map = Buffer.alloc(28);
  map.writeUInt16BE(28, 24);
  const types = Buffer.concat([Buffer.from([0, 0]), ascii("blkx"), Buffer.from([0, tables.length - 1, 0, 10])]);
  const head = Buffer.concat([u32(16), u32(16 + data.length), u32(data.length), u32(map.length + types.length + references.length)]);
  return Buffer.concat([head, data, map, types, references]);
}
export const u32 = (value: number) => {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
};

const listOf = (tables: readonly Uint8Array[]) =>
  ascii(
    `<?xml version="1.0"?><!DOCTYPE plist><plist version="1.0"><dict><key>resource-fork</key><dict><key>blkx</key><array>${tables
      .map(
        (table, i) => `<dict><key>ID</key><string>${i}</string><key>Name</key><string>part ${i} &amp; more</string><key>Data</key>
        <data>\n\t${Buffer.from(encodeBase64(table)).toString().replace(/.{44}/g, "$&\n\t")}</data></dict>`,
      )
      .join("")}</array></dict></dict></plist>`,
  );

/** An image of any tables, sound or not. */
export function build(tables: readonly TestTable[], fields: Partial<TrailerFields> = {}, fork = false): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  let end = 0;
  const encoded = tables.map(({ first, sectors, chunks, checksum }) => {
    const entries = chunks.map(({ kind, sector, sectors: count, data, offset, length }) => {
      const at = end;
      if (data !== undefined) parts.push(data);
      end += data?.length ?? 0;
      const values = {
        sector: BigInt(sector),
        sectors: BigInt(count),
        offset: BigInt(offset ?? at),
        length: BigInt(length ?? data?.length ?? 0),
      };
      return Chunk.write({ kind, comment: 0, ...values });
    });
    const sum = Buffer.alloc(128);
    sum.writeUInt32BE(checksum ?? 0);
    const head = TableHead.write({
      signature: TABLE_SIGNATURE,
      version: 1,
      firstSector: BigInt(first),
      sectorCount: BigInt(sectors),
      dataOffset: 0n,
      buffersNeeded: 0,
      descriptor: 0,
      reserved: new Uint8Array(24),
      checksumType: checksum === undefined ? 0 : 2,
      checksumSize: 32,
      checksum: sum,
      chunkCount: entries.length,
    });
    return Buffer.concat([head, ...entries]);
  });
  const list = fork ? forkOf(encoded) : listOf(encoded);
  const trailer = Trailer.write({
    ...Trailer.read(new Uint8Array(512)),
    signature: 0x6b6f6c79,
    version: 4,
    headerSize: 512,
    dataForkLength: BigInt(end),
    xmlOffset: fork ? 0n : BigInt(end),
    xmlLength: fork ? 0n : BigInt(list.length),
    rsrcForkOffset: fork ? BigInt(end) : 0n,
    rsrcForkLength: fork ? BigInt(list.length) : 0n,
    sectorCount: BigInt(Math.max(...tables.map(({ first, sectors }) => first + sectors))),
    ...fields,
  });
  return Uint8Array.from(Buffer.concat([...parts, list, trailer]));
}

/** Two tables: raw, zlib, zero; comment, ignore, raw. */
export const SOUND: readonly TestTable[] = [
  { first: 0, sectors: 8, chunks: [raw(0, 2, 1), zlib(2, filled(4, 2)), { kind: KIND_ZERO, sector: 6, sectors: 2 }, END] },
  {
    first: 8,
    sectors: 6,
    chunks: [{ kind: KIND_COMMENT, sector: 0, sectors: 0 }, { kind: KIND_IGNORE, sector: 0, sectors: 3 }, raw(3, 3, 3), END],
  },
];
