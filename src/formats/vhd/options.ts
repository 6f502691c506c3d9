import { DiskError } from "../../core/errors.ts";
import { givenId, idOption } from "../../core/id-option.ts";
import type { Loss, TargetOption, TargetSpec } from "../../core/model.ts";
import { uuidBytes, uuidFrom } from "../../core/uuid.ts";
import { sectorLosses, wholeSectors } from "../../core/whole-sectors.ts";
import { BLOCK_BYTES, MOST_BYTES } from "./spec.ts";

export const OPTIONS: readonly TargetOption[] = [
  {
    name: "subformat",
    label: "Allocation",
    help: "Dynamic images grow; fixed ones have their full size from the start. Azure takes fixed ones only.",
    choices: [
      { value: "dynamic", label: "Dynamic" },
      { value: "fixed", label: "Fixed (full size)" },
    ],
    initial: "dynamic",
  },
  idOption("Disk id", "A UUID; empty: derived from the disk's content. Differencing images know their parent by it."),
];

/** A spec whose options have been checked. */
export interface VhdSpec {
  readonly isFixed: boolean;
  /** Virtual size, whole sectors. */
  readonly size: number;
  /** Blocks of a dynamic image. */
  readonly blocks: number;
  readonly name: string;
  readonly uniqueId: Uint8Array;
}

/** The given id, or one from the seed; null: the given one is none, or nil. */
function idOf(spec: TargetSpec): Uint8Array | null {
  const id = givenId(spec);
  if (id === "") return uuidFrom(spec.identity);
  return id === null ? null : uuidBytes(id);
}

function contradictions(spec: TargetSpec): string[] {
  const { options, size } = spec;
  const found: string[] = [];
  const { subformat = "dynamic", id = "" } = options;
  if (subformat !== "dynamic" && subformat !== "fixed") found.push(`subformat is "${subformat}", expected dynamic or fixed`);
  if (idOf(spec) === null) found.push(`id is "${id}", expected a UUID such as 01234567-89ab-4cde-8f01-23456789abcd`);
  if (!Number.isSafeInteger(size) || size <= 0) found.push(`a disk of ${size} bytes: it must have at least one byte`);
  return found;
}

/** A `usage` error when the options are not the format's. */
export function readSpec(spec: TargetSpec): VhdSpec {
  const [wrong] = contradictions(spec);
  if (wrong !== undefined) throw new DiskError("usage", `vhd: ${wrong}`);
  const size = wholeSectors(spec.size);
  return {
    isFixed: spec.options["subformat"] === "fixed",
    size,
    blocks: Math.ceil(size / BLOCK_BYTES),
    name: spec.name,
    uniqueId: idOf(spec) as Uint8Array,
  };
}

export function losses(spec: TargetSpec): readonly Loss[] {
  const found: Loss[] = contradictions(spec).map((why) => ({ what: "This VHD cannot be made", why, severity: "blocker" }));
  if (found.length > 0) return found;
  const { size } = readSpec(spec);
  found.push(...sectorLosses(spec.size, "VHD"));
  if (size > MOST_BYTES)
    found.push({
      what: "The disk is too large for a VHD",
      why: "A VHD holds at most 2040 GiB; a VHDX holds up to 64 TiB.",
      severity: "blocker",
    });
  return found;
}

/** qemu-img cannot set the id; without force_size it would round the size up to a geometry. */
export function qemuArguments(spec: TargetSpec): readonly string[] | null {
  if (losses(spec).some(({ severity }) => severity === "blocker")) return null;
  return ["-O", "vpc", "-o", `subformat=${readSpec(spec).isFixed ? "fixed" : "dynamic"},force_size=on`];
}
