import { DiskError } from "../../core/errors.ts";
import { hexText } from "../../core/hex.ts";
import type { Note } from "../../core/model.ts";
import { uuidBytes, uuidText } from "../../core/uuid.ts";
import { MOST_EXTENTS, MOST_SECTORS, SECTOR } from "./spec.ts";

/** [1] "The Descriptor File". */
export interface Descriptor {
  readonly createType: string;
  readonly cid: number;
  readonly parentCid: number;
  readonly parentName: string | null;
  /** What VirtualBox adds: it knows images by UUIDs, and leaves CIDs alone. */
  readonly uuids: Readonly<Record<"image" | "modification" | "parent" | "parentModification", string | null>>;
  readonly extents: readonly ExtentLine[];
  readonly encrypted: boolean;
  readonly notes: readonly Note[];
}

/** [1] "The Extents": one line; `access size type "name" offset`. */
export interface ExtentLine {
  readonly access: "RW" | "RDONLY" | "NOACCESS";
  /** Bytes. */
  readonly size: number;
  /** FLAT, SPARSE, ZERO, VMFS, VMFSSPARSE, VMFSRDM, VMFSRAW, SESPARSE …, in capitals. */
  readonly type: string;
  /** Verbatim; empty for ZERO. */
  readonly name: string;
  /** Where a flat extent begins in its file, bytes. */
  readonly offset: number;
  readonly line: number;
}

export const NO_PARENT = 0xffff_ffff;
const VERSIONS = ["1", "2", "3"];

/** Does this text file begin as a descriptor? Comments, then a `version=` line; or the customary first comment. */
export function looksLikeDescriptor(head: Uint8Array): boolean {
  const text = latin1(head.subarray(0, 4096));
  for (const line of text.replace(/^\u00ef\u00bb\u00bf/, "").split(/\r\n|\n|\r/)) {
    if (/^\s*#\s*disk\s*descriptor\s*file/i.test(line)) return true;
    if (/^\s*(#|$)/.test(line)) continue;
    return /^\s*version\s*=\s*"?[0-9]+"?\s*$/i.test(line);
  }
  return false;
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** The text up to the first NUL, in the encoding that it states, else UTF-8, else windows-1252. */
function decode(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  const used = end < 0 ? bytes : bytes.subarray(0, end);
  const stated = /^\s*encoding\s*=\s*"?([\w.-]+)/im.exec(latin1(used.subarray(0, 4096)))?.[1];
  for (const label of [stated, "utf-8"]) {
    if (label === undefined) continue;
    try {
      return new TextDecoder(label, { fatal: true }).decode(used);
    } catch (error) {
      // RangeError: no such encoding here; TypeError: the text is not in it.
      if (!(error instanceof RangeError) && !(error instanceof TypeError)) throw error;
    }
  }
  return new TextDecoder("windows-1252").decode(used);
}

/** Reads a descriptor that lies at byte `at` of `file`. Errors name the line. */
export function parseDescriptor(bytes: Uint8Array, file: string, at: number): Descriptor {
  const settings = new Map<string, string>();
  const extents: ExtentLine[] = [];
  const notes: Note[] = [];
  const fail = (line: number, what: string, code: "corrupt" | "limit" | "unsupported" = "corrupt"): never => {
    throw new DiskError(code, `vmdk: descriptor line ${line}: ${what}`, { file, at });
  };
  decode(bytes)
    .split(/\r\n|\n|\r/)
    .forEach((raw, index) => {
      const line = index + 1;
      const text = raw.trim();
      if (text === "" || text.startsWith("#")) return;
      if (/^(RW|RDONLY|NOACCESS)\s/i.test(text)) {
        if (extents.length === MOST_EXTENTS) fail(line, `more than ${MOST_EXTENTS} extents`, "limit");
        extents.push(parseExtent(text, line, fail));
        return;
      }
      const setting = /^([\w.:-]+)\s*=\s*(.*)$/.exec(text);
      if (setting === null) {
        if (/^\S+\s+-?\d/.test(text)) fail(line, `"${text.slice(0, 60)}" is neither a setting nor an extent`);
        notes.push({ severity: "warning", text: `line ${line} of the descriptor is not understood: "${text.slice(0, 60)}"` });
        return;
      }
      const key = (setting[1] as string).toLowerCase();
      const value = (setting[2] as string).replace(/^"(.*)"$/, "$1");
      const before = settings.get(key);
      if (before !== undefined && before !== value)
        fail(line, `${setting[1]} is "${value.slice(0, 60)}", but was "${before.slice(0, 60)}"`);
      settings.set(key, value);
    });
  const version = settings.get("version");
  if (version !== undefined && !VERSIONS.includes(version))
    throw new DiskError("unsupported", `vmdk: descriptor version is ${version.slice(0, 20)}, expected 1, 2 or 3`, { file, at });
  const contentId = (key: string, absent: number): number => {
    const value = settings.get(key.toLowerCase()) ?? absent.toString(16);
    if (!/^[0-9a-f]{1,8}$/i.test(value))
      throw new DiskError("corrupt", `vmdk: ${key} is "${value.slice(0, 20)}", expected 8 hexadecimal digits`, { file, at });
    return Number.parseInt(value, 16);
  };
  const uuid = (what: string): string | null => uuidText(uuidBytes(settings.get(`ddb.uuid.${what}`) ?? "") ?? new Uint8Array(16));
  if (settings.has("changetrackpath"))
    notes.push({ severity: "info", text: "changed block tracking is on for this disk; the list of changed blocks is not carried over" });
  return {
    createType: settings.get("createtype") ?? "",
    cid: contentId("CID", 0),
    parentCid: contentId("parentCID", NO_PARENT),
    parentName: settings.get("parentfilenamehint") ?? null,
    uuids: {
      image: uuid("image"),
      modification: uuid("modification"),
      parent: uuid("parent"),
      parentModification: uuid("parentmodification"),
    },
    extents,
    encrypted: [...settings.keys()].some((key) => /^(encryption|ddb\.encryption|keyid|cryptokeys)/.test(key)),
    notes,
  };
}

type Fail = (line: number, what: string) => never;

function parseExtent(text: string, line: number, fail: Fail): ExtentLine {
  const [, access = "", sectors = "", type = "", rest = ""] = /^(\S+)\s+(\S+)(?:\s+(\S+)(?:\s+(.*))?)?$/.exec(text) ?? [];
  const count = (value: string, what: string): number => {
    if (!/^[0-9]{1,19}$/.test(value) || Number(value) > MOST_SECTORS)
      fail(line, `${what} is ${value.slice(0, 40)}, expected 0 to ${MOST_SECTORS} sectors`);
    return Number(value) * SECTOR;
  };
  const size = count(sectors, "size");
  if (size === 0) fail(line, "an extent of 0 sectors");
  const kind = type.toUpperCase();
  if (!/^[A-Z0-9]{3,16}$/.test(kind)) fail(line, `"${type.slice(0, 40)}" is not a type of extent`);
  const common = { access: access.toUpperCase() as ExtentLine["access"], size, type: kind, line };
  if (kind === "ZERO") return { ...common, name: "", offset: 0 };
  const [named, quoted, bare] = /^(?:"(.+?)"(?=\s|$)|([^"\s]+))/.exec(rest) ?? [];
  if (named === undefined) fail(line, "an extent without a file name");
  const name = quoted ?? bare ?? "";
  const offset = /^\s+(\S+)/.exec(rest.slice((named as string).length))?.[1];
  return { ...common, name, offset: offset === undefined ? 0 : count(offset, "offset") };
}

/** What a new descriptor says. */
export interface NewDescriptor {
  readonly createType: string;
  readonly cid: number;
  /** 16 bytes; the long content id begins with its first 12. */
  readonly identity: Uint8Array;
  /** Whole extent lines. */
  readonly extents: readonly string[];
  readonly adapterType: string;
  readonly hwVersion: string;
  readonly sectors: number;
  readonly thin: boolean;
  readonly uuid: string | null;
  /** Of a delta link. */
  readonly parent: { readonly cid: number; readonly name: string } | null;
}

const hex = (value: number): string => value.toString(16).padStart(8, "0");

/** The text of a descriptor. libvmdk wants the comment before `#DDB`, 7-Zip and VMware the first line. */
export function formatDescriptor(spec: NewDescriptor): Uint8Array<ArrayBuffer> {
  const { cylinders, heads, sectors } = geometry(spec.sectors, spec.adapterType);
  const longId = hexText(spec.identity.subarray(0, 12)) + hex(spec.cid);
  const lines = [
    "# Disk DescriptorFile",
    "version=1",
    'encoding="UTF-8"',
    `CID=${hex(spec.cid)}`,
    `parentCID=${hex(spec.parent?.cid ?? NO_PARENT)}`,
    `createType="${spec.createType}"`,
    ...(spec.parent === null ? [] : [`parentFileNameHint="${spec.parent.name}"`]),
    "",
    "# Extent description",
    ...spec.extents,
    "",
    "# The Disk Data Base",
    "#DDB",
    "",
    `ddb.adapterType = "${spec.adapterType}"`,
    `ddb.geometry.cylinders = "${cylinders}"`,
    `ddb.geometry.heads = "${heads}"`,
    `ddb.geometry.sectors = "${sectors}"`,
    `ddb.longContentID = "${longId}"`,
    ...(spec.thin ? ['ddb.thinProvisioned = "1"'] : []),
    ...(spec.uuid === null ? [] : [`ddb.uuid = "${spacedUuid(spec.uuid)}"`, `ddb.uuid.image="${spec.uuid}"`]),
    `ddb.virtualHWVersion = "${spec.hwVersion}"`,
    "",
  ];
  return new TextEncoder().encode(lines.join("\n"));
}

/** VMware's way to write a UUID: `60 00 c2 9a dc 4a 12 0f-2a cb 5c 02 7e cf 6d 0e`. */
function spacedUuid(uuid: string): string {
  const pairs = uuid.replaceAll("-", "").match(/../g) as string[];
  return `${pairs.slice(0, 8).join(" ")}-${pairs.slice(8).join(" ")}`;
}

const GIB_SECTORS = (1 << 30) / SECTOR;

/** VMware's customary geometry: IDE 16/63, at most 16,383 cylinders; SCSI by size (VMware KB 1026254). */
function geometry(total: number, adapterType: string): { cylinders: number; heads: number; sectors: number } {
  const [heads, sectors] =
    adapterType === "ide" ? [16, 63] : total < GIB_SECTORS ? [64, 32] : total <= 2 * GIB_SECTORS ? [128, 32] : [255, 63];
  const cylinders = Math.max(1, Math.floor(total / (heads * sectors)));
  return { cylinders: adapterType === "ide" ? Math.min(cylinders, 16383) : cylinders, heads, sectors };
}
