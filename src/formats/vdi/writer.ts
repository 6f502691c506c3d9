import { BitSet } from "../../core/bit-set.ts";
import { DiskError } from "../../core/errors.ts";
import { givenId } from "../../core/id-option.ts";
import type { Base, ImageWriter, TargetSpec, Write } from "../../core/target.ts";
import { guidBytes, guidFrom } from "../../core/uuid.ts";
import { wholeSectors } from "../../core/whole-sectors.ts";
import {
  BLOCK_BYTES,
  BLOCK_FREE,
  BLOCK_ZERO,
  COMMENT_BYTES,
  ENTRY_BYTES,
  HEADER_SIZE_1PLUS,
  Header,
  SECTOR,
  SIGNATURE,
  TYPE_DIFFERENCING,
  TYPE_DYNAMIC,
  TYPE_STATIC,
  VERSION_1_1,
} from "./spec.ts";

const TEXT = "<<< Oracle VM VirtualBox Disk Image >>>\n";
/** VirtualBox puts the map at 1 MiB and aligns the data to 1 MiB. [VDI] VDI_DATA_ALIGN */
const ALIGNMENT = 1 << 20;
/** Entries of one write of the map: 1 MiB. */
const WRITE_ENTRIES = ALIGNMENT / ENTRY_BYTES;

/**
 * Dynamic and differencing: blocks follow one another in the order in which they come, so that the map is told by which blocks came.
 * Static: every block has its place. The map comes last but for the header, so that a file cut off in writing is no VDI.
 */
export function createVdi(spec: TargetSpec): ImageWriter {
  const { size, name, options, base } = spec;
  if (idOf(spec) === null) throw new DiskError("usage", `vdi: id is “${options["id"]}”, expected a UUID`);
  const [fault] = base === undefined ? [] : baseFaults(base, spec);
  if (fault !== undefined) throw new DiskError("usage", `vdi: ${fault}`);
  const isStatic = options["static"] === "on";
  const blocks = Math.ceil(size / BLOCK_BYTES);
  const mapAt = ALIGNMENT;
  const dataAt = Math.ceil((mapAt + blocks * ENTRY_BYTES) / ALIGNMENT) * ALIGNMENT;
  const written = new BitSet();
  const zeroed = new BitSet();
  let used = 0;

  function* map(): Generator<Write> {
    let next = 0;
    for (let first = 0; first < blocks; first += WRITE_ENTRIES) {
      const count = Math.min(WRITE_ENTRIES, blocks - first);
      const bytes = new Uint8Array(count * ENTRY_BYTES);
      const view = new DataView(bytes.buffer);
      for (let i = 0; i < count; i++) {
        const present = isStatic || written.has(first + i);
        view.setUint32(i * ENTRY_BYTES, present ? next++ : zeroed.has(first + i) ? BLOCK_ZERO : BLOCK_FREE, true);
      }
      yield { file: 0, at: mapAt + first * ENTRY_BYTES, bytes };
    }
  }

  return {
    unit: BLOCK_BYTES,
    files: [name],
    encoding: null,
    sequential: false,
    put(index, block) {
      if (block.kind === "packed") throw new TypeError("vdi: blocks are never packed");
      written.add(index);
      const slot = isStatic ? index : used;
      used++;
      return [{ file: 0, at: dataAt + slot * BLOCK_BYTES, bytes: block.bytes }];
    },
    putZero(index) {
      zeroed.add(index);
      return [];
    },
    end(identity = spec.identity) {
      const blocksAllocated = isStatic ? blocks : used;
      const header = Header.write({
        text: padded(TEXT, 64),
        signature: SIGNATURE,
        version: VERSION_1_1,
        headerSize: HEADER_SIZE_1PLUS,
        imageType: base !== undefined ? TYPE_DIFFERENCING : isStatic ? TYPE_STATIC : TYPE_DYNAMIC,
        imageFlags: 0,
        comment: commentOn(base),
        mapAt,
        dataAt,
        // VirtualBox leaves the geometry to whoever opens the image first.
        cylinders: 0,
        heads: 0,
        sectors: 0,
        sectorSize: SECTOR,
        unused: 0,
        diskSize: BigInt(wholeSectors(size)),
        blockSize: BLOCK_BYTES,
        blockExtra: 0,
        blocks,
        blocksAllocated,
        uuid: idOf({ options, identity }) as Uint8Array,
        modifyUuid: stateId(identity),
        parentUuid: guidOf(base?.identity),
        parentModifyUuid: guidOf(base?.version),
        logicalCylinders: 0,
        logicalHeads: 0,
        logicalSectors: 0,
        logicalSectorSize: SECTOR,
        reserved: new Uint8Array(40),
      });
      function* writes(): Generator<Write> {
        yield* map();
        yield { file: 0, at: 0, bytes: header };
      }
      return { writes: writes(), sizes: [dataAt + blocksAllocated * BLOCK_BYTES] };
    },
  };
}

/** Why no differencing image can be written over a base. */
export function baseFaults(base: Base, { size, options }: Omit<TargetSpec, "identity">): string[] {
  const found: string[] = [];
  if (base.format !== "vdi") return [`“${base.name}” is of the format ${base.format}; the parent of a VDI is a VDI`];
  if (options["static"] === "on") found.push("a static image holds the whole disk, so there can be no base below it");
  if (wholeSectors(base.size) !== wholeSectors(size))
    found.push(`“${base.name}” has ${base.size} bytes, the layer ${size}: VirtualBox makes them of the same size`);
  if (guidBytes(base.identity ?? "") === null) found.push(`“${base.name}” has no UUID by which a layer could know it`);
  else if (givenId({ options }) === base.identity)
    found.push(`the UUID ${base.identity} is that of “${base.name}”: a layer needs one of its own`);
  return found;
}

/** The header has no field for the parent's name: what is said here is for people. Nothing where the name is too long. */
function commentOn(base: Base | undefined): Uint8Array {
  const text = base === undefined ? "" : `Differencing image over ${base.name}`;
  return new TextEncoder().encode(text).length < COMMENT_BYTES ? padded(text, COMMENT_BYTES) : new Uint8Array(COMMENT_BYTES);
}

/** Nil where there is none. */
const guidOf = (id: string | null | undefined): Uint8Array => guidBytes(id ?? "") ?? new Uint8Array(16);

function padded(text: string, length: number): Uint8Array {
  const out = new Uint8Array(length);
  out.set(new TextEncoder().encode(text));
  return out;
}

/** The given UUID (as RTUUID has it, little-endian at first), or one from the seed; null: the given one is none, or nil. */
export function idOf(spec: Pick<TargetSpec, "options" | "identity">): Uint8Array | null {
  const id = givenId(spec);
  if (id === "") return guidFrom(spec.identity);
  return id === null ? null : guidBytes(id);
}

/** The id of the image's state: from the same seed as the image's own, and another. */
const stateId = (identity: Uint8Array): Uint8Array => guidFrom(identity.map((byte, i) => byte ^ (i + 0x55)));
