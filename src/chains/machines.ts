import { DiskError } from "../core/errors.ts";
import { XmlError } from "../core/xml.ts";
import { type DescribedDisk, type Description, mayDescribe, readDescription } from "./description.ts";
import type { GivenFile, GivenFiles } from "./given-files.ts";
import type { Members, OpenedMember } from "./members.ts";
import type { RegisteredMedium } from "./parent-link.ts";
import type { ChainProblem } from "./problems.ts";

/** A description and the number of the given file that it stands in. */
export interface FoundDescription extends Description {
  readonly file: number;
}

export interface Descriptions {
  readonly found: readonly FoundDescription[];
  readonly media: readonly RegisteredMedium[];
  readonly problems: readonly ChainProblem[];
}

/** Reads every description of a machine among the files. */
export async function readDescriptions(files: readonly GivenFile[], names: GivenFiles): Promise<Descriptions> {
  const found: FoundDescription[] = [];
  const problems: ChainProblem[] = [];
  for (const [file, { source }] of files.entries()) {
    if (!mayDescribe(source.name)) continue;
    const path = names.paths[file] as string;
    try {
      const description = await readDescription(source, path);
      if (description !== null) found.push({ ...description, file });
    } catch (error) {
      if (!(error instanceof XmlError) && !(error instanceof DiskError)) throw error;
      const place = error instanceof XmlError ? `character ${error.at}: ` : "";
      const message = `${path} cannot be read (${place}${error.message}): which layers are current is not known from it`;
      problems.push({ kind: "description", severity: "note", message, file: path });
    }
  }
  const media = found.flatMap((description) => description.media.map((medium) => ({ ...medium, from: description.file })));
  return { found, media, problems };
}

/** A disk that a machine's description names. */
export interface MachineDisk extends DescribedDisk {
  /** Null: not among the files, or not to be opened. */
  readonly member: number | null;
}
export interface Machine {
  readonly kind: Description["kind"];
  /** The name that its description gives it, else the description's path. */
  readonly name: string;
  /** Path of the description. */
  readonly file: string;
  /** As they are now. */
  readonly disks: readonly MachineDisk[];
}

export interface Machines {
  readonly list: readonly Machine[];
  /** Member → the points in time whose newest layer it is. */
  readonly labels: ReadonlyMap<number, readonly string[]>;
  /** Disks that were not found, or cannot be opened. */
  readonly problems: readonly ChainProblem[];
}

/** Finds the disks that descriptions name among the given files. */
export async function findMachines(found: readonly FoundDescription[], members: Members, names: GivenFiles): Promise<Machines> {
  const list: Machine[] = [];
  const labels = new Map<number, string[]>();
  const problems: ChainProblem[] = [];
  for (const description of found) {
    const file = names.paths[description.file] as string;
    if (description.disks !== null) {
      const disks: MachineDisk[] = [];
      for (const disk of description.disks) {
        const member = await diskOf(disk, description.file, members, names);
        if ("kind" in member) problems.push(member);
        disks.push({ ...disk, member: "kind" in member ? null : member.id });
      }
      list.push({ kind: description.kind, name: description.machine ?? file, file, disks });
    }
    for (const { name, disks } of description.snapshots) {
      for (const disk of disks) {
        const member = await diskOf(disk, description.file, members, names);
        if (!("kind" in member)) labels.set(member.id, [...new Set([...(labels.get(member.id) ?? []), name])]);
      }
    }
  }
  return { list, labels, problems };
}

async function diskOf(
  { name, slot }: DescribedDisk,
  from: number,
  members: Members,
  names: GivenFiles,
): Promise<OpenedMember | ChainProblem> {
  const file = names.paths[from] as string;
  const { best } = names.find(name, from);
  const problem = { severity: "note", file } as const;
  if (best.length > 1) {
    const files = best.map((i) => names.paths[i] as string);
    return { ...problem, kind: "ambiguous", message: `${file} has the disk “${name}” (${slot}), which may be ${files.join(", ")}`, files };
  }
  if (best[0] === undefined) {
    const id = /^\{([0-9a-f-]{36})\}\./.exec(name)?.[1];
    const known =
      id === undefined ? [] : members.list.filter(({ volume }) => volume.identity === id || volume.otherIdentities?.includes(id) === true);
    if (known.length === 1) return known[0] as OpenedMember;
    return { ...problem, kind: "missing", message: `${file} has the disk “${name}” (${slot}), which was not given`, needs: name, id };
  }
  const member = await members.open(best[0]);
  if (!(member instanceof DiskError)) return member;
  const message = `${file} has the disk “${name}” (${slot}), which cannot be opened: ${member.message}`;
  return { ...problem, kind: "unreadable", message, files: [names.paths[best[0]] as string], code: member.code, needs: member.needs };
}
