import { DiskError } from "../../core/errors.ts";
import { plainName } from "../../core/file-name.ts";
import { givenId, idOption } from "../../core/id-option.ts";
import type { Base, Loss, Occupancy, TargetOption, TargetSpec } from "../../core/target.ts";
import { guidBytes } from "../../core/uuid.ts";
import { tableEntries } from "./block-table.ts";
import {
  ALIGNMENT,
  BAT_ENTRY_BYTES,
  BITMAP_BYTES,
  chunkRatio,
  LARGEST_BLOCK,
  LARGEST_DISK,
  LONGEST_PARENT_NAME,
  MIB,
  SMALLEST_BLOCK,
} from "./spec.ts";

const BLOCK_SIZES = ["1M", "2M", "4M", "8M", "16M", "32M", "64M", "128M", "256M"];
/** Hyper-V's own choice; larger blocks make nothing better. */
const LARGEST_AUTO = 32 * MIB;
/** Of a layer, which holds whole blocks of what differs: the most that a writer is given at once, and Hyper-V's own choice for layers. */
const LARGEST_LAYER_BLOCK = 2 * MIB;
/** Blocks up to which `auto` stays at 1 MiB when nothing is known about the data: 8 MiB of BAT, a 1 TiB disk. */
const MOST_AUTO_BLOCKS = 2 ** 20;

export const OPTIONS: readonly TargetOption[] = [
  {
    name: "subformat",
    label: "Allocation",
    help: "Dynamic images grow; fixed ones have their full size from the start.",
    choices: [
      { value: "dynamic", label: "Dynamic" },
      { value: "fixed", label: "Fixed (full size)" },
    ],
    initial: "dynamic",
  },
  {
    name: "block_size",
    label: "Block size",
    help: "What a dynamic image grows by. Automatic: the largest that does not make the file larger.",
    choices: [
      { value: "auto", label: "Automatic" },
      ...BLOCK_SIZES.map((value) => ({ value, label: `${Number.parseInt(value, 10)} MiB` })),
    ],
    initial: "auto",
  },
  {
    name: "logical_sector_size",
    label: "Logical sector size",
    help: "What the machine sees. Partition tables count in sectors: 4096 is for disks that had such sectors before.",
    choices: [
      { value: "512", label: "512 bytes" },
      { value: "4096", label: "4096 bytes" },
    ],
    initial: "512",
  },
  idOption("Disk id", "The virtual disk's UUID; empty: derived from the disk's content."),
];

/** A spec whose options have been checked. */
export interface VhdxLayout {
  readonly isFixed: boolean;
  readonly blockBytes: number;
  readonly sectorBytes: number;
  /** Virtual size, whole sectors. */
  readonly size: number;
  readonly blocks: number;
  readonly ratio: number;
  readonly batEntries: number;
  /** Multiples of 1 MiB; what follows begins where the one before it ends. */
  readonly batAt: number;
  readonly batBytes: number;
  readonly bitmapsAt: number;
  /** Sector bitmap blocks: one for each chunk of a layer, else none. */
  readonly bitmaps: number;
  readonly dataAt: number;
  /** Null: derived from the content. */
  readonly diskId: Uint8Array | null;
  readonly physicalSectorBytes: number;
  /** What a differencing image lies over; null: the image stands alone. */
  readonly parent: { readonly name: string; readonly dataWriteGuid: string } | null;
}

export const LOG_AT = ALIGNMENT;
export const LOG_BYTES = MIB;
export const METADATA_AT = LOG_AT + LOG_BYTES;
export const METADATA_BYTES = MIB;
const BAT_AT = METADATA_AT + METADATA_BYTES;

/** A `usage` error when the options are not the format's, or not those of a layer. */
export function layoutOf({ size: asked, options, base }: Omit<TargetSpec, "identity">): VhdxLayout {
  const { subformat = "dynamic", block_size: blockSize = "auto", logical_sector_size: sectorSize = "512" } = options;
  const refuse = (name: string, value: string, expected: string) =>
    new DiskError("usage", `vhdx: ${name} is "${value}", expected ${expected}`);
  if (subformat !== "dynamic" && subformat !== "fixed") throw refuse("subformat", subformat, "dynamic or fixed");
  if (blockSize !== "auto" && !BLOCK_SIZES.includes(blockSize)) throw refuse("block_size", blockSize, `auto or ${BLOCK_SIZES.join(", ")}`);
  if (sectorSize !== "512" && sectorSize !== "4096") throw refuse("logical_sector_size", sectorSize, "512 or 4096");
  const id = givenId({ options });
  if (id === null) throw refuse("id", options["id"] ?? "", "a UUID such as 01234567-89ab-4cde-8f01-23456789abcd");
  const sectorBytes = Number(sectorSize);
  const size = Math.ceil(asked / sectorBytes) * sectorBytes;
  const [fault] = base === undefined ? [] : baseFaults(base, options);
  if (fault !== undefined) throw new DiskError("usage", `vhdx: ${fault}`);
  const largest = base === undefined ? LARGEST_BLOCK : LARGEST_LAYER_BLOCK;
  const blockBytes = blockSize === "auto" ? unsettledBlock(size, largest) : Number.parseInt(blockSize, 10) * MIB;
  return {
    isFixed: subformat === "fixed",
    size,
    sectorBytes,
    diskId: guidBytes(id === "" ? stated(base, "virtual-disk-id") : id),
    // Hyper-V's choice, which keeps guests aligned to 4 KiB, where the disk has whole sectors of that size.
    physicalSectorBytes: Number(stated(base, "physical-sector-size")) || (size % 4096 === 0 ? 4096 : 512),
    parent: base === undefined ? null : { name: base.name, dataWriteGuid: base.identity ?? "" },
    ...blocksOf(size, blockBytes, sectorBytes, base !== undefined),
  };
}

/**
 * [MS-VHDX] 2.6.1.2: what belongs to the virtual disk, and not to the file, is copied when a layer is made. From the details that the
 * reader gives of the base; empty where there is none.
 */
const stated = (base: Base | undefined, detail: string): string => String(base?.details[detail] ?? "");

function blocksOf(size: number, blockBytes: number, sectorBytes: number, hasParent: boolean) {
  const blocks = Math.ceil(size / blockBytes);
  const ratio = chunkRatio(sectorBytes, blockBytes);
  const batEntries = tableEntries(blocks, ratio, hasParent);
  const batBytes = Math.max(1, Math.ceil((batEntries * BAT_ENTRY_BYTES) / ALIGNMENT)) * ALIGNMENT;
  const bitmapsAt = BAT_AT + batBytes;
  const bitmaps = hasParent ? Math.ceil(blocks / ratio) : 0;
  return { blockBytes, blocks, ratio, batEntries, batAt: BAT_AT, batBytes, bitmapsAt, bitmaps, dataAt: bitmapsAt + bitmaps * BITMAP_BYTES };
}

/** The smallest unit that an occupancy counts. */
const FINEST = 64 << 10;

function unsettledBlock(size: number, largest: number): number {
  let block = SMALLEST_BLOCK;
  while (block < largest && size / block > MOST_AUTO_BLOCKS) block *= 2;
  return block;
}

/**
 * The block size for `auto`: the file is smallest with blocks that are small where the data is scattered, and large where a table of
 * small ones would weigh more than what they save. Of sizes within a 64th the largest is taken, for fewer blocks are faster to use.
 */
export function settle(spec: Omit<TargetSpec, "identity">, occupancy: Occupancy): Readonly<Record<string, string>> {
  // What is occupied is known of the whole disk, not of what a layer is to hold.
  if ((spec.options["block_size"] ?? "auto") !== "auto" || spec.base !== undefined) return spec.options;
  const { size, sectorBytes, isFixed } = layoutOf(spec);
  // A raw source does not tell what is empty; blocks of zeros are found while it is read, and small blocks leave out more of them.
  if (!isFixed && occupancy(FINEST) * FINEST >= size) return spec.options;
  const candidates: { block: number; fileSize: number }[] = [];
  for (let block = SMALLEST_BLOCK; block <= LARGEST_AUTO; block *= 2) {
    const { blocks, dataAt } = blocksOf(size, block, sectorBytes, false);
    candidates.push({ block, fileSize: dataAt + (isFixed ? blocks : occupancy(block)) * block });
  }
  const smallest = Math.min(...candidates.map(({ fileSize }) => fileSize));
  const best = candidates.findLast(({ fileSize }) => fileSize <= smallest * (1 + 1 / 64));
  return { ...spec.options, block_size: `${(best?.block ?? SMALLEST_BLOCK) / MIB}M` };
}

export function lossesOf(spec: TargetSpec): readonly Loss[] {
  const found: Loss[] = [];
  const block = (what: string, why: string) => found.push({ what, why, severity: "blocker" });
  let layout: VhdxLayout;
  try {
    layout = layoutOf({ ...spec, base: undefined }); // the base is `baseLosses`' part
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    block("This VHDX cannot be made", error.message);
    return found;
  }
  const { sectorBytes, size } = layout;
  if (size > LARGEST_DISK) block("The disk is too large", "a VHDX holds at most 64 TiB");
  if (sectorBytes === 4096) {
    if (size !== spec.size) block("The disk does not fit 4096-byte sectors", `${spec.size} bytes are not a multiple of 4096`);
    found.push({
      what: "Partitions of a disk with 512-byte sectors are not found",
      why: "partition tables count in sectors, and the machine will see 4096-byte ones",
      severity: "warning",
    });
  } else if (size !== spec.size)
    found.push({ what: "The disk grows", why: `by ${size - spec.size} zero bytes, to a whole sector`, severity: "note" });
  if (size % 4096 !== 0)
    found.push({ what: "7-Zip does not open it", why: `it wants sizes that are multiples of 4096 bytes, not ${size}`, severity: "note" });
  return found;
}

/** Why no differencing image can be written over a base with these options. */
function baseFaults(base: Base, options: TargetSpec["options"]): string[] {
  const { subformat, block_size: blockSize = "auto", logical_sector_size: sectorSize = "512" } = options;
  if (base.format !== "vhdx") return [`“${base.name}” is of the format ${base.format}; the parent of a VHDX is a VHDX`];
  const found: string[] = [];
  if (subformat === "fixed") found.push("a fixed image holds the whole disk, so there can be no base below it");
  if (blockSize !== "auto" && Number.parseInt(blockSize, 10) * MIB > LARGEST_LAYER_BLOCK)
    found.push(`block_size is ${blockSize}: a layer is written in blocks of 1M or 2M, which may be others than its parent's`);
  const baseSector = stated(base, "logical-sector-size");
  // [MS-VHDX] 2.6.2.4
  if (baseSector !== "" && baseSector !== sectorSize)
    found.push(`“${base.name}” has logical sectors of ${baseSector} bytes, so logical_sector_size must be ${baseSector}`);
  if (guidBytes(base.identity ?? "") === null) found.push(`“${base.name}” has no DataWriteGuid by which a layer could know it`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no file system's names have them, and the locator must have no NUL
  if (base.name === "" || base.name !== plainName(base.name) || /[\u0000-\u001f\u007f]/.test(base.name))
    found.push(`“${base.name}” is no plain file name`);
  if (base.name.length > LONGEST_PARENT_NAME) found.push(`the name “${base.name}” has more than ${LONGEST_PARENT_NAME} UTF-16 units`);
  return found;
}

export function baseLosses(base: Base, spec: Omit<TargetSpec, "identity">): readonly Loss[] {
  const faults = baseFaults(base, spec.options);
  if (faults.length > 0) return faults.map((why) => ({ what: "A differencing VHDX cannot be made", why, severity: "blocker" }));
  const { sectorBytes } = layoutOf({ ...spec, base });
  const found: Loss[] = [
    {
      what: "libvhdi, and what is built upon it, reads blocks that became zero as the base has them",
      why: "it does not know the state that a VHDX has for them; Hyper-V does",
      severity: "note",
    },
  ];
  const [below, own] = [Math.ceil(base.size / sectorBytes), Math.ceil(spec.size / sectorBytes)];
  const sizes = `“${base.name}” has ${base.size} bytes, the layer ${spec.size}`;
  // New-VHD takes a SizeBytes for a differencing disk, and Resize-VHD grows one; of shorter ones nothing is published.
  if (own > below)
    found.push({
      what: "The base is smaller",
      why: `${sizes}: Hyper-V makes such layers, but 7-Zip and libvhdi read none past its base's end`,
      severity: "warning",
    });
  if (own < below)
    found.push({
      what: "The base is larger",
      why: `${sizes}: nothing is known of Hyper-V making layers that end before their base, so it may refuse this one`,
      severity: "warning",
    });
  return found;
}

/** qemu-img has neither ids nor 4096-byte sectors to choose, and writes no layers. */
export function qemuArguments(spec: TargetSpec): readonly string[] | null {
  if (spec.base !== undefined) return null;
  const { isFixed, blockBytes, sectorBytes, diskId } = layoutOf(spec);
  if (sectorBytes !== 512 || diskId !== null) return null;
  return ["-O", "vhdx", "-o", `subformat=${isFixed ? "fixed" : "dynamic"},block_size=${blockBytes / MIB}M`];
}
