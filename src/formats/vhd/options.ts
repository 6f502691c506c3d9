import { DiskError } from "../../core/errors.ts";
import { plainName } from "../../core/file-name.ts";
import { givenId, idOption } from "../../core/id-option.ts";
import type { Base, Loss, TargetOption, TargetSpec } from "../../core/target.ts";
import { uuidBytes, uuidFrom } from "../../core/uuid.ts";
import { sectorLosses, wholeSectors } from "../../core/whole-sectors.ts";
import { BLOCK_BYTES, LONGEST_PARENT_NAME, MOST_BYTES } from "./spec.ts";

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
  /** What a differencing image lies over; null: the image stands alone. */
  readonly parent: { readonly name: string; readonly uniqueId: Uint8Array } | null;
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
  const { base } = spec;
  const [wrong] = [...contradictions(spec), ...(base === undefined ? [] : baseFaults(base, spec))];
  if (wrong !== undefined) throw new DiskError("usage", `vhd: ${wrong}`);
  const size = wholeSectors(spec.size);
  return {
    isFixed: spec.options["subformat"] === "fixed",
    size,
    blocks: Math.ceil(size / BLOCK_BYTES),
    name: spec.name,
    uniqueId: idOf(spec) as Uint8Array,
    parent: base === undefined ? null : { name: base.name, uniqueId: uuidBytes(base.identity ?? "") as Uint8Array },
  };
}

/** Why no differencing image can be written over a base. */
function baseFaults(base: Base, { size, options }: Omit<TargetSpec, "identity">): string[] {
  const found: string[] = [];
  const id = uuidBytes(base.identity ?? "");
  if (base.format !== "vpc") return [`“${base.name}” is of the format ${base.format}; the parent of a VHD is a VHD`];
  if (options["subformat"] === "fixed") found.push("a fixed image holds the whole disk, so there can be no base below it");
  // Windows refuses a chain of other sizes (ERROR_VHD_CHILD_PARENT_SIZE_MISMATCH).
  if (wholeSectors(base.size) !== wholeSectors(size))
    found.push(`“${base.name}” has ${base.size} bytes, the layer ${size}: a VHD and its parent have the same size`);
  if (id === null) found.push(`“${base.name}” has no id by which a layer could know it`);
  else if (givenId({ options }) === base.identity)
    found.push(`the id ${base.identity} is that of “${base.name}”: a layer needs one of its own`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: no file system's names have them, and a NUL would end the name early
  if (base.name === "" || base.name !== plainName(base.name) || /[\u0000-\u001f\u007f]/.test(base.name))
    found.push(`“${base.name}” is no plain file name`);
  if (base.name.length > LONGEST_PARENT_NAME) found.push(`the name “${base.name}” has more than ${LONGEST_PARENT_NAME} UTF-16 units`);
  return found;
}

export const baseLosses = (base: Base, spec: Omit<TargetSpec, "identity">): readonly Loss[] =>
  baseFaults(base, spec).map((why) => ({ what: "A differencing VHD cannot be made", why, severity: "blocker" }));

export function losses(spec: TargetSpec): readonly Loss[] {
  const found: Loss[] = contradictions(spec).map((why) => ({ what: "This VHD cannot be made", why, severity: "blocker" }));
  if (found.length > 0) return found;
  found.push(...sectorLosses(spec.size, "VHD"));
  if (wholeSectors(spec.size) > MOST_BYTES)
    found.push({
      what: "The disk is too large for a VHD",
      why: "A VHD holds at most 2040 GiB; a VHDX holds up to 64 TiB.",
      severity: "blocker",
    });
  return found;
}

/** qemu-img cannot set the id, nor write layers; without force_size it would round the size up to a geometry. */
export function qemuArguments(spec: TargetSpec): readonly string[] | null {
  if (spec.base !== undefined || losses(spec).some(({ severity }) => severity === "blocker")) return null;
  return ["-O", "vpc", "-o", `subformat=${readSpec(spec).isFixed ? "fixed" : "dynamic"},force_size=on`];
}
