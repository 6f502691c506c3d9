import type { Loss } from "../core/target.ts";
import type { DiskFacts, EntryFacts } from "./model.ts";

export type Firmware = "bios" | "uefi";

export const blocker = (what: string, why: string): Loss => ({ what, why, severity: "blocker" });
export const warning = (what: string, why: string): Loss => ({ what, why, severity: "warning" });
export const note = (what: string, why: string): Loss => ({ what, why, severity: "note" });

const ESP = "EFI system";
const BIOS_BOOT = "BIOS boot";
const LINUX_FILE_SYSTEMS = ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "reiserfs", "lvm2", "swap", "raid"];
const UNIX_FILE_SYSTEMS = [...LINUX_FILE_SYSTEMS, "ufs", "zfs"];
const WINDOWS_FILE_SYSTEMS = ["ntfs", "refs", "bitlocker"];
const LOCKED = ["luks", "bitlocker"];

const entriesOf = ({ partitions }: DiskFacts): readonly EntryFacts[] => partitions?.entries ?? [];
const kindOf = ({ partitions }: DiskFacts): string => partitions?.kind ?? "";

export const isGpt = (facts: DiskFacts): boolean => kindOf(facts) === "GPT";
export const isMbr = (facts: DiskFacts): boolean => kindOf(facts) === "MBR";
export const hasType = (facts: DiskFacts, type: string): boolean => entriesOf(facts).some((entry) => entry.type === type);
export const hasFileSystem = (facts: DiskFacts, ...kinds: readonly string[]): boolean =>
  entriesOf(facts).some(({ fileSystem }) => fileSystem !== null && kinds.includes(fileSystem));
export const hasEfiPartition = (facts: DiskFacts): boolean => hasType(facts, ESP);
export const hasLocked = (facts: DiskFacts): boolean => hasFileSystem(facts, ...LOCKED);

/** By what the file systems tell; null: they do not. A disk with both is taken for Windows: it needs more care. */
export function guestOf(facts: DiskFacts): "windows" | "unix" | null {
  if (hasFileSystem(facts, ...WINDOWS_FILE_SYSTEMS)) return "windows";
  return hasFileSystem(facts, ...UNIX_FILE_SYSTEMS) || entriesOf(facts).some(({ type }) => /^(Linux|FreeBSD)/.test(type)) ? "unix" : null;
}

export const hasLinuxFileSystem = (facts: DiskFacts): boolean => hasFileSystem(facts, ...LINUX_FILE_SYSTEMS);

/**
 * The firmware kinds under which the disk may start. A GPT disk starts under UEFI with an EFI system partition and under BIOS with a
 * BIOS boot partition (GRUB's); an MBR disk under BIOS, and with an EFI system partition under UEFI too. Empty: none is known.
 */
export function firmwareOf(facts: DiskFacts): readonly Firmware[] {
  const uefi: readonly Firmware[] = hasEfiPartition(facts) ? ["uefi"] : [];
  const bios: readonly Firmware[] = isMbr(facts) || (isGpt(facts) && hasType(facts, BIOS_BOOT)) ? ["bios"] : [];
  return [...bios, ...uefi];
}

/** The firmware to choose at a target that has both; null: the disk does not tell. */
export function firmwareFor(facts: DiskFacts): Firmware | null {
  const able = firmwareOf(facts);
  return able.includes("uefi") ? "uefi" : (able[0] ?? null);
}

const BY: Readonly<Record<Firmware, string>> = { bios: "BIOS", uefi: "UEFI" };

/** Whether a machine whose firmware is one of `offered` can start from the disk. */
export function bootLosses(facts: DiskFacts, target: string, offered: readonly Firmware[] = ["bios", "uefi"]): readonly Loss[] {
  if (facts.partitions === null)
    return [warning("Nothing was recognised on the disk", `${target} starts machines from a partition table; no such table was found.`)];
  const able = firmwareOf(facts);
  if (able.length === 0)
    return [
      warning(
        "Nothing to start from was found",
        `The disk has neither an MBR nor an EFI system or BIOS boot partition: in ${target} it serves as a data disk.`,
      ),
    ];
  if (able.some((firmware) => offered.includes(firmware))) return [];
  const [needed] = able as [Firmware];
  return [blocker(`The disk starts under ${BY[needed]} only`, `${target} offers ${offered.map((kind) => BY[kind]).join(" and ")}.`)];
}
