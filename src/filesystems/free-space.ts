import { openExtFree } from "./free-ext.ts";
import { openFatFree } from "./free-fat.ts";
import type { OpenFreeMap } from "./free-map.ts";
import { openNtfsFree } from "./free-ntfs.ts";

export { type FreeMap, type FreeRanges, type OpenFreeMap, PageCache, type Part } from "./free-map.ts";

/** By the kind that `identify` finds: the file systems whose free space is read here. */
export const FREE_MAPS: Readonly<Record<string, OpenFreeMap>> = {
  ext2: openExtFree,
  ext3: openExtFree,
  ext4: openExtFree,
  fat12: openFatFree,
  fat16: openFatFree,
  fat32: openFatFree,
  ntfs: openNtfsFree,
};
