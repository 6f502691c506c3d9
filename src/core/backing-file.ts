// What QEMU accepts below the images whose base it opens by name (qcow2, QED).
import type { Base, Loss } from "./target.ts";

/** Formats of backing files that QEMU recognises by their content; and raw, for which both formats have a mark. */
const BACKING_FORMATS = ["raw", "qcow2", "qcow", "qed", "vmdk", "vdi", "vpc", "vhdx", "parallels", "bochs", "cloop"];
/** Those of them whose own layers it follows. */
const LAYERED_FORMATS = ["qcow2", "qcow", "qed", "vmdk"];

/** Why QEMU does not read the base, as blockers. `named`: further formats, which the layer can state by name. */
export function backingLosses({ name, format, isLayer, isSplit }: Base, named: readonly string[] = []): readonly Loss[] {
  const block = (why: string): Loss => ({ what: "QEMU does not read the base", why, severity: "blocker" });
  if (![...BACKING_FORMATS, ...named].includes(format)) return [block(`“${name}” is of the format ${format}`)];
  if (isSplit === true) return [block(`“${name}” is the first of several files, and QEMU reads this one alone`)];
  if (isLayer !== true || LAYERED_FORMATS.includes(format)) return [];
  return [block(`“${name}” is a layer itself, which QEMU does not follow in the format ${format}`)];
}

/** The base's name as QEMU is told it: one with a colon would be taken for one with a protocol. */
export const backingName = ({ name }: Pick<Base, "name">): string => (name.includes(":") ? `./${name}` : name);
