import { DiskError } from "../core/errors.ts";
import type { ByteSource, OpenContext, ResolveFile, Volume } from "../core/model.ts";
import { type GivenFile, GivenFiles } from "./given-files.ts";
import { findMachines, type Machine, readDescriptions } from "./machines.ts";
import { isNamedLikeDisk, Members, type OpenedMember } from "./members.ts";
import { findParent, type LinkSources, type ParentLink } from "./parent-link.ts";
import type { ChainProblem } from "./problems.ts";

/** As deep as a chain is followed. */
export const MOST_LAYERS = 256;

/** One image: a layer of a chain, or all of it. */
export interface Member {
  /** Its place in `ChainSearch.members`. */
  readonly id: number;
  readonly source: ByteSource;
  /** Where it lies among the files given. */
  readonly path: string;
  /** Seconds since 1970. */
  readonly modified: number | null;
  /** Format id under which its child has it opened; undefined: what its content shows. */
  readonly format: string | undefined;
  /** This layer alone, without a passphrase. */
  readonly volume: Volume;
  /** Null: a base, or its parent is not there (then `problems` says so). */
  readonly parent: number | null;
  readonly children: readonly number[];
  /** Names of the points in time whose newest layer this is, by the descriptions given. */
  readonly labels: readonly string[];
  /** Of this member and of its link to its parent. */
  readonly problems: readonly ChainProblem[];
  /** Finds the given files that the image itself consists of. */
  readonly resolve: ResolveFile;
}

/** From a top down to the base, or to where it breaks. */
export interface Chain {
  /** Ids, newest first. */
  readonly members: readonly number[];
  /** The machines whose disk it is now. */
  readonly usedBy: readonly { readonly machine: string; readonly slot: string }[];
  /** Of all members and of the whole. Without any of severity `stop` it can be opened. */
  readonly problems: readonly ChainProblem[];
}

export interface ChainSearch {
  readonly members: readonly Member[];
  /**
   * One for every top: every layer that no other lies over, and every one that a machine uses. Those in use come first. Several may share
   * layers: then their last members are the same. Rings, which have no top, come last.
   */
  readonly chains: readonly Chain[];
  readonly machines: readonly Machine[];
  /** What is wrong with descriptions, and what they name in vain. */
  readonly problems: readonly ChainProblem[];
  /** Files that are images, or by their names should be, and cannot be opened. */
  readonly failures: readonly { readonly path: string; readonly error: DiskError }[];
  /** Paths of the files that are neither images nor parts of them. Archives and compressed files are among them, unless one is a parent. */
  readonly others: readonly string[];
}

/**
 * Puts the images among some files (a folder's) in order. Each is opened for itself; then links are followed: by identity where a format
 * has one, by plain name where not. Nothing but these files is opened, whatever names stand in them. `context`: its resolver is not asked.
 */
export async function findChains(files: readonly GivenFile[], context: Omit<OpenContext, "resolve">): Promise<ChainSearch> {
  const names = new GivenFiles(files);
  const members = new Members(files, names, { ...context, resolve: async () => null });
  const descriptions = await readDescriptions(files, names);
  const described = new Set(descriptions.found.map(({ file }) => file));
  const failed = await openAll(files, members, described);
  const machines = await findMachines(descriptions.found, members, names);
  const links = await linkAll(members, names, descriptions.media);

  const lowered = new Set([...links.values()].flatMap(({ parent }) => parent ?? []));
  const inUse = new Set(machines.list.flatMap(({ disks }) => disks.flatMap(({ member }) => member ?? [])));
  const loweredFiles = new Set([...lowered].map(({ file }) => file));
  const kept = members.list.filter((member) => {
    const { id, file } = member;
    return lowered.has(member) || inUse.has(id) || machines.labels.has(id) || !(members.parts.has(file) || loweredFiles.has(file));
  });
  const place = new Map(kept.map(({ id }, i) => [id, i]));
  const parents = kept.map(({ id }) => place.get(links.get(id)?.parent?.id ?? -1) ?? null);
  const children: number[][] = kept.map(() => []);
  for (const [child, parent] of parents.entries()) if (parent !== null) children[parent]?.push(child);
  const rings = ringsOf(parents);
  const list = kept.map(
    (member, i): Member => ({
      id: i,
      source: member.source,
      path: member.path,
      modified: member.modified,
      format: member.format,
      volume: member.volume,
      parent: parents[i] as number | null,
      children: children[i] as readonly number[],
      labels: machines.labels.get(member.id) ?? [],
      problems: [
        ...(links.get(member.id)?.problems ?? []),
        ...rings.filter(([first]) => first === i).map((ring) => ringProblem(ring.map((id) => (kept[id] as OpenedMember).path))),
      ],
      resolve: members.resolver(member.file, member.volume.format),
    }),
  );
  const shown = machines.list.map((machine) => ({
    ...machine,
    disks: machine.disks.map((disk) => ({ ...disk, member: disk.member === null ? null : (place.get(disk.member) ?? null) })),
  }));
  const failures = failed.filter(({ file }) => !members.parts.has(file));
  const known = new Set([...described, ...members.parts, ...kept.map(({ file }) => file), ...failures.map(({ file }) => file)]);
  return {
    members: list,
    chains: chainsOf(list, shown, rings),
    machines: shown,
    problems: [...descriptions.problems, ...machines.problems],
    failures: failures.map(({ file, error }) => ({ path: names.paths[file] as string, error })),
    others: names.paths.filter((_, file) => !known.has(file)),
  };
}

interface Failed {
  readonly file: number;
  readonly error: DiskError;
}

/** Opens all images; those without a header of any format last, when it is known which are parts of others. */
async function openAll(files: readonly GivenFile[], members: Members, described: ReadonlySet<number>): Promise<Failed[]> {
  const failed: Failed[] = [];
  const plain: number[] = [];
  const open = async (file: number): Promise<void> => {
    const member = await members.open(file);
    if (member instanceof DiskError) failed.push({ file, error: member });
  };
  for (const [file, { source }] of files.entries()) {
    if (described.has(file) || source.size === 0) continue;
    const format = await members.formatOf(file).catch(() => null);
    if (format === null || (format.id !== "raw" && format.wraps !== true)) await open(file);
    else if (format.id === "raw") plain.push(file);
  }
  for (const file of plain) {
    const { name, size } = (files[file] as GivenFile).source;
    if (!members.parts.has(file) && isNamedLikeDisk(name, size)) await open(file);
  }
  return failed;
}

async function linkAll(members: Members, names: GivenFiles, media: LinkSources["media"]): Promise<Map<number, ParentLink>> {
  const links = new Map<number, ParentLink>();
  // The list grows while parents are opened that nothing else showed to be images.
  for (const member of members.list) {
    const { parent } = member.volume;
    if (parent !== null) links.set(member.id, await findParent(member, parent, { members, names, media }));
  }
  return links;
}

/** Every ring of parents, each from its lowest number on. */
function ringsOf(parents: readonly (number | null)[]): number[][] {
  const rings: number[][] = [];
  const seenFrom = new Map<number, number>();
  for (const start of parents.keys()) {
    const path: number[] = [];
    let at: number | null = start;
    while (at !== null && !seenFrom.has(at)) {
      seenFrom.set(at, start);
      path.push(at);
      at = parents[at] as number | null;
    }
    if (at === null || seenFrom.get(at) !== start) continue;
    const ring = path.slice(path.indexOf(at));
    const lowest = ring.indexOf(Math.min(...ring));
    rings.push([...ring.slice(lowest), ...ring.slice(0, lowest)]);
  }
  return rings;
}

function ringProblem(paths: readonly string[]): ChainProblem {
  const [file] = paths as [string];
  const text = paths.length === 1 ? `${file} names itself as its parent` : `the parents lead in a circle: ${[...paths, file].join(" → ")}`;
  return { kind: "cycle", severity: "stop", message: text, file, files: paths };
}

function chainsOf(members: readonly Member[], machines: readonly Machine[], rings: readonly (readonly number[])[]): Chain[] {
  const users = new Map<number, { machine: string; slot: string }[]>();
  for (const { name, disks } of machines)
    for (const { slot, member } of disks) if (member !== null) users.set(member, [...(users.get(member) ?? []), { machine: name, slot }]);
  const tops = members.filter(({ id, children }) => children.length === 0 || users.has(id)).map(({ id }) => id);
  const chains = tops.map((top) => chainFrom(top, members, users.get(top) ?? []));
  const covered = new Set(chains.flatMap((chain) => chain.members));
  const bare = rings.filter((ring) => ring.every((id) => !covered.has(id))).map(([first]) => chainFrom(first as number, members, []));
  return [...chains.filter(({ usedBy }) => usedBy.length > 0), ...chains.filter(({ usedBy }) => usedBy.length === 0), ...bare];
}

function chainFrom(top: number, members: readonly Member[], usedBy: Chain["usedBy"]): Chain {
  const ids = new Set<number>();
  let at: number | null = top;
  while (at !== null && !ids.has(at) && ids.size < MOST_LAYERS) {
    ids.add(at);
    at = (members[at] as Member).parent;
  }
  const problems = [...ids].flatMap((id) => (members[id] as Member).problems);
  if (at !== null && !ids.has(at)) {
    const { path } = members[top] as Member;
    problems.push({ kind: "too-deep", severity: "stop", message: `${path} has more than ${MOST_LAYERS} layers`, file: path });
  }
  return { members: [...ids], usedBy, problems };
}
