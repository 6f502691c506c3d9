import { join } from "node:path";
import { createBlockMap } from "../core/block-map.ts";
import type { ByteSource, DiskFormat, FormatContext, PackedExtent, Volume } from "../core/model.ts";
import type { Compute } from "../core/ports.ts";
import type { Block, Encoding, ImageWriter, TargetFormat, TargetSpec, Write } from "../core/target.ts";
import { formatContext } from "../formats/registry.ts";
import { type Codecs, createCodecs } from "../kernels/codecs.ts";
import { createCompute } from "../kernels/compute.ts";
import { createKernels, type Kernels } from "../kernels/index.ts";
import { type TestDisk, unitsOf } from "./disks.ts";
import { SparseFile } from "./sparse-file.ts";

/** Every option with its default, overridden by `options`. */
export function specFor(target: TargetFormat, size: number, name: string, options: Readonly<Record<string, string>> = {}): TargetSpec {
  const defaults = Object.fromEntries(target.options.map((option) => [option.name, option.initial]));
  return { size, name, options: { ...defaults, ...options }, identity: Uint8Array.from({ length: 16 }, (_, i) => i * 17 + 1) };
}

/** Every single choice of every option, the others at their default; the first is all defaults. */
export function optionVariants(target: TargetFormat): readonly Readonly<Record<string, string>>[] {
  const single = target.options.flatMap((option) =>
    (option.choices ?? []).filter(({ value }) => value !== option.initial).map(({ value }) => ({ [option.name]: value })),
  );
  return [{}, ...single];
}

let shared: { readonly kernels: Kernels; readonly codecs: Codecs; readonly compute: Compute } | null = null;
/** One set of kernels per test file, made when something first asks for it. */
function engine() {
  if (shared === null) {
    const kernels = createKernels();
    shared = { kernels, codecs: createCodecs(kernels), compute: createCompute(kernels) };
  }
  return shared;
}

/** What the product's own sessions hand to formats. */
export const testCompute = (): Compute => engine().compute;

/** What block workers do with one unit. */
export async function encodeUnit(bytes: Uint8Array, encoding: Encoding, length = bytes.length): Promise<Block> {
  const { kernels, codecs } = engine();
  await codecs.need(encoding.codec);
  kernels.input.set(bytes);
  const packed = codecs.encode(encoding, 0, length);
  return packed === null ? { kind: "data", bytes } : { kind: "packed", bytes: packed.slice() };
}

/** What block workers do with a packed extent's bytes: exactly `unpacked` bytes, or a DiskError. */
export async function decodePacked(bytes: Uint8Array, extent: PackedExtent): Promise<Uint8Array> {
  const { codecs } = engine();
  await codecs.need(extent.codec);
  return codecs.decode(extent, bytes, { at: extent.at }).slice();
}

export interface WrittenImage {
  readonly writer: ImageWriter;
  readonly files: readonly SparseFile[];
  readonly sizes: readonly number[];
  /** Saves all files under their own names; the path of the first. */
  save(folder: string): string;
}

/** Carries out a writer's writes for a disk (or for ready-made units) and holds it to its contract. */
export async function writeImage(
  writer: ImageWriter,
  disk: TestDisk | Iterable<readonly [index: number, bytes: Uint8Array]>,
): Promise<WrittenImage> {
  const files = writer.files.map((name) => new SparseFile(name));
  const ends = files.map(() => 0);
  const carryOut = ({ file, at, bytes }: Write) => {
    const target = files[file];
    if (target === undefined || !Number.isSafeInteger(at) || at < 0) throw new Error(`a write to file ${file} at ${at}`);
    if (writer.sequential && at !== ends[file])
      throw new Error(`sequential writer: a write at ${at} of file ${file}, expected ${ends[file]}`);
    target.write(at, bytes);
    ends[file] = Math.max(ends[file] as number, at + bytes.length);
  };
  for (const [index, bytes] of "pieces" in disk ? unitsOf(disk, writer.unit) : disk) {
    if (bytes.length !== writer.unit) throw new Error(`unit ${index} has ${bytes.length} bytes`);
    const isCut = writer.encoding?.cut === true && "pieces" in disk;
    const length = isCut ? Math.min(writer.unit, disk.size - index * writer.unit) : writer.unit;
    const block: Block = writer.encoding === null ? { kind: "data", bytes } : await encodeUnit(bytes, writer.encoding, length);
    for (const write of writer.put(index, block)) carryOut(write);
  }
  const { writes, sizes } = writer.end();
  for (const write of writes) carryOut(write);
  if (sizes.length !== files.length) throw new Error(`${sizes.length} sizes for ${files.length} files`);
  files.forEach((file, i) => {
    const size = sizes[i] as number;
    if (file.size > size) throw new Error(`${file.name}: written up to ${file.size}, but its size is to be ${size}`);
    if (writer.sequential && file.size !== size)
      throw new Error(`${file.name}: ${file.size} bytes appended, but its size is to be ${size}`);
    file.truncate(size);
  });
  return {
    writer,
    files,
    sizes,
    save(folder) {
      for (const file of files) file.save(join(folder, file.name));
      return join(folder, writer.files[0] as string);
    },
  };
}

/** A context that knows the given files by name, which are opened by the format table. */
export function contextOf(files: readonly ByteSource[] = [], snapshot?: string): FormatContext {
  return formatContext({ resolve: async ({ name }) => files.find((file) => file.name === name) ?? null, compute: testCompute(), snapshot });
}

/** Opens what `writeImage` made. */
export function openWritten(format: DiskFormat, image: WrittenImage): Promise<Volume> {
  return format.open(image.files[0] as SparseFile, contextOf(image.files));
}

/** The bytes of a volume, or of a chain (newest first), decoded; the size is the newest volume's. */
export async function readVolume(volume: Volume | readonly Volume[], start = 0, length?: number): Promise<Uint8Array<ArrayBuffer>> {
  const chain = Array.isArray(volume) ? (volume as readonly Volume[]) : [volume as Volume];
  const end = start + (length ?? (chain[0] as Volume).size - start);
  const out = new Uint8Array(end - start);
  const map = createBlockMap(chain.map(checked), testCompute().mergeLayers);
  for (let at = start; at < end; ) {
    for (const { volume: level, extent } of await map(at, end - at)) {
      if (extent.start !== at || extent.length <= 0 || at + extent.length > end)
        throw new Error(`the block map gives ${extent.start}+${extent.length} where ${at} is next`);
      at += extent.length;
      if (extent.kind === "zero") continue;
      const file = (chain[level] as Volume).files[extent.file] as ByteSource;
      if (extent.kind === "raw") out.set(await file.read(extent.at, extent.length), extent.start - start);
      else {
        const plain = await decodePacked(await file.read(extent.at, extent.packed), extent);
        out.set(plain.subarray(extent.skip, extent.skip + extent.length), extent.start - start);
      }
    }
  }
  return out;
}

/** The volume, with every answer of `extents` held to its contract. */
export function checked(volume: Volume): Volume {
  return {
    ...volume,
    async extents(start, length, signal) {
      const list = await volume.extents(start, length, signal);
      let at = start;
      if (list.length === 0) throw new Error(`${volume.format}: no extent for ${start}+${length}`);
      for (const extent of list) {
        const { kind } = extent;
        if (extent.start !== at || !(extent.length > 0))
          throw new Error(`${volume.format}: extent ${extent.start}+${extent.length} where ${at} is next`);
        at += extent.length;
        if (kind === "hole" || kind === "zero") continue;
        const file = volume.files[extent.file];
        const bytes = kind === "raw" ? extent.length : extent.packed;
        if (file === undefined || extent.at < 0 || extent.at + bytes > file.size)
          throw new Error(`${volume.format}: a ${kind} extent outside file ${extent.file}: ${extent.at}+${bytes}`);
        if (kind === "packed" && extent.skip + extent.length > extent.unpacked)
          throw new Error(`${volume.format}: a packed extent past its block`);
      }
      if (at > start + length) throw new Error(`${volume.format}: extents reach ${at}, past ${start + length}`);
      return list;
    },
  };
}
