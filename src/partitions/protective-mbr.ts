// Protective MBR: UEFI 2.10 section 5.2.3; hybrid MBRs, which no standard knows: https://www.rodsbooks.com/gdisk/hybrid.html
import type { Range } from "../core/model.ts";
import { bootRecord, ENTRIES_AT, Entry, type MbrEntry, PROTECTIVE, SIGNATURE_AT } from "./mbr.ts";

const MOST_SECTORS = 0xffffffff;
/** Table 5.4: where a place has no address in cylinders, heads and sectors; a virtual disk has no such geometry. */
const NO_ADDRESS = 0xff;
const NO_LAST_ADDRESS = { lastHead: NO_ADDRESS, lastSector: NO_ADDRESS, lastCylinder: NO_ADDRESS };
const ACTIVE = 0x80;

/**
 * The boot sector of a GPT disk of `before` sectors when it has `after`: entries of type 0xEE that reached the old end reach the new one,
 * and none ends behind it. Other entries of a hybrid MBR stay as they are. An MBR without any entry gets the protective one, as does one
 * whose protective entry is damaged; one with other entries only stays as it is.
 */
export function protectiveMbr(boot: Uint8Array, before: number, after: number): Uint8Array {
  const out = new Uint8Array(boot);
  const slot = listsNothing(boot) ? 0 : damagedEntry(boot);
  if (slot !== null) {
    out.set([0x55, 0xaa], SIGNATURE_AT);
    const at = ENTRIES_AT + slot * Entry.bytes;
    const count = Math.min(after - 1, MOST_SECTORS);
    // Some firmware starts a disk only if an entry is active.
    const status = boot[at] === ACTIVE ? ACTIVE : 0;
    out.set(
      Entry.write({ status, firstHead: 0, firstSector: 2, firstCylinder: 0, type: PROTECTIVE, ...NO_LAST_ADDRESS, start: 1, count }),
      at,
    );
    return out;
  }
  const entries = bootRecord(boot) ?? [];
  const used = entries.filter(({ type, count }) => type === PROTECTIVE || (type !== 0 && count > 0));
  entries.forEach(({ type, start, count }, i) => {
    if (type !== PROTECTIVE) return;
    const end = start + count;
    const isWhole = used.length === 1 || end >= Math.min(before, MOST_SECTORS);
    const wanted = Math.min(isWhole ? after - start : Math.min(end, after) - start, MOST_SECTORS);
    if (wanted === count) return;
    const at = ENTRIES_AT + i * Entry.bytes;
    if (wanted <= 0) out.fill(0, at, at + Entry.bytes);
    else out.set(Entry.write({ ...Entry.read(boot, at), ...NO_LAST_ADDRESS, count: wanted }), at);
  });
  return out;
}

/**
 * Which of the four entries is the protective one, where no other is in use and programs would not take it for that: it does not begin
 * at sector 1, or its status or the sector's signature is wrong. Null: there is no such entry.
 */
export function damagedEntry(boot: Uint8Array): number | null {
  const entries = [0, 1, 2, 3].map((i) => Entry.read(boot, ENTRIES_AT + i * Entry.bytes));
  const slot = entries.findIndex(({ type }) => type === PROTECTIVE);
  if (slot < 0 || entries.some(({ type }, i) => type !== 0 && i !== slot)) return null;
  const isRecord = bootRecord(boot) !== null;
  // Without the marks of a boot record the place must speak for it: other boot sectors have code here.
  return isRecord !== (entries[slot]?.start === 1) ? slot : null;
}

/** Whether the boot sector announces a GPT. */
export const isProtective = (boot: Uint8Array): boolean => bootRecord(boot)?.some(({ type }) => type === PROTECTIVE) ?? false;

/** Whether no entry is in use: nobody could tell that the disk has a GPT. */
export const listsNothing = (boot: Uint8Array): boolean =>
  boot.subarray(ENTRIES_AT).every((byte) => byte === 0) || (bootRecord(boot)?.every(({ type }) => type === 0) ?? false);

/** What a hybrid MBR lists beside the GPT, in sectors. */
export const hybridRanges = (boot: Uint8Array): Range[] => usedRanges(boot, ({ type }) => type !== PROTECTIVE);

/** Whether entries of the MBR overlap, protective ones included. */
export function hasOverlap(boot: Uint8Array): boolean {
  const ranges = usedRanges(boot, () => true).toSorted((a, b) => a.start - b.start);
  return ranges.some(({ start }, i) => ranges.slice(0, i).some((before) => before.start + before.length > start));
}

const usedRanges = (boot: Uint8Array, isWanted: (entry: MbrEntry) => boolean): Range[] =>
  (bootRecord(boot) ?? [])
    .filter((entry) => entry.type !== 0 && entry.count > 0 && isWanted(entry))
    .map(({ start, count }) => ({ start, length: count }));
