import { DiskError } from "../../core/errors.ts";
import type { ByteSource, Extent, FileReference, Json, Note, OpenContext, Volume } from "../../core/model.ts";
import { countBefore } from "../../core/sorted.ts";
import { type Descriptor, type ExtentLine, looksLikeDescriptor, NO_PARENT, parseDescriptor } from "./descriptor.ts";
import { flatPart, type Part, reviewFlatFiles, type UsedRange, zeroPart } from "./flat.ts";
import { openHosted } from "./hosted.ts";
import { isSparse, namesDevice, openSparse, refusals, sparseKind } from "./kinds.ts";
import { push, type SparseExtent, SparseMap } from "./sparse.ts";
import { MOST_DESCRIPTOR_BYTES, MOST_DIRECTORY_BYTES, SECTOR } from "./spec.ts";

const ENOUGH = 4096;
const PROBED_BYTES = 4096;

const SPLIT_TYPE = /^(2|two)gbmaxextent/i;

/** A volume whose sparse extents the checker can look into. */
export interface VmdkVolume extends Volume {
  readonly sparse: readonly PlacedSparse[];
}
export interface PlacedSparse {
  readonly start: number;
  readonly extent: SparseExtent;
}

/** Collects what an image is made of while its extents are opened. */
interface Assembly {
  readonly files: ByteSource[];
  readonly parts: Part[];
  readonly sparse: PlacedSparse[];
  readonly notes: Note[];
  readonly unsupported: string[];
  readonly details: Json[];
  readonly budget: { directoryBytes: number };
  size: number;
}

const newAssembly = (file: ByteSource): Assembly => ({
  files: [file],
  parts: [],
  sparse: [],
  notes: [],
  unsupported: [],
  details: [],
  budget: { directoryBytes: MOST_DIRECTORY_BYTES },
  size: 0,
});

/** Opens a descriptor with its extents, or a file that is itself a sparse extent. */
export async function openVmdk(file: ByteSource, context: OpenContext): Promise<VmdkVolume> {
  const head = await file.read(0, Math.min(file.size, PROBED_BYTES));
  const kind = sparseKind(head);
  if (kind === "SPARSE") return openSparseFile(file, context);
  if (kind !== null) return openSnapshotExtent(file, kind, context);
  if (!looksLikeDescriptor(head))
    throw new DiskError("wrong-format", `vmdk: ${file.name} begins neither as a sparse extent nor as a descriptor`, {
      file: file.name,
      at: 0,
    });
  return openDescriptorFile(file, context);
}

/**
 * A COWD or seSparse extent without its descriptor. Nearly all are snapshots, and only the descriptor says over what: read alone, the
 * disk would have zeros where its parent's data belong.
 */
async function openSnapshotExtent(file: ByteSource, kind: SparseExtent["kind"], context: OpenContext): Promise<VmdkVolume> {
  const assembly = newAssembly(file);
  const extent = await openSparse(file, kind, assembly.budget, context.compute.scanTable);
  addSparse(assembly, extent, 0, extent.header.capacity, file.name);
  assembly.unsupported.push(`a ${kind} extent alone (open its descriptor, the small .vmdk, which says whether it has a parent)`);
  return toVolume(assembly, kind === "VMFSSPARSE" ? "vmfsSparse" : "seSparse", null);
}

/** [1] "Hosted Sparse Extents": one file with an embedded descriptor, or an extent of a split disk. */
async function openSparseFile(file: ByteSource, context: OpenContext): Promise<VmdkVolume> {
  const assembly = newAssembly(file);
  const extent = await openHosted(file, assembly.budget, context.compute.scanTable);
  const { header } = extent;
  const descriptor = await embeddedDescriptor(extent);
  const lines = descriptor?.extents ?? [];
  const alone = descriptor === null || SPLIT_TYPE.test(descriptor.createType);
  if (alone)
    assembly.notes.push({
      severity: "warning",
      text: `${file.name} is one extent; if it belongs to a larger disk, open the descriptor (the small .vmdk) instead`,
    });
  if (lines.length > 1) assembly.unsupported.push(`an embedded descriptor with ${lines.length} extents`);
  if (descriptor !== null && !alone) assembly.unsupported.push(...refusals(descriptor));
  const stated = lines.length === 1 ? (lines[0] as ExtentLine) : null;
  // The name in the line is ignored: a renamed image must open.
  addSparse(assembly, extent, 0, embeddedSize(extent, stated, assembly.notes), file.name);
  if (stated?.access === "NOACCESS") refuseAccess(file, stated);
  if (header.compressed && descriptor === null) assembly.notes.push({ severity: "warning", text: `${file.name} has no descriptor` });
  return toVolume(assembly, descriptor?.createType || "SPARSE", descriptor);
}

async function embeddedDescriptor({ header, source }: SparseExtent): Promise<Descriptor | null> {
  if (header.descriptor === null) return null;
  const { at, length } = header.descriptor;
  if (at + length > source.size)
    throw new DiskError("corrupt", `vmdk: descriptorOffset is ${at / SECTOR}, but the file ends at byte ${source.size}`, {
      file: source.name,
      at,
    });
  const bytes = await source.read(at, length);
  // qemu-img leaves the room of the descriptor empty in the extents of a split disk.
  return bytes[0] === 0 ? null : parseDescriptor(bytes, source.name, at);
}

/** Some writers round the capacity up to whole grains; the descriptor then has the disk's size. */
function embeddedSize({ header, source }: SparseExtent, line: ExtentLine | null, notes: Note[]): number {
  if (line === null || line.size === header.capacity) return header.capacity;
  if (line.size < header.capacity && header.capacity - line.size < header.grain) return line.size;
  if (line.size > header.capacity)
    throw new DiskError("corrupt", `vmdk: the descriptor says ${line.size / SECTOR} sectors, but capacity is ${header.capacity / SECTOR}`, {
      file: source.name,
      at: 12,
    });
  notes.push({
    severity: "warning",
    text: `the descriptor says ${line.size} bytes, the header ${header.capacity}: the header's size is used`,
  });
  return header.capacity;
}

async function openDescriptorFile(file: ByteSource, context: OpenContext): Promise<VmdkVolume> {
  if (file.size > MOST_DESCRIPTOR_BYTES)
    throw new DiskError("limit", `vmdk: the descriptor has ${file.size} bytes, at most ${MOST_DESCRIPTOR_BYTES} are read`, {
      file: file.name,
      at: 0,
    });
  const descriptor = parseDescriptor(await file.read(0, file.size), file.name, 0);
  if (descriptor.extents.length === 0) throw new DiskError("corrupt", "vmdk: the descriptor lists no extents", { file: file.name, at: 0 });
  const assembly = newAssembly(file);
  assembly.unsupported.push(...refusals(descriptor));
  const total = descriptor.extents.reduce((sum, { size }) => sum + size, 0);
  if (total > Number.MAX_SAFE_INTEGER)
    throw new DiskError("limit", `vmdk: the extents add up to ${total} bytes, more than 2^53`, { file: file.name, at: 0 });
  if (assembly.unsupported.length > 0) {
    // Nothing is asked for that could not be read anyway (devices, mappings).
    assembly.size = total;
    assembly.details.push(...descriptor.extents.map(({ name, type, size }) => ({ filename: name, format: type, "virtual-size": size })));
    return toVolume(assembly, descriptor.createType, descriptor);
  }
  await addExtents(assembly, file, descriptor.extents, context);
  return toVolume(assembly, descriptor.createType, descriptor);
}

async function addExtents(assembly: Assembly, descriptor: ByteSource, lines: readonly ExtentLine[], context: OpenContext): Promise<void> {
  const byName = new Map<string, number>();
  const used: UsedRange[] = [];
  const sparseFiles = new Set<number>();
  for (const line of lines) {
    const start = assembly.size;
    if (line.access === "NOACCESS") refuseAccess(descriptor, line);
    if (line.type === "ZERO") {
      assembly.parts.push(zeroPart(start, line));
      assembly.details.push({ filename: "", format: "ZERO", "virtual-size": line.size });
      assembly.size += line.size;
      continue;
    }
    const index = byName.get(line.name) ?? (await resolveExtent(assembly, descriptor, line, context));
    byName.set(line.name, index);
    const source = assembly.files[index] as ByteSource;
    if (isSparse(line.type)) {
      if (sparseFiles.has(index))
        throw new DiskError("corrupt", `vmdk: descriptor line ${line.line} uses ${source.name} a second time`, { file: descriptor.name });
      sparseFiles.add(index);
      const extent = await openSparse(source, line.type, assembly.budget, context.compute.scanTable);
      requireSize(descriptor, line, extent);
      addSparse(assembly, extent, index, line.size, line.name);
    } else {
      assembly.parts.push(flatPart(start, line, source, index));
      used.push({ file: index, start: line.offset, end: line.offset + line.size, line: line.line });
      assembly.details.push({ filename: line.name, format: line.type, "virtual-size": line.size });
      assembly.size += line.size;
    }
  }
  assembly.notes.push(...reviewFlatFiles(used, assembly.files));
}

function refuseAccess({ name }: ByteSource, { line, size }: ExtentLine): never {
  throw new DiskError(
    "unsupported",
    `vmdk: descriptor line ${line}: ${size} bytes of the disk are marked NOACCESS, so their content is unknown`,
    {
      file: name,
    },
  );
}

/** The capacity may be rounded up to whole grains, and no more: else this is another disk's extent. */
function requireSize(descriptor: ByteSource, { size, line }: ExtentLine, { header, source }: SparseExtent): void {
  if (size <= header.capacity && header.capacity - size < header.grain) return;
  throw new DiskError(
    "corrupt",
    `vmdk: descriptor line ${line} says ${size / SECTOR} sectors, but capacity of ${source.name} is ${header.capacity / SECTOR}`,
    { file: descriptor.name },
  );
}

/** Asks for the file of an extent; its index in `files`. */
async function resolveExtent(assembly: Assembly, descriptor: ByteSource, line: ExtentLine, context: OpenContext): Promise<number> {
  const itself = (): never => {
    throw new DiskError("corrupt", `vmdk: descriptor line ${line.line} names the descriptor itself as an extent, a loop`, {
      file: descriptor.name,
    });
  };
  if (line.name === descriptor.name) itself();
  const source = await context.resolve({ role: "extent", name: line.name, id: null, format: isSparse(line.type) ? "vmdk" : "raw" });
  if (source === null) {
    const what = namesDevice(line.name) ? "is a device of the machine where the disk was made" : "was not given";
    throw new DiskError("missing-file", `vmdk: the extent “${line.name}” (descriptor line ${line.line}) ${what}`, {
      file: descriptor.name,
      needs: line.name,
    });
  }
  if (isSame(source, descriptor) || (source.name === descriptor.name && source.size === descriptor.size)) itself();
  const known = assembly.files.findIndex((other) => isSame(source, other));
  return known >= 0 ? known : assembly.files.push(source) - 1;
}

function isSame(a: ByteSource, b: ByteSource): boolean {
  if (a === b) return true;
  if (a.origin !== null && b.origin !== null) return a.origin.handle === b.origin.handle && a.origin.at === b.origin.at;
  return a.name === b.name && a.size === b.size;
}

/** `size` bytes of the disk come from this extent. */
function addSparse(assembly: Assembly, extent: SparseExtent, file: number, size: number, filename: string): void {
  const { header, kind } = extent;
  const map = new SparseMap(extent, file);
  const start = assembly.size;
  assembly.parts.push({ start, length: size, extents: (from, length, signal) => map.extents(from, length, signal) });
  assembly.sparse.push({ start, extent });
  assembly.notes.push(...extent.notes);
  assembly.unsupported.push(...extent.unsupported);
  const compressed = header.compressed ? { compressed: true } : {};
  assembly.details.push({ filename, format: kind, "virtual-size": size, "cluster-size": header.grain, ...compressed });
  assembly.size += size;
}

const cidText = (cid: number): string => cid.toString(16).padStart(8, "0");

function parentOf(descriptor: Descriptor | null, unsupported: string[]): FileReference | null {
  if (descriptor === null) return null;
  const { parentCid, parentName, uuids } = descriptor;
  const isLinked = parentCid !== NO_PARENT;
  const hint = parentName ?? "";
  // VirtualBox's snapshots state neither a CID nor a name.
  if (uuids.parent !== null && (!isLinked || hint === "")) {
    const name = hint === "" ? `{${uuids.parent}}.vmdk` : hint;
    return { role: "parent", name, id: uuids.parent, format: "vmdk", version: uuids.parentModification };
  }
  if (!isLinked) return null;
  const id = cidText(parentCid);
  if (hint !== "") return { role: "parent", name: hint, id, format: "vmdk" };
  unsupported.push(`a parent (CID ${id}) that the descriptor does not name`);
  return null;
}

function toVolume(assembly: Assembly, variant: string, descriptor: Descriptor | null): VmdkVolume {
  const { files, parts, sparse, size, unsupported } = assembly;
  const parent = parentOf(descriptor, unsupported);
  return {
    format: "vmdk",
    variant,
    size,
    unit: sparse[0]?.extent.header.grain ?? 0,
    files,
    parent,
    identity: descriptor === null ? null : cidText(descriptor.cid),
    otherIdentities: [descriptor?.uuids.image ?? null].filter((id) => id !== null),
    version: descriptor?.uuids.modification ?? null,
    snapshots: [],
    unsupported,
    notes: [...(descriptor?.notes ?? []), ...assembly.notes],
    encrypted: descriptor?.encrypted ?? false,
    details: {
      cid: descriptor?.cid ?? 0,
      "parent-cid": descriptor?.parentCid ?? NO_PARENT,
      "create-type": descriptor?.createType ?? "",
      extents: assembly.details,
    },
    sparse,
    async extents(start, length, signal) {
      if (unsupported.length > 0)
        throw new DiskError("unsupported", `vmdk: cannot be read here: ${unsupported.join(", ")}`, { file: (files[0] as ByteSource).name });
      return extentsOfParts(parts, start, Math.min(length, size - start), signal);
    },
  };
}

/** Walks the parts that cover a range; stops early where one of them does. */
async function extentsOfParts(parts: readonly Part[], start: number, length: number, signal?: AbortSignal): Promise<readonly Extent[]> {
  const out: Extent[] = [];
  const end = start + length;
  for (let at = start, i = partAt(parts, start); at < end && out.length < ENOUGH; i++) {
    const part = parts[i] as Part;
    const stop = Math.min(end, part.start + part.length);
    try {
      const own = await part.extents(at - part.start, stop - at, signal);
      for (const extent of own) push(out, { ...extent, start: extent.start + part.start });
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      if (out.length > 0) return out;
      throw onDisk(error, part.start);
    }
    const last = out[out.length - 1] as Extent;
    at = last.start + last.length;
    if (at < stop) break;
  }
  return out;
}

/** The same error, its guest range counted from the start of the disk. */
function onDisk(error: DiskError, shift: number): DiskError {
  if (error.guest === undefined || shift === 0) return error;
  return new DiskError(error.code, error.message, {
    ...error,
    guest: { ...error.guest, start: error.guest.start + shift },
    cause: error.cause,
  });
}

/** The part that holds a place on the disk. */
const partAt = (parts: readonly Part[], place: number): number => countBefore(parts.length, (i) => (parts[i] as Part).start <= place) - 1;
