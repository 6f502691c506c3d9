import { type BlockMap, createBlockMap, type Run } from "../core/block-map.ts";
import { DiskError } from "../core/errors.ts";
import type { ByteSource, MergeLayers, Note, Volume } from "../core/model.ts";
import type { BlockPool, PlacedExtent } from "../core/ports.ts";

/** A flat virtual disk: a chain of volumes, newest first, seen through its block map. */
export interface Disk {
  readonly size: number;
  readonly chain: readonly Volume[];
  readonly map: BlockMap;
  readonly notes: readonly Note[];
}

/** A guest sees whole sectors; what a last part of one lacks is zero. */
const SECTOR = 512;

/** The disk that a chain shows, newest volume first; as large as the newest unless `size` says otherwise. */
export function createDisk(
  chain: readonly Volume[],
  merge: MergeLayers,
  notes: readonly Note[] = chain.flatMap((volume) => volume.notes),
  size: number = Math.ceil((chain[0] as Volume).size / SECTOR) * SECTOR,
): Disk {
  return { size, chain, map: createBlockMap(chain, merge), notes };
}

/** Why the disk's data cannot be read, if it cannot: the features of any layer. */
export function unsupportedFeatures(disk: Pick<Disk, "chain">): readonly string[] {
  return disk.chain.flatMap((volume) => volume.unsupported);
}

/** A layer of the disk is encrypted and no passphrase was given. */
export const isLocked = (disk: Disk): boolean => disk.chain.some((volume) => volume.locked === true);

/** Refuses a disk whose data cannot be read. */
export function requireReadable(disk: Pick<Disk, "chain">): void {
  const locked = disk.chain.find((volume) => volume.locked === true)?.files[0]?.name;
  if (locked !== undefined) throw new DiskError("passphrase", `${locked} is encrypted and needs its passphrase`, { file: locked });
  const features = unsupportedFeatures(disk);
  const file = disk.chain[0]?.files[0]?.name;
  if (features.length > 0) throw new DiskError("unsupported", `${file}: cannot be read here: ${features.join(", ")}`, { file });
}

/** A disk whose files the pool's workers can read. */
export interface AttachedDisk {
  readonly disk: Disk;
  /** The run's extent with its file named as the pool knows it; only for runs that hold data. */
  place(run: Run): PlacedExtent;
  /** The file that `place` has named. */
  source(file: number): ByteSource;
  /** See `BlockPool.orderBytes`. */
  readonly orderBytes: number;
  detach(): void;
}

export function attachDisk(disk: Disk, pool: BlockPool): AttachedDisk {
  const ids = disk.chain.map((volume) => volume.files.map((file) => pool.attach(file)));
  const all = ids.flat();
  const files = disk.chain.flatMap((volume) => volume.files);
  return {
    disk,
    place({ volume, extent }) {
      if (extent.kind === "zero") throw new Error("a zero run has no file");
      return { ...extent, file: (ids[volume] as number[])[extent.file] as number };
    },
    source: (id) => files[all.indexOf(id)] as ByteSource,
    orderBytes: pool.orderBytes,
    detach() {
      for (const id of all) pool.detach(id);
    },
  };
}
