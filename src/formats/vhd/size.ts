import { type FooterFields, SECTOR, tagText } from "./spec.ts";

export interface Geometry {
  readonly cylinders: number;
  readonly heads: number;
  readonly sectorsPerTrack: number;
}

const MOST_CYLINDERS = 65535;
const MOST_HEADS = 16;
const MOST_SECTORS_PER_TRACK = 255;

/** The geometry that the specification gives a disk, rounded down. [MS-VHD] Appendix: CHS Calculation */
export function geometryOf(size: number): Geometry {
  const total = Math.min(Math.floor(size / SECTOR), MOST_CYLINDERS * MOST_HEADS * MOST_SECTORS_PER_TRACK);
  const of = (sectorsPerTrack: number, heads: number): Geometry => ({
    cylinders: Math.floor(Math.floor(total / sectorsPerTrack) / heads),
    heads,
    sectorsPerTrack,
  });
  const fits = (sectorsPerTrack: number, heads: number) => Math.floor(total / sectorsPerTrack) < heads * 1024;
  if (total >= MOST_CYLINDERS * MOST_HEADS * 63) return of(MOST_SECTORS_PER_TRACK, MOST_HEADS);
  const heads = Math.max(4, Math.ceil(Math.floor(total / 17) / 1024));
  if (heads <= MOST_HEADS && fits(17, heads)) return of(17, heads);
  return fits(31, MOST_HEADS) ? of(31, MOST_HEADS) : of(63, MOST_HEADS);
}

/** What a footer's geometry covers, in bytes. */
export const chsSize = ({ cylinders, heads, sectorsPerTrack }: Geometry): number => cylinders * heads * sectorsPerTrack * SECTOR;

/** Creators that show their guests a disk of the geometry's size. [QEMU] The others go by `currentSize`. */
const CHS_CREATORS = ["vpc ", "vs  ", "qemu"];

export interface DiskSize {
  /** The virtual size that is read. */
  readonly size: number;
  /** Why another reader may see another size; null when all agree. */
  readonly remark: string | null;
}

/**
 * The virtual size, in whole sectors. `currentSize`, as Hyper-V, VirtualBox, libvhdi and 7-Zip have it, unless the creator went by the
 * geometry, that is larger, and the image has room for it (`room`, bytes): of two sizes the one that loses nothing.
 */
export function diskSize(footer: FooterFields, room: number): DiskSize {
  const current = Number(footer.currentSize);
  const chs = chsSize(footer);
  const creator = tagText(footer.creatorApplication);
  const isFullGeometry =
    footer.cylinders === MOST_CYLINDERS && footer.heads === MOST_HEADS && footer.sectorsPerTrack === MOST_SECTORS_PER_TRACK;
  if (!CHS_CREATORS.includes(creator) || isFullGeometry || chs === 0 || chs === current) return { size: current, remark: null };
  const both = `The footer states ${current} bytes, its geometry ${chs}, and the creator "${creator}" went by the geometry`;
  if (chs < current)
    return { size: current, remark: `${both}: its guest never saw the last ${current - chs}. They are read, so that nothing is lost.` };
  if (chs > room) return { size: current, remark: `${both}, but the image has no room for that many: ${current} are read.` };
  return {
    size: chs,
    remark: `${both}: ${chs} are read, so that nothing is lost. Other programs may leave out the last ${chs - current}.`,
  };
}
