import { DiskError } from "../../core/errors.ts";
import { givenId, idOption } from "../../core/id-option.ts";
import type { Loss, Occupancy, TargetOption, TargetSpec } from "../../core/model.ts";
import { guidBytes } from "../../core/uuid.ts";
import { tableEntries } from "./block-table.ts";
import { ALIGNMENT, BAT_ENTRY_BYTES, chunkRatio, LARGEST_BLOCK, LARGEST_DISK, MIB, SMALLEST_BLOCK } from "./spec.ts";

const BLOCK_SIZES = ["1M", "2M", "4M", "8M", "16M", "32M", "64M", "128M", "256M"];
/** Hyper-V's own choice; larger blocks make nothing better. */
const LARGEST_AUTO = 32 * MIB;
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
  /** Multiples of 1 MiB; the data follows the BAT at once. */
  readonly batAt: number;
  readonly dataAt: number;
  /** Null: derived from the content. */
  readonly diskId: Uint8Array | null;
}

export const LOG_AT = ALIGNMENT;
export const LOG_BYTES = MIB;
export const METADATA_AT = LOG_AT + LOG_BYTES;
export const METADATA_BYTES = MIB;
const BAT_AT = METADATA_AT + METADATA_BYTES;

/** A `usage` error when the options are not the format's. */
export function layoutOf({ size: asked, options }: Omit<TargetSpec, "identity">): VhdxLayout {
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
  const blockBytes = blockSize === "auto" ? unsettledBlock(size) : Number.parseInt(blockSize, 10) * MIB;
  return {
    isFixed: subformat === "fixed",
    size,
    sectorBytes,
    diskId: id === "" ? null : guidBytes(id),
    ...blocksOf(size, blockBytes, sectorBytes),
  };
}

function blocksOf(size: number, blockBytes: number, sectorBytes: number) {
  const blocks = Math.ceil(size / blockBytes);
  const ratio = chunkRatio(sectorBytes, blockBytes);
  const batEntries = tableEntries(blocks, ratio, false);
  const dataAt = BAT_AT + Math.max(1, Math.ceil((batEntries * BAT_ENTRY_BYTES) / ALIGNMENT)) * ALIGNMENT;
  return { blockBytes, blocks, ratio, batEntries, batAt: BAT_AT, dataAt };
}

/** The smallest unit that an occupancy counts. */
const FINEST = 64 << 10;

function unsettledBlock(size: number): number {
  let block = SMALLEST_BLOCK;
  while (block < LARGEST_BLOCK && size / block > MOST_AUTO_BLOCKS) block *= 2;
  return block;
}

/**
 * The block size for `auto`: the file is smallest with blocks that are small where the data is scattered, and large where a table of
 * small ones would weigh more than what they save. Of sizes within a 64th the largest is taken, for fewer blocks are faster to use.
 */
export function settle(spec: Omit<TargetSpec, "identity">, occupancy: Occupancy): Readonly<Record<string, string>> {
  if ((spec.options["block_size"] ?? "auto") !== "auto") return spec.options;
  const { size, sectorBytes, isFixed } = layoutOf(spec);
  // A raw source does not tell what is empty; blocks of zeros are found while it is read, and small blocks leave out more of them.
  if (!isFixed && occupancy(FINEST) * FINEST >= size) return spec.options;
  const candidates: { block: number; fileSize: number }[] = [];
  for (let block = SMALLEST_BLOCK; block <= LARGEST_AUTO; block *= 2) {
    const { blocks, dataAt } = blocksOf(size, block, sectorBytes);
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
    layout = layoutOf(spec);
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
  return found;
}

/** qemu-img has neither ids nor 4096-byte sectors to choose. */
export function qemuArguments(spec: TargetSpec): readonly string[] | null {
  const { isFixed, blockBytes, sectorBytes, diskId } = layoutOf(spec);
  if (sectorBytes !== 512 || diskId !== null) return null;
  return ["-O", "vhdx", "-o", `subformat=${isFixed ? "fixed" : "dynamic"},block_size=${blockBytes / MIB}M`];
}
