import type { ByteSource } from "../../core/model.ts";
import type { BochsHeader } from "./header.ts";
import { ENTRY_BYTES, NOT_ALLOCATED } from "./spec.ts";

/** The whole catalog, at most 4 MiB. */
export interface Catalog {
  /** Where the bitmap of an entry's extent lies; null: nothing was written there. */
  at(entry: number): number | null;
  /** Why an entry cannot be right; null: it can. */
  problem(entry: number): string | null;
  /** Extents that an entry points to. */
  readonly used: number;
}

export async function readCatalog(file: ByteSource, { catalogAt, entries, dataAt, stride, bitmapBytes }: BochsHeader): Promise<Catalog> {
  const bytes = await file.read(catalogAt, entries * ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  const extentOf = (entry: number) => view.getUint32(entry * ENTRY_BYTES, true);
  // Extents are handed out one after another, so there are never more than entries; 1 + the first entry that has each.
  const owners = new Uint32Array(entries);
  let used = 0;
  for (let entry = 0; entry < entries; entry++) {
    const extent = extentOf(entry);
    if (extent >= entries || owners[extent] !== 0) continue;
    owners[extent] = entry + 1;
    used++;
  }
  return {
    used,
    at(entry) {
      const extent = extentOf(entry);
      return extent === NOT_ALLOCATED ? null : dataAt + extent * stride;
    },
    problem(entry) {
      const extent = extentOf(entry);
      if (extent === NOT_ALLOCATED) return null;
      if (extent >= entries) return `is ${extent}, but there are at most ${entries} extents`;
      if (owners[extent] !== entry + 1) return `is ${extent}, which entry ${(owners[extent] as number) - 1} has as well`;
      const end = dataAt + extent * stride + bitmapBytes;
      return end > file.size ? `is ${extent}, whose bitmap ends at byte ${end}, but the file at ${file.size}` : null;
    },
  };
}
