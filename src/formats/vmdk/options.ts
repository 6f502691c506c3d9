import { backingName } from "../../core/backing-file.ts";
import { EFFORT_OPTION, wantsSmall } from "../../core/effort-option.ts";
import { DiskError } from "../../core/errors.ts";
import { plainName } from "../../core/file-name.ts";
import { givenId, idOption } from "../../core/id-option.ts";
import type { Base, Loss, TargetOption, TargetSpec } from "../../core/target.ts";
import { sectorLosses } from "../../core/whole-sectors.ts";
import { formatDescriptor } from "./descriptor.ts";
import { GTES_PER_GT, SECTOR } from "./spec.ts";

export const GRAIN = 64 << 10;
export const DESCRIPTOR_SECTORS = 20;
/** Grain and table places are 32-bit sector numbers. */
export const MOST_FILE_SECTORS = 2 ** 32;
/** ESXi's largest disk. */
const MOST_BYTES = 62 * 2 ** 40 - 512;

export type Subformat =
  | "monolithicSparse"
  | "streamOptimized"
  | "monolithicFlat"
  | "twoGbMaxExtentSparse"
  | "twoGbMaxExtentFlat"
  | "vmfs"
  | "vmfsThin";
/** VMware's own size of a split disk's extents: whole grains, and with its tables a file stays under 2 GiB. */
const SPLIT_SECTORS = 4_192_256;
/** Files of a split disk; more than any VMware product's virtual machine has been given. */
const MOST_SPLITS = 999;

export const OPTIONS: readonly TargetOption[] = [
  {
    name: "subformat",
    label: "Kind",
    help: "How the disk is stored. Appliances (OVA) and cloud imports want streamOptimized, ESXi datastores the VMFS pair.",
    choices: [
      { value: "monolithicSparse", label: "One growing file (Workstation, Fusion, VirtualBox)" },
      { value: "streamOptimized", label: "Compressed stream (OVA, ESXi import, AWS)" },
      { value: "monolithicFlat", label: "Descriptor and flat file" },
      { value: "twoGbMaxExtentSparse", label: "Growing files of 2 GB (FAT, Workstation)" },
      { value: "twoGbMaxExtentFlat", label: "Flat files of 2 GB" },
      { value: "vmfs", label: "Descriptor and flat file for an ESXi datastore" },
      { value: "vmfsThin", label: "The same, marked as thin provisioned" },
    ],
    initial: "monolithicSparse",
  },
  EFFORT_OPTION,
  {
    name: "adapter_type",
    label: "Disk controller",
    help: "The controller that the descriptor names.",
    choices: [
      { value: "lsilogic", label: "LSI Logic" },
      { value: "ide", label: "IDE" },
      { value: "buslogic", label: "BusLogic" },
      { value: "legacyESX", label: "Legacy ESX" },
    ],
    initial: "lsilogic",
  },
  {
    name: "hwversion",
    label: "Virtual hardware version",
    help: "The oldest VMware hardware version that may use the disk; a number.",
    choices: null,
    initial: "7",
  },
  {
    name: "zeroed_grain",
    label: "Zeroed grains",
    help: "Whether a growing disk may mark grains as zero without storing them (header version 2); for layers made over it.",
    choices: [
      { value: "off", label: "No" },
      { value: "on", label: "Yes" },
    ],
    initial: "off",
  },
  {
    name: "cid",
    label: "Content ID",
    help: "Eight hexadecimal digits; empty: derived from the disk's content. Layers of a chain refer to it.",
    choices: null,
    initial: "",
  },
  idOption("Disk UUID", "The UUID by which VMware and VirtualBox know the disk; empty: none, they give it one."),
];

/** A spec whose options have been checked. */
export interface VmdkSpec {
  readonly subformat: Subformat;
  readonly sectors: number;
  /** Plain file name of the first output file. */
  readonly name: string;
  readonly adapterType: string;
  readonly hwVersion: string;
  readonly cid: number;
  readonly isCidGiven: boolean;
  readonly identity: Uint8Array;
  readonly zeroedGrains: boolean;
  /** `Encoding.small`; means something for streams. */
  readonly small: boolean;
  /** In lower case; null: none. */
  readonly uuid: string | null;
  /** Of a delta link: the base's content ID, and its file name as a hint; QEMU reads that as it reads a backing file's. */
  readonly parent: { readonly cid: number; readonly name: string } | null;
}

const option = ({ options }: TargetSpec, name: string): string =>
  options[name] ?? (OPTIONS.find((o) => o.name === name) as TargetOption).initial;

/** Everything about the request that makes it impossible, in people's words. */
function contradictions(spec: TargetSpec): string[] {
  const found: string[] = [];
  for (const { name, choices } of OPTIONS)
    if (choices !== null && !choices.some(({ value }) => value === option(spec, name)))
      found.push(`${name} is "${option(spec, name)}", expected ${choices.map(({ value }) => value).join(", ")}`);
  if (!/^[1-9][0-9]{0,2}$/.test(option(spec, "hwversion")))
    found.push(`hwversion is "${option(spec, "hwversion")}", expected a number from 1 to 999`);
  const cid = option(spec, "cid");
  if (cid !== "" && (!/^[0-9a-f]{8}$/i.test(cid) || /^fffffff[ef]$/i.test(cid)))
    found.push(`cid is "${cid}", expected eight hexadecimal digits other than ffffffff and fffffffe`);
  if (givenId(spec) === null) found.push(`id is "${option(spec, "id")}", expected a UUID such as 01234567-89ab-4cde-8f01-23456789abcd`);
  const subformat = option(spec, "subformat");
  if (option(spec, "zeroed_grain") === "on" && !/^(monolithic|twoGbMaxExtent)Sparse$/.test(subformat))
    found.push(`zeroed_grain is for growing disks, not for ${subformat}`);
  const name = plainName(spec.name);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a line break would end the extent's line in the descriptor
  if (name === "" || /["\u0000-\u001f\u007f]/.test(name)) found.push(`the name "${spec.name}" cannot stand in a descriptor`);
  if (!Number.isSafeInteger(spec.size) || spec.size <= 0) found.push(`a disk of ${spec.size} bytes: it must have at least one byte`);
  return found;
}

export function readSpec(spec: TargetSpec): VmdkSpec {
  const [wrong] = contradictions(spec);
  if (wrong !== undefined) throw new DiskError("usage", `vmdk: ${wrong}`);
  const cid = option(spec, "cid");
  return {
    subformat: option(spec, "subformat") as Subformat,
    sectors: Math.ceil(spec.size / SECTOR),
    name: plainName(spec.name),
    adapterType: option(spec, "adapter_type"),
    hwVersion: option(spec, "hwversion"),
    cid: cid === "" ? derivedCid(spec.identity) : Number.parseInt(cid, 16),
    isCidGiven: cid !== "",
    identity: spec.identity,
    zeroedGrains: option(spec, "zeroed_grain") === "on",
    small: wantsSmall(spec),
    uuid: givenId(spec) || null,
    parent: spec.base === undefined ? null : { cid: Number.parseInt(spec.base.identity ?? "", 16), name: backingName(spec.base) },
  };
}

/** Whether, and over what, a delta link can be written. [2], "Delta Links" */
export function baseLosses(base: Base, spec: Omit<TargetSpec, "identity">): readonly Loss[] {
  const block = (why: string): Loss => ({ what: "A delta link cannot be made", why, severity: "blocker" });
  const subformat = spec.options["subformat"] ?? "monolithicSparse";
  if (!/^(monolithic|twoGbMaxExtent)Sparse$/.test(subformat)) return [block(`only growing disks can be layers, not ${subformat}`)];
  if (base.format !== "vmdk") return [block(`“${base.name}” is no VMDK, and a delta link names its parent by a VMDK's content ID`)];
  if (!/^[0-9a-f]{8}$/i.test(base.identity ?? "")) return [block(`“${base.name}” has no content ID`)];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a line break would end the line in the descriptor
  if (/["\u0000-\u001f\u007f]/.test(base.name)) return [block(`the name “${base.name}” cannot stand in a descriptor`)];
  if (base.size === spec.size) return [];
  const why = `VMware's products want a layer as large as its parent; “${base.name}” has ${base.size} bytes, the layer ${spec.size} bytes.`;
  return [{ what: "The base has another size", why, severity: "warning" }];
}

/** The same, with ids made of another identity. */
export function withIdentity(spec: VmdkSpec, identity: Uint8Array = spec.identity): VmdkSpec {
  return { ...spec, identity, cid: spec.isCidGiven ? spec.cid : derivedCid(identity) };
}

/** ffffffff means "no parent" and fffffffe "not yet used": neither may identify contents ([2], "Header"). */
function derivedCid(identity: Uint8Array): number {
  const cid = new DataView(identity.buffer, identity.byteOffset, identity.byteLength).getUint32(identity.length - 4);
  return cid >= 0xffff_fffe ? cid - 2 : cid;
}

/** Sectors before the first grain of a growing file: header, descriptor, two directories with all their tables. */
export interface SparseLayout {
  readonly tables: number;
  readonly directorySectors: number;
  readonly rgd: number;
  readonly gd: number;
  readonly overHead: number;
}
const GT_SECTORS = 4;
export function sparseLayout(sectors: number, descriptorSectors = DESCRIPTOR_SECTORS): SparseLayout {
  const tables = Math.ceil((sectors * SECTOR) / (GRAIN * GTES_PER_GT));
  const directorySectors = Math.ceil((tables * 4) / SECTOR);
  const rgd = 1 + descriptorSectors;
  const gd = rgd + directorySectors + tables * GT_SECTORS;
  const end = gd + directorySectors + tables * GT_SECTORS;
  const grainSectors = GRAIN / SECTOR;
  return { tables, directorySectors, rgd, gd, overHead: Math.ceil(end / grainSectors) * grainSectors };
}

export function losses(spec: TargetSpec): readonly Loss[] {
  const found: Loss[] = contradictions(spec).map((why) => ({ what: "This VMDK cannot be made", why, severity: "blocker" }));
  if (found.length > 0) return found;
  const { subformat, sectors } = readSpec(spec);
  found.push(...sectorLosses(spec.size, "VMDK"));
  if (subformat === "monolithicSparse" || subformat === "streamOptimized") {
    const { overHead } = sparseLayout(sectors);
    if (overHead >= MOST_FILE_SECTORS)
      found.push({
        what: "The disk is too large",
        why: "Its tables alone would not fit into the 2 TiB that a sparse VMDK file may have.",
        severity: "blocker",
      });
    else if (overHead + sectors > MOST_FILE_SECTORS)
      found.push({
        what: "More than 2 TiB of data will not fit",
        why: "A sparse VMDK file ends at 2 TiB. If less than that is in use (after compression), all is well; otherwise writing stops with an error.",
        severity: "warning",
      });
  }
  const splits = Math.ceil(sectors / SPLIT_SECTORS);
  if (isSplit(subformat) && splits > MOST_SPLITS)
    found.push({
      what: "The disk is too large for files of 2 GB",
      why: `It would consist of ${splits} files; at most ${MOST_SPLITS} are written. Choose another kind.`,
      severity: "blocker",
    });
  if (spec.size > MOST_BYTES)
    found.push({
      what: "The disk is too large for a VMDK",
      why: "The largest virtual disk that a VMware product takes has 62 TiB.",
      severity: "blocker",
    });
  return found;
}

const isSplit = (subformat: Subformat): boolean => subformat.startsWith("twoGbMaxExtent");

/** A data file of a new disk that has a descriptor of its own. */
export interface NewExtent {
  readonly name: string;
  readonly sectors: number;
  readonly line: string;
}

/** The files beside the descriptor, with the names that VMware's tools give them. */
export function extentsOf({ subformat, name, sectors }: VmdkSpec): readonly NewExtent[] {
  const stem = name.replace(/\.vmdk$/i, "");
  if (!isSplit(subformat)) {
    const flat = `${stem}-flat.vmdk`;
    // ESXi writes no offset, and qemu-img takes none.
    return [
      { name: flat, sectors, line: subformat === "monolithicFlat" ? `RW ${sectors} FLAT "${flat}" 0` : `RW ${sectors} VMFS "${flat}"` },
    ];
  }
  const sparse = subformat === "twoGbMaxExtentSparse";
  return Array.from({ length: Math.ceil(sectors / SPLIT_SECTORS) }, (_, i) => {
    const own = Math.min(SPLIT_SECTORS, sectors - i * SPLIT_SECTORS);
    const part = `${stem}-${sparse ? "s" : "f"}${String(i + 1).padStart(3, "0")}.vmdk`;
    return { name: part, sectors: own, line: sparse ? `RW ${own} SPARSE "${part}"` : `RW ${own} FLAT "${part}" 0` };
  });
}

/** The descriptor, for the lines of `extentsOf` unless others are given. ESXi knows a thin disk by a setting, not by its type. */
export function describe(spec: VmdkSpec, lines = extentsOf(spec).map(({ line }) => line)): Uint8Array<ArrayBuffer> {
  const thin = spec.subformat === "vmfsThin";
  return formatDescriptor({ ...spec, createType: thin ? "vmfs" : spec.subformat, extents: lines, thin });
}

/** An embedded descriptor fills its sectors with zeros. */
export function embeddedDescriptor(spec: VmdkSpec, access: "RW" | "RDONLY"): Uint8Array<ArrayBuffer> {
  const text = describe(spec, [`${access} ${spec.sectors} SPARSE "${spec.name}"`]);
  const out = new Uint8Array(DESCRIPTOR_SECTORS * SECTOR);
  if (text.length > out.length) throw new DiskError("usage", `vmdk: the name "${spec.name}" is too long for the descriptor`);
  out.set(text);
  return out;
}
