// Protective MBR: UEFI 2.10 section 5.2.3; hybrid MBRs, which no standard knows: https://www.rodsbooks.com/gdisk/hybrid.html
import type { Range } from "../core/model.ts";
import { bootRecord, ENTRIES_AT, Entry, PROTECTIVE, SIGNATURE_AT } from "./mbr.ts";

const MOST_SECTORS = 0xffffffff;
/** Table 5.4: where a place has no address in cylinders, heads and sectors; a virtual disk has no such geometry. */
const NO_ADDRESS = 0xff;

/**
 * The boot sector of a GPT disk of `before` sectors when it has `after`: entries of type 0xEE that reached the old end reach the new one,
 * and none ends behind it. Other entries of a hybrid MBR stay as they are. An MBR without any entry gets the protective one; one with
 * other entries only stays as it is.
 */
export function protectiveMbr(boot: Uint8Array, before: number, after: number): Uint8Array {
  const out = new Uint8Array(boot);
  const entries = bootRecord(boot);
  const used = entries?.filter(({ type }) => type !== 0) ?? [];
  if (listsNothing(boot)) {
    out.set([0x55, 0xaa], SIGNATURE_AT);
    out.set(
      Entry.write({
        status: 0,
        firstHead: 0,
        firstSector: 2,
        firstCylinder: 0,
        type: PROTECTIVE,
        lastHead: NO_ADDRESS,
        lastSector: NO_ADDRESS,
        lastCylinder: NO_ADDRESS,
        start: 1,
        count: Math.min(after - 1, MOST_SECTORS),
      }),
      ENTRIES_AT,
    );
    return out;
  }
  entries?.forEach(({ type, start, count }, i) => {
    if (type !== PROTECTIVE) return;
    const end = start + count;
    const isWhole = used.length === 1 || end >= Math.min(before, MOST_SECTORS);
    const wanted = Math.min(isWhole ? after - start : Math.min(end, after) - start, MOST_SECTORS);
    if (wanted === count) return;
    const at = ENTRIES_AT + i * Entry.bytes;
    if (wanted <= 0) out.fill(0, at, at + Entry.bytes);
    else {
      const last = { lastHead: NO_ADDRESS, lastSector: NO_ADDRESS, lastCylinder: NO_ADDRESS };
      out.set(Entry.write({ ...Entry.read(boot, at), ...last, count: wanted }), at);
    }
  });
  return out;
}

/** Whether the boot sector announces a GPT. */
export const isProtective = (boot: Uint8Array): boolean => bootRecord(boot)?.some(({ type }) => type === PROTECTIVE) ?? false;

/** Whether no entry is in use: nobody could tell that the disk has a GPT. */
export const listsNothing = (boot: Uint8Array): boolean =>
  boot.subarray(ENTRIES_AT).every((byte) => byte === 0) || (bootRecord(boot)?.every(({ type }) => type === 0) ?? false);

/** What a hybrid MBR lists beside the GPT, in sectors. */
export const hybridRanges = (boot: Uint8Array): Range[] =>
  (bootRecord(boot) ?? [])
    .filter(({ type, count }) => type !== 0 && type !== PROTECTIVE && count > 0)
    .map(({ start, count }) => ({ start, length: count }));
