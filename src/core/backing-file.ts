// What QEMU accepts below the images whose base it opens by name (qcow2, QED).
import type { FileReference } from "./model.ts";
import type { Base, Loss } from "./target.ts";

/** Formats of backing files that QEMU recognises by their content (a DMG it does by its file's name alone); and raw, for which both formats have a mark. */
const BACKING_FORMATS = ["raw", "qcow2", "qcow", "qed", "vmdk", "vdi", "vpc", "vhdx", "parallels", "bochs", "cloop"];
/** Those of them whose own layers it follows. */
const LAYERED_FORMATS = ["qcow2", "qcow", "qed", "vmdk"];

/** Why QEMU does not read the base, as blockers. `named`: further formats, which the layer can state by name. */
export function backingLosses({ name, format, isLayer, isSplit }: Base, named: readonly string[] = []): readonly Loss[] {
  const block = (why: string): Loss => ({ what: "QEMU does not read the base", why, severity: "blocker" });
  if (![...BACKING_FORMATS, ...named].includes(format)) {
    if (format !== "dmg") return [block(`“${name}” is of the format ${format}`)];
    return [block(`“${name}” is a DMG, which QEMU is sure of only where the layer states it, and this format cannot`)];
  }
  if (isSplit === true) return [block(`“${name}” is the first of several files, and QEMU reads this one alone`)];
  if (isLayer !== true || LAYERED_FORMATS.includes(format)) return [];
  return [block(`“${name}” is a layer itself, which QEMU does not follow in the format ${format}`)];
}

/** The base's name as QEMU is told it: one with a colon would be taken for one with a protocol. */
export const backingName = ({ name }: Pick<Base, "name">): string => (name.includes(":") ? `./${name}` : name);

/** Settings that do not change what bytes a node of QEMU's block layer has. */
const HARMLESS = ["node-name", "read-only", "auto-read-only", "discard", "detect-zeroes", "aio", "locking", "pr-manager"];
const isHarmless = (key: string): boolean => HARMLESS.includes(key) || key.startsWith("cache");

/**
 * The base that a stated backing name means. QEMU also writes `json:{…}`, its block layer's options, as nested objects or flat keys
 * (`file.filename`): a plain file below a format's driver is that file in that format. Anything else (a server, an offset) stays the
 * name it is, which no file has.
 */
export function backingReference(stated: string, format: string | null): FileReference {
  const named = stated.startsWith("json:") ? fileInOptions(stated.slice(5)) : null;
  return { role: "parent", id: null, name: named?.name ?? stated, format: format ?? named?.format ?? null };
}

function fileInOptions(json: string): { readonly name: string; readonly format: string | null } | null {
  const { driver, "file.driver": protocol = "file", "file.filename": name, ...others } = flattened(json);
  const known = protocol === "file" && typeof name === "string" && (driver === undefined || typeof driver === "string");
  if (!known || !Object.keys(others).every((key) => isHarmless(key.replace(/^file\./, "")))) return null;
  return { name, format: driver ?? null };
}

/** Options by their flat keys; none when the text is not an object or is too deep for what is looked for. */
function flattened(json: string): Readonly<Record<string, unknown>> {
  try {
    const { file, ...others } = JSON.parse(json) as Record<string, unknown>;
    if (file === undefined) return others;
    const inner = Object.entries(Object(file)).map(([key, value]) => [`file.${key}`, value] as const);
    return { ...others, ...Object.fromEntries(inner) };
  } catch {
    return {};
  }
}
