import type { ByteSource } from "../core/model.ts";

/** A file that the user gave. */
export interface GivenFile {
  readonly source: ByteSource;
  /** Where it lies in the folders given: `vm/Snapshots/a.vdi`; absent: the source's name. It tells files apart and is never opened. */
  readonly path?: string | undefined;
  /** Seconds since 1970, where known. */
  readonly modified?: number | undefined;
}

/** Files that a stated name may mean: numbers of given files. */
export interface Named {
  /** All that have the plain name, the likeliest first. */
  readonly all: readonly number[];
  /** Those of `all` that nothing in the stated name tells apart; one, when the name is clear. */
  readonly best: readonly number[];
}

const NONE: Named = { all: [], best: [] };
const SEPARATOR = /[/\\]/;
/** A root, a drive or a scheme: nothing that can be taken relative to a folder that was given. */
const IS_ABSOLUTE = /^(?:[/\\]|[a-z][\w+.-]*:)/i;

/**
 * Looks stated names up among the given files. A name from inside an image is compared, part by part, with the paths of these files;
 * it never becomes a path itself, so whatever it says, nothing else can be reached.
 */
export class GivenFiles {
  readonly paths: readonly string[];
  private readonly parts: readonly (readonly string[])[];
  private readonly byPath: ReadonlyMap<string, readonly number[]>;
  private readonly byName: ReadonlyMap<string, readonly number[]>;
  private readonly byFoldedName: ReadonlyMap<string, readonly number[]>;

  constructor(files: readonly GivenFile[]) {
    this.paths = files.map(({ source, path }) => path ?? source.name);
    this.parts = this.paths.map((path) => within([], path.split(SEPARATOR)) ?? [path]);
    this.byPath = grouped(this.parts.map((parts) => parts.join("/")));
    this.byName = grouped(this.parts.map(nameOf));
    this.byFoldedName = grouped(this.parts.map((parts) => nameOf(parts).toLowerCase()));
  }

  /** `from`: the file that states the name. It is among the answers only when nothing else is meant. */
  find(stated: string, from: number): Named {
    const parts = stated.split(SEPARATOR);
    const name = nameOf(parts);
    if (name === "" || name === "." || name === "..") return NONE;
    const folder = (this.parts[from] as readonly string[]).slice(0, -1);
    const all = this.byName.get(name) ?? this.byFoldedName.get(name.toLowerCase()) ?? [];
    const place = IS_ABSOLUTE.test(stated) ? null : within(folder, parts);
    const exact = place === null ? [] : (this.byPath.get(place.join("/")) ?? []);
    if (exact.length > 0) return { all: [...exact, ...all.filter((file) => !exact.includes(file))], best: exact };
    const others = all.filter((file) => file !== from);
    if (others.length === 0) return { all, best: all };
    const scores = new Map(others.map((file) => [file, this.likeness(file, parts, folder)]));
    const score = (file: number): number => scores.get(file) as number;
    const ranked = others.sort((a, b) => score(b) - score(a));
    return { all: ranked, best: ranked.filter((file) => score(file) === score(ranked[0] as number)) };
  }

  /** How many parts at the end of the path are as stated; of equals, those beside the file that states the name come first. */
  private likeness(file: number, stated: readonly string[], folder: readonly string[]): number {
    const own = this.parts[file] as readonly string[];
    let same = 1;
    while (same < own.length && own[own.length - 1 - same] === stated[stated.length - 1 - same]) same++;
    return same * 2 + (own.length - 1 === folder.length && folder.every((part, i) => part === own[i]) ? 1 : 0);
  }
}

const nameOf = (parts: readonly string[]): string => parts[parts.length - 1] as string;

function grouped(keys: readonly string[]): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  for (const [i, key] of keys.entries()) {
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [i]);
    else group.push(i);
  }
  return groups;
}

/** The parts followed from a folder; null when they lead out of what was given. */
function within(folder: readonly string[], parts: readonly string[]): readonly string[] | null {
  const place = [...folder];
  for (const part of parts) {
    if (part === "" || part === ".") continue;
    if (part !== "..") place.push(part);
    else if (place.pop() === undefined) return null;
  }
  return place.length === 0 ? null : place;
}
