import {
  type ChainProblem,
  type ChainSearch,
  fitOf,
  isNamedById,
  isWeak,
  type Member,
  MOST_LAYERS,
  mismatchText,
  withIdentity,
} from "../chains/index.ts";
import { DiskError, type DiskErrorCode } from "../core/errors.ts";
import type { ByteSource, FileReference, Note, OpenContext, Volume } from "../core/model.ts";
import type { Compute } from "../core/ports.ts";
import { detectFormat, formatById, missingIdentity, openImage } from "../formats/registry.ts";
import { createDisk, type Disk } from "./disk.ts";

/** One layer, and the file that it was opened from. */
interface Layer {
  readonly source: ByteSource;
  readonly volume: Volume;
}

/**
 * Opens an image and every parent below it. A parent is the file that the context's resolver gives, when its identity is the stated one;
 * else the one of the context's candidates that has that identity. Where neither is, `missing-file`, or `corrupt` for the file of that
 * name that is another one or was changed since: unless the context accepts those; then the child's notes say so.
 */
export async function openDisk(file: ByteSource, context: OpenContext, format?: string): Promise<Disk> {
  const lower = { ...context, snapshot: undefined };
  const candidates = new Candidates(lower);
  const opened = [file];
  const chain: Volume[] = [];
  let layer: Layer = { source: file, volume: await openImage(file, context, format) };
  while (layer.volume.parent !== null) {
    if (opened.length === MOST_LAYERS) throw looped(layer.source);
    const parent = await findParent(layer, layer.volume.parent, opened, lower, candidates);
    chain.push(withNote(layer.volume, parent.note));
    opened.push(parent.source);
    layer = parent;
  }
  return createDisk([...chain, layer.volume], context.compute.mergeLayers);
}

/**
 * Opens what `findChains` found, from a member down to its base: over a member that is not the newest, an older point in time.
 * `context.snapshot` is one of that member. The context's resolver and candidates are not asked: the links are those that were found.
 */
export async function openChain(found: ChainSearch, id: number, context: Omit<OpenContext, "resolve" | "candidates">): Promise<Disk> {
  const volumes: Volume[] = [];
  let child: { readonly path: string; readonly volume: Volume } | null = null;
  for (let next: number | null = id, depth = 0; next !== null; depth++) {
    const member: Member | undefined = found.members[next];
    if (member === undefined) throw new DiskError("usage", "there is no such layer");
    const { source, path, problems, resolve }: Member = member;
    const stop = problems.find(({ severity }) => severity === "stop");
    if (stop !== undefined) throw stopError(stop);
    if (depth === MOST_LAYERS) throw looped(source);
    const snapshot = child === null ? context.snapshot : undefined;
    const volume: Volume = await openImage(source, { ...context, snapshot, resolve }, member.format);
    if (child !== null) volumes.push(withNote(child.volume, consent(child.path, child.volume, path, volume, context)));
    child = { path, volume };
    next = member.parent;
  }
  return createDisk([...volumes, (child as { readonly volume: Volume }).volume], context.compute.mergeLayers);
}

/** The disk as it was when the layer at `level` was its newest; 0 is as it is. */
export function diskAt(disk: Disk, level: number, { mergeLayers }: Pick<Compute, "mergeLayers">): Disk {
  const chain = disk.chain.slice(level);
  if (level < 0 || chain.length === 0) throw new DiskError("usage", `there is no layer ${level}: the disk has ${disk.chain.length}`);
  return level === 0 ? disk : createDisk(chain, mergeLayers);
}

const CODES: Partial<Record<ChainProblem["kind"], DiskErrorCode>> = { missing: "missing-file", ambiguous: "usage" };
const stopError = ({ kind, message, file, needs, code }: ChainProblem): DiskError =>
  new DiskError(code ?? CODES[kind] ?? "corrupt", message, { file, needs });

const withNote = (volume: Volume, note: Note | null): Volume => (note === null ? volume : { ...volume, notes: [...volume.notes, note] });

/** What the child's notes are to say of a parent that is not what it was made over; `corrupt` where the context does not accept that. */
function consent(
  name: string,
  child: Volume,
  parentName: string,
  parent: Volume,
  { acceptChangedParents }: Pick<OpenContext, "acceptChangedParents">,
): Note | null {
  const reference = child.parent as FileReference;
  const fit = fitOf(reference, parent);
  if (fit === "same" || fit === "unknown") return null;
  const text = mismatchText(name, reference, parentName, parent, fit);
  if (acceptChangedParents !== true) throw new DiskError("corrupt", text, { file: parentName });
  return { text: `${text}. It was accepted: where only the parent holds data they may be wrong.`, severity: "warning" };
}

interface Parent extends Layer {
  /** For the child. */
  readonly note: Note | null;
}

async function findParent(
  child: Layer,
  reference: FileReference,
  opened: readonly ByteSource[],
  context: OpenContext,
  candidates: Candidates,
): Promise<Parent> {
  const named = await context.resolve(reference);
  // A clone in a folder of its own often has its parent's name.
  const isRing = named !== null && opened.some((other) => sameFile(other, named));
  const first = named === null ? null : isRing ? looped(named) : await openLayer(named, reference, context);
  const fit = first === null || first instanceof DiskError ? null : fitOf(reference, first.volume);
  if (first !== null && !(first instanceof DiskError) && (fit === "same" || fit === "unknown")) return { ...first, note: null };
  const found = await candidates.find(child, reference, opened);
  if (found !== null && fitOf(reference, found.volume) === "same")
    return { ...found, note: isNamedById(reference) ? null : substituted(child, reference, found) };
  const parent = first instanceof DiskError ? (found ?? first) : (first ?? found);
  if (parent === null) throw missing(child.source, reference);
  if (parent instanceof DiskError) throw parent;
  return { ...parent, note: consent(child.source.name, child.volume, parent.source.name, parent.volume, context) };
}

/** The error where the file cannot be opened: another one may be the parent. */
async function openLayer(source: ByteSource, { format }: FileReference, context: OpenContext): Promise<Layer | DiskError> {
  try {
    return { source, volume: await openImage(source, context, format ?? undefined) };
  } catch (error) {
    if (error instanceof DiskError) return error;
    throw error;
  }
}

function missing(child: ByteSource, reference: FileReference): DiskError {
  if (isNamedById(reference) && reference.format === "vdi") return missingIdentity(child.name, reference, "was not given");
  const needs = reference.name;
  return new DiskError("missing-file", `${child.name} is a layer over “${needs}”, which was not given`, { file: child.name, needs });
}

function substituted({ source }: Layer, { name, id }: FileReference, found: Layer): Note {
  return {
    text: `${source.name} names its parent “${name}”; ${found.source.name} has the stated id ${id} and is taken for it.`,
    severity: "warning",
  };
}

const looped = ({ name }: ByteSource): DiskError =>
  new DiskError("corrupt", `${name}: the chain of parents leads back to this file`, { file: name });

/** The context's candidates, each opened once, when first asked for. */
class Candidates {
  private readonly context: OpenContext;
  private readonly opened = new Map<string, Promise<readonly Layer[]>>();

  constructor(context: OpenContext) {
    this.context = context;
  }

  /** The only one that has the stated identity; not those in `except`, which lie above. */
  async find(child: Layer, reference: FileReference, except: readonly ByteSource[]): Promise<Layer | null> {
    if (reference.id === null || reference.format === null || this.context.candidates === undefined) return null;
    const format = formatById(reference.format).id;
    const layers = await (this.opened.get(format) ?? this.open(format));
    const [above, others] = [true, false].map((wanted) =>
      layers.filter(({ source }) => except.some((one) => sameFile(one, source)) === wanted),
    ) as [Layer[], Layer[]];
    const found = withIdentity(others, reference, child.volume.size);
    const [ring] = found.length > 0 || isWeak(reference) ? [] : withIdentity(above, reference, child.volume.size);
    if (ring !== undefined) throw looped(ring.source);
    if (found.length <= 1) return found[0] ?? null;
    const names = found.map(({ source }) => source.name).join(", ");
    throw new DiskError(
      "usage",
      `${child.source.name} is a layer over the image with the id ${reference.id}, and ${found.length} files are that: ${names}`,
      {
        file: child.source.name,
      },
    );
  }

  private open(format: string): Promise<readonly Layer[]> {
    const opening = this.openAll(format);
    this.opened.set(format, opening);
    return opening;
  }

  private async openAll(format: string): Promise<readonly Layer[]> {
    const layers: Layer[] = [];
    for (const source of (await this.context.candidates?.()) ?? []) {
      this.context.signal?.throwIfAborted();
      if (layers.some((layer) => sameFile(layer.source, source))) continue;
      try {
        if ((await detectFormat(source)).id === format) layers.push({ source, volume: await openImage(source, this.context, format) });
      } catch (error) {
        // A file that cannot be opened is not the one that is looked for.
        if (!(error instanceof DiskError)) throw error;
      }
    }
    return layers;
  }
}

function sameFile(a: ByteSource, b: ByteSource): boolean {
  return a === b || (a.origin !== null && b.origin !== null && a.origin.handle === b.origin.handle && a.origin.at === b.origin.at);
}
