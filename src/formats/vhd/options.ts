import { DiskError } from "../../core/errors.ts";
import type { Loss, TargetOption, TargetSpec } from "../../core/model.ts";
import { BLOCK_BYTES, MOST_BYTES, SECTOR } from "./spec.ts";

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
  {
    name: "id",
    label: "Disk id",
    help: "A UUID; empty: derived from the disk's content. Differencing images know their parent by it.",
    choices: null,
    initial: "",
  },
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

const UUID = /^\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?$/i;

function contradictions({ options, size }: TargetSpec): string[] {
  const found: string[] = [];
  const { subformat = "dynamic", id = "" } = options;
  if (subformat !== "dynamic" && subformat !== "fixed") found.push(`subformat is "${subformat}", expected dynamic or fixed`);
  if (id !== "" && (!UUID.test(id) || /^[{}0-]*$/.test(id)))
    found.push(`id is "${id}", expected a UUID such as 01234567-89ab-4cde-8f01-23456789abcd`);
  if (!Number.isSafeInteger(size) || size <= 0) found.push(`a disk of ${size} bytes: it must have at least one byte`);
  return found;
}

/** A `usage` error when the options are not the format's. */
export function readSpec(spec: TargetSpec): VhdSpec {
  const [wrong] = contradictions(spec);
  if (wrong !== undefined) throw new DiskError("usage", `vhd: ${wrong}`);
  const size = Math.ceil(spec.size / SECTOR) * SECTOR;
  const id = spec.options["id"] ?? "";
  return {
    isFixed: spec.options["subformat"] === "fixed",
    size,
    blocks: Math.ceil(size / BLOCK_BYTES),
    name: spec.name,
    uniqueId: id === "" ? version4(spec.identity) : bytesOf(id),
  };
}

function bytesOf(id: string): Uint8Array {
  const hex = id.replace(/[{}-]/g, "");
  return Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16));
}

/** An id of version 4 (RFC 9562) from the seed. */
function version4(seed: Uint8Array): Uint8Array {
  const id = Uint8Array.from({ length: 16 }, (_, i) => seed[i] ?? 0);
  id[6] = ((id[6] as number) & 0x0f) | 0x40;
  id[8] = ((id[8] as number) & 0x3f) | 0x80;
  return id;
}

export function losses(spec: TargetSpec): readonly Loss[] {
  const found: Loss[] = contradictions(spec).map((why) => ({ what: "This VHD cannot be made", why, severity: "blocker" }));
  if (found.length > 0) return found;
  const { size } = readSpec(spec);
  if (size !== spec.size)
    found.push({
      what: `The disk grows by ${size - spec.size} bytes`,
      why: "A VHD consists of whole sectors of 512 bytes; the rest of the last one is zero.",
      severity: "note",
    });
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
