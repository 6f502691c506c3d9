import { type BlockMap, createBlockMap } from "../../core/block-map.ts";
import { DiskError } from "../../core/errors.ts";
import type { ByteSource, Extent, Note, OpenContext, Snapshot, Volume } from "../../core/model.ts";
import { STANDALONE } from "../../core/standalone.ts";
import { type BundleImage, type Descriptor, readDescriptor, type Storage } from "./descriptor.ts";
import { openImage } from "./image.ts";
import { NO_PARENT, SECTOR } from "./spec.ts";

/** A part of the disk, in bytes, and the images that it is read from, the newest first. */
export interface Part {
  readonly start: number;
  readonly length: number;
  readonly chain: readonly Volume[];
  readonly map: BlockMap;
}

interface Bundle {
  readonly descriptor: Descriptor;
  readonly parts: readonly Part[];
  /** GUIDs of the images that are read, the newest first. */
  readonly chain: readonly string[];
  readonly notes: readonly Note[];
}

/**
 * A DiskDescriptor.xml with the files that it names: all of them at once, the parts of a split disk and, below the active
 * image or the snapshot that `context.snapshot` names, the images of the snapshots before it. Throws `missing-file` for a
 * file that was not given, `usage` for a snapshot that does not exist.
 */
export async function openBundle(file: ByteSource, context: OpenContext): Promise<Volume> {
  const { descriptor, parts, chain, notes } = await readBundle(file, context);
  const volumes = parts.flatMap((part) => part.chain);
  const files = volumes.flatMap((volume) => volume.files);
  const units = volumes.map(({ unit }) => unit).filter((unit) => unit > 0);
  const unsupported = descriptor.encrypted ? ["encryption"] : [];
  return {
    format: "parallels",
    variant: ["bundle", ...(parts.length > 1 ? ["split"] : []), ...(chain.length > 1 ? [`${chain.length} images deep`] : [])].join(", "),
    size: descriptor.sectors * SECTOR,
    unit: Math.min(...units, Number.MAX_SAFE_INTEGER) % Number.MAX_SAFE_INTEGER,
    files,
    parent: null,
    identity: null,
    snapshots: snapshotsOf(descriptor),
    snapshot: context.snapshot && chain[0],
    unsupported,
    notes: [...descriptor.notes, ...notes, ...volumes.flatMap((volume) => volume.notes)],
    encrypted: descriptor.encrypted,
    details: {
      "top-guid": descriptor.top,
      "block-size": (descriptor.storages[0] as Storage).blockSize * SECTOR,
      storages: descriptor.storages.map(({ start, end, images }) => ({
        start: start * SECTOR,
        end: end * SECTOR,
        images: images.map(({ guid, type, name }) => ({ guid, type, filename: name })),
      })),
    },
    extents: extentsOf(file, parts, files, unsupported),
  };
}

/** Opens every file that the wanted state of the disk is read from. */
export async function readBundle(file: ByteSource, context: OpenContext): Promise<Bundle> {
  const descriptor = await readDescriptor(file);
  const chain = chainOf(file, descriptor, context.snapshot);
  const notes: Note[] = [];
  const parts: Part[] = [];
  for (const storage of descriptor.storages) {
    const length = (storage.end - storage.start) * SECTOR;
    const volumes: Volume[] = [];
    for (const [level, guid] of chain.entries()) {
      const image = storage.images.find((other) => other.guid === guid);
      if (image === undefined) throw refuse(file, storage.at, `the Storage from sector ${storage.start} has no image ${guid}`);
      if (image.type === "Plain" && level + 1 < chain.length)
        throw refuse(file, image.at, `the image ${guid} lies over another one, but is Plain`);
      const volume = await openPart(file, image, context);
      if (volume.size < length)
        throw refuse(file, image.at, `${JSON.stringify(image.name)} has ${volume.size} bytes of disk, but its Storage has ${length}`);
      if (volume.size > length) notes.push({ text: `${image.name} is larger than its part of the disk.`, severity: "warning" });
      if (image.type === "Compressed" && volume.unit !== storage.blockSize * SECTOR)
        notes.push({
          text: `${image.name} has clusters of ${volume.unit} bytes, the descriptor states ${storage.blockSize} sectors.`,
          severity: "warning",
        });
      volumes.push(volume);
    }
    parts.push({ start: storage.start * SECTOR, length, chain: volumes, map: createBlockMap(volumes, context.compute.mergeLayers) });
  }
  return { descriptor, parts, chain, notes };
}

/** The images from the wanted one down to the root. [BUNDLE] Snapshots element */
function chainOf(file: ByteSource, { parents, top, storages }: Descriptor, wanted: string | undefined): string[] {
  const from = wanted === undefined ? top : named(wanted);
  if (wanted !== undefined && !parents.has(from))
    throw new DiskError(
      "usage",
      `parallels: ${file.name} has no snapshot “${wanted}”; it has: ${[...parents.keys()].join(", ") || "none"}`,
      {
        file: file.name,
      },
    );
  if (parents.size === 0 && storages.every(({ images }) => images.length === 1)) return [from];
  const chain = new Set<string>();
  for (let next = from; next !== NO_PARENT; ) {
    const parent = parents.get(next);
    if (parent === undefined) throw refuse(file, 0, `no Shot describes the image ${next}`);
    if (chain.has(next)) throw refuse(file, 0, `the snapshots below ${next} lead back to it`);
    chain.add(next);
    next = parent;
  }
  if (chain.size === 0) throw refuse(file, 0, "the active image is the nil GUID");
  return [...chain];
}

const named = (snapshot: string): string => {
  const guid = snapshot.toLowerCase();
  return guid.startsWith("{") ? guid : `{${guid}}`;
};

const refuse = (file: ByteSource, at: number, text: string): DiskError =>
  new DiskError("corrupt", `parallels: ${file.name}: ${text}`, { file: file.name, at });

async function openPart(descriptor: ByteSource, image: BundleImage, context: OpenContext): Promise<Volume> {
  if (image.name === descriptor.name) throw refuse(descriptor, image.at, "it names itself as an image");
  const format = image.type === "Plain" ? "raw" : "parallels";
  const source = await context.resolve({ role: "extent", name: image.name, id: null, format });
  if (source === null)
    throw new DiskError("missing-file", `parallels: ${descriptor.name} needs “${image.name}”, which was not given`, {
      file: descriptor.name,
      at: image.at,
      needs: image.name,
    });
  return image.type === "Plain" ? plainVolume(source) : openImage(source, context);
}

function plainVolume(file: ByteSource): Volume {
  return {
    ...STANDALONE,
    format: "raw",
    variant: "",
    size: file.size,
    unit: 0,
    files: [file],
    notes: [],
    details: {},
    extents: async (start, length) => [{ kind: "raw", start, length, file: 0, at: start }],
  };
}

/** Every state but the active one; the descriptor gives them no names. */
function snapshotsOf({ parents, top, sectors }: Descriptor): Snapshot[] {
  const others = [...parents.keys()].filter((guid) => guid !== top);
  return others.map((guid) => ({
    id: guid,
    name: guid,
    vmStateSize: 0,
    dateSeconds: 0,
    dateNanoseconds: 0,
    vmClockNanoseconds: 0,
    diskSize: sectors * SECTOR,
  }));
}

function extentsOf(
  file: ByteSource,
  parts: readonly Part[],
  files: readonly ByteSource[],
  unsupported: readonly string[],
): Volume["extents"] {
  return async (start, length, signal) => {
    signal?.throwIfAborted();
    if (unsupported.length > 0)
      throw new DiskError("unsupported", `parallels: ${file.name} is encrypted, which is not read`, { file: file.name });
    const part = parts.findLast((other) => other.start <= start) as Part;
    const within = start - part.start;
    const runs = await part.map(within, Math.min(length, part.length - within), signal).catch((error: unknown) => {
      throw moved(error, part.start);
    });
    return runs.map(({ volume, extent }): Extent => {
      const at = extent.start + part.start;
      if (extent.kind === "zero") return { kind: extent.allocated ? "zero" : "hole", start: at, length: extent.length };
      const source = part.chain[volume]?.files[extent.file] as ByteSource;
      return { ...extent, start: at, file: files.indexOf(source) };
    });
  };
}

/** An image's error, with the range of the whole disk. */
export function moved(error: unknown, by: number): unknown {
  if (!(error instanceof DiskError) || error.guest === undefined || by === 0) return error;
  const guest = { start: error.guest.start + by, length: error.guest.length };
  return new DiskError(error.code, error.message, { file: error.file, at: error.at, guest, cause: error });
}
