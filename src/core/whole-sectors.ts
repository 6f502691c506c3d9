import type { Loss } from "./target.ts";

const SECTOR = 512;

/** The size of a disk in a format that counts sectors: up to the next whole one. */
export const wholeSectors = (size: number): number => Math.ceil(size / SECTOR) * SECTOR;

/** What to tell of a disk of `size` bytes that such a format (`name`: "VHD") rounds up; nothing when it does not. */
export function sectorLosses(size: number, name: string): readonly Loss[] {
  const more = wholeSectors(size) - size;
  if (more === 0) return [];
  const why = `A ${name} consists of whole sectors of ${SECTOR} bytes; the rest of the last one is zero.`;
  return [{ what: `The disk grows by ${more} bytes`, why, severity: "note" }];
}
