import type { ImageWriter, TargetSpec, Write } from "../../core/target.ts";
import { readSpec, type VhdSpec } from "./options.ts";
import { NO_PARENT, type ParentPlace, parentPlace } from "./parent-writer.ts";
import { geometryOf } from "./size.ts";
import {
  BLOCK_BYTES,
  BLOCK_UNUSED,
  bitmapBytesOf,
  checksumOf,
  ENTRY_BYTES,
  FEATURE_RESERVED,
  FOOTER_COOKIE,
  Footer,
  HEADER_COOKIE,
  Header,
  NO_OFFSET,
  SECTOR,
  TYPE_DIFFERENCING,
  TYPE_DYNAMIC,
  TYPE_FIXED,
  tag,
  VERSION_1_0,
} from "./spec.ts";

/** The creator for whom every qemu since 1.7 reads `currentSize`; all others have a version that rounds by the geometry. */
const CREATOR = "win ";
const CREATOR_VERSION = 0x000a0000;
const HEADER_AT = Footer.bytes;
const TABLE_AT = HEADER_AT + Header.bytes;
const BITMAP_BYTES = bitmapBytesOf(BLOCK_BYTES);
/** Entries of one write of the table: 1 MiB. */
const WRITE_ENTRIES = (1 << 20) / ENTRY_BYTES;

/**
 * Fixed: the disk, then the footer. Dynamic and differencing: as the specification lays it out, blocks in the order of the disk, all of
 * their sectors there.
 */
export function createVhd(target: TargetSpec): ImageWriter {
  const spec = readSpec(target);
  const footer = (identity = target.identity) => footerOf(readSpec({ ...target, identity }));
  return spec.isFixed ? fixedWriter(spec, footer) : sparseWriter(spec, footer);
}

/** The footer with ids made of an identity. */
type FooterFor = (identity?: Uint8Array) => Uint8Array<ArrayBuffer>;

function fixedWriter({ name, size }: VhdSpec, footerFor: FooterFor): ImageWriter {
  return {
    unit: BLOCK_BYTES,
    files: [name],
    encoding: null,
    sequential: false,
    put(index, block) {
      if (block.kind === "packed") throw new TypeError("vhd: blocks are never packed");
      const at = index * BLOCK_BYTES;
      return [{ file: 0, at, bytes: block.bytes.subarray(0, Math.min(BLOCK_BYTES, size - at)) }];
    },
    end: (identity) => ({ writes: [{ file: 0, at: size, bytes: footerFor(identity) }], sizes: [size + Footer.bytes] }),
  };
}

function sparseWriter(spec: VhdSpec, footerFor: FooterFor): ImageWriter {
  const { name, blocks } = spec;
  const tableBytes = Math.ceil((blocks * ENTRY_BYTES) / SECTOR) * SECTOR;
  const stride = BITMAP_BYTES + BLOCK_BYTES;
  const parent = spec.parent === null ? NO_PARENT : parentPlace(spec.parent, TABLE_AT + tableBytes);
  const dataAt = TABLE_AT + tableBytes + parent.bytes;
  /** 1: the block is in the file. At most 1,044,480 of them. */
  const isWritten = new Uint8Array(blocks);
  const bitmap = new Uint8Array(BITMAP_BYTES).fill(0xff);
  let used = 0;
  const blockAt = (slot: number) => dataAt + slot * stride;

  /** The table follows from which blocks came, as they lie in the order of the disk; its last sector is filled up with unused entries. */
  function* table(): Generator<Write> {
    let next = 0;
    const entries = tableBytes / ENTRY_BYTES;
    for (let first = 0; first < entries; first += WRITE_ENTRIES) {
      const bytes = new Uint8Array(Math.min(WRITE_ENTRIES, entries - first) * ENTRY_BYTES);
      const view = new DataView(bytes.buffer);
      for (let at = 0; at < bytes.length; at += ENTRY_BYTES)
        view.setUint32(at, isWritten[first + at / ENTRY_BYTES] === 1 ? blockAt(next++) / SECTOR : BLOCK_UNUSED);
      yield { file: 0, at: TABLE_AT + first * ENTRY_BYTES, bytes };
    }
  }

  /** Takes the next place for a block; its bitmap says that all sectors are there. */
  function reserve(index: number): { readonly dataAt: number; readonly announced: Write } {
    isWritten[index] = 1;
    const at = blockAt(used++);
    return { dataAt: at + BITMAP_BYTES, announced: { file: 0, at, bytes: bitmap } };
  }

  return {
    unit: BLOCK_BYTES,
    files: [name],
    encoding: null,
    sequential: false,
    put(index, block) {
      if (block.kind === "packed") throw new TypeError("vhd: blocks are never packed");
      const { dataAt: at, announced } = reserve(index);
      return [announced, { file: 0, at, bytes: block.bytes }];
    },
    // The format has no other way to say that sectors are zero; what is not written of a file is.
    putZero: (index) => [reserve(index).announced],
    end(identity) {
      const footer = footerFor(identity);
      const footerAt = blockAt(used);
      function* writes(): Generator<Write> {
        yield* table();
        yield* parent.writes;
        yield { file: 0, at: HEADER_AT, bytes: headerOf(blocks, parent.fields) };
        yield { file: 0, at: 0, bytes: footer };
        yield { file: 0, at: footerAt, bytes: footer };
      }
      return { writes: writes(), sizes: [footerAt + Footer.bytes] };
    },
  };
}

function footerOf({ isFixed, size, uniqueId, parent }: VhdSpec): Uint8Array<ArrayBuffer> {
  const fields = {
    cookie: tag(FOOTER_COOKIE),
    features: FEATURE_RESERVED,
    fileFormatVersion: VERSION_1_0,
    dataOffset: isFixed ? NO_OFFSET : BigInt(HEADER_AT),
    timeStamp: 0,
    creatorApplication: tag(CREATOR),
    creatorVersion: CREATOR_VERSION,
    creatorHostOs: tag("Wi2k"),
    originalSize: BigInt(size),
    currentSize: BigInt(size),
    ...geometryOf(size),
    diskType: isFixed ? TYPE_FIXED : parent === null ? TYPE_DYNAMIC : TYPE_DIFFERENCING,
    checksum: 0,
    uniqueId,
    savedState: 0,
    reserved: new Uint8Array(427),
  };
  return Footer.write({ ...fields, checksum: checksumOf(Footer.write(fields), Footer.offsetOf("checksum")) });
}

function headerOf(maxTableEntries: number, parent: ParentPlace["fields"]): Uint8Array<ArrayBuffer> {
  const fields = {
    cookie: tag(HEADER_COOKIE),
    dataOffset: NO_OFFSET,
    tableOffset: BigInt(TABLE_AT),
    headerVersion: VERSION_1_0,
    maxTableEntries,
    blockSize: BLOCK_BYTES,
    checksum: 0,
    ...parent,
    reserved: 0,
    reserved2: new Uint8Array(256),
  };
  return Header.write({ ...fields, checksum: checksumOf(Header.write(fields), Header.offsetOf("checksum")) });
}
