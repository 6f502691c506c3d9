import { DiskError } from "../core/errors.ts";
import { plainName } from "../core/file-name.ts";
import type { FileReference } from "../core/model.ts";
import type { Medium } from "./description.ts";
import type { GivenFiles, Named } from "./given-files.ts";
import { fitOf, isNamedById, mismatchText, withIdentity } from "./identity.ts";
import type { Members, OpenedMember } from "./members.ts";
import type { ChainProblem } from "./problems.ts";

/** What a child lies over, as far as the given files tell. */
export interface ParentLink {
  readonly parent: OpenedMember | null;
  readonly problems: readonly ChainProblem[];
}

/** A medium that a description registers, and the number of that file, from which its name counts. */
export interface RegisteredMedium extends Medium {
  readonly from: number;
}

export interface LinkSources {
  readonly members: Members;
  readonly names: GivenFiles;
  readonly media: readonly RegisteredMedium[];
}

/** Two programs' clocks, and one that counts from midnight of the wrong place. */
const DAY = 86_400;

/**
 * Finds the parent of a layer: among the files of the stated name the one with the stated identity; else, whatever its name, the only
 * one with it; else the file of that name, with the problem that it is not what the child was made over.
 */
export async function findParent(child: OpenedMember, reference: FileReference, sources: LinkSources): Promise<ParentLink> {
  const { members } = sources;
  const named = namedFiles(child, reference, sources);
  const readable: OpenedMember[] = [];
  for (const file of named.all) {
    const member = await members.open(file, named.format);
    if (!(member instanceof DiskError)) readable.push(member);
  }
  const fits = new Map(readable.map((member) => [member, fitOf(reference, member.volume)]));
  const same = readable.find((member) => fits.get(member) === "same");
  if (same !== undefined) return linked(child, reference, same, []);
  const first = named.best[0] === undefined ? null : await members.open(named.best[0], named.format);
  if (first !== null && !(first instanceof DiskError) && fits.get(first) === "unknown")
    return named.best.length > 1
      ? ambiguous(
          child,
          reference,
          named.best.map((file) => pathOf(sources, file)),
        )
      : linked(child, reference, first, []);

  const others = withIdentity(
    members.list.filter((member) => member !== child),
    reference,
    child.volume.size,
  );
  // Its own parent only when nothing else is.
  const found = others.length > 0 ? others : withIdentity([child], reference, child.volume.size);
  if (found.length > 1)
    return ambiguous(
      child,
      reference,
      found.map(({ path }) => path),
    );
  const [only] = found;
  if (only !== undefined && only !== first) {
    const note = `${child.path} names its parent “${reference.name}”; ${only.path} has the stated id ${reference.id} and is taken for it`;
    const isExpected = isNamedById(reference);
    return linked(child, reference, only, isExpected ? [] : [problem("substituted", "note", child, note)]);
  }
  if (first instanceof DiskError) return unreadable(child, named.best[0] as number, first, sources);
  if (first !== null) return linked(child, reference, first, []);
  return missing(child, reference, sources);
}

const pathOf = ({ names }: LinkSources, file: number): string => names.paths[file] as string;

interface NamedFiles extends Named {
  readonly format: string | null;
}

/** Of a name that no file has, the name under which VirtualBox registers that image: its base may be of any format, with ids or without. */
function namedFiles(child: OpenedMember, { name, id, format }: FileReference, { names, media }: LinkSources): NamedFiles {
  const named = names.find(name, child.file);
  const medium = named.all.length > 0 ? undefined : media.find((one) => one.id === id);
  return medium === undefined ? { ...named, format } : { ...names.find(medium.name, medium.from), format: null };
}

function problem(
  kind: ChainProblem["kind"],
  severity: ChainProblem["severity"],
  { path }: OpenedMember,
  message: string,
  more: Partial<ChainProblem> = {},
): ChainProblem {
  return { kind, severity, message, file: path, ...more };
}

const noParent = (stop: ChainProblem): ParentLink => ({ parent: null, problems: [stop] });

function missing(child: OpenedMember, reference: FileReference, { media }: LinkSources): ParentLink {
  const { id, name } = reference;
  const registered = media.find((medium) => medium.id === id)?.name;
  const isById = isNamedById(reference);
  const needs = isById && registered !== undefined ? plainName(registered) : name;
  const what = isById
    ? `the image with the UUID ${id}${registered === undefined ? "" : `, which is registered as “${registered}”`}`
    : `“${name}”`;
  return noParent(
    problem("missing", "stop", child, `${child.path} is a layer over ${what}, which was not given`, { needs, id: id ?? undefined }),
  );
}

function ambiguous(child: OpenedMember, { name, id }: FileReference, files: readonly string[]): ParentLink {
  const what = id === null ? `“${name}”` : `the image with the id ${id}`;
  return noParent(
    problem(
      "ambiguous",
      "stop",
      child,
      `${child.path} is a layer over ${what}, and ${files.length} files may be that: ${files.join(", ")}`,
      { files },
    ),
  );
}

function unreadable(child: OpenedMember, file: number, error: DiskError, sources: LinkSources): ParentLink {
  const path = pathOf(sources, file);
  const more = { files: [path], code: error.code, needs: error.needs };
  return noParent(
    problem("unreadable", "stop", child, `${child.path} is a layer over ${path}, which cannot be opened: ${error.message}`, more),
  );
}

function linked(child: OpenedMember, reference: FileReference, parent: OpenedMember, notes: readonly ChainProblem[]): ParentLink {
  const problems = [...notes];
  const about = { files: [parent.path] };
  const fit = fitOf(reference, parent.volume);
  if (fit === "changed" || fit === "other") {
    const text = mismatchText(child.path, reference, parent.path, parent.volume, fit);
    problems.push(problem(fit === "changed" ? "changed" : "mismatch", "confirm", child, text, { ...about, id: reference.id ?? undefined }));
  }
  const { modified } = parent;
  if (reference.changed !== undefined && modified !== null && modified > reference.changed + DAY)
    problems.push(problem("changed", "note", child, `${parent.path} was changed later than ${child.path} states`, about));
  if (reference.id === null && modified !== null && child.modified !== null && modified > child.modified)
    problems.push(
      problem(
        "newer",
        "note",
        child,
        `${parent.path} was changed after ${child.path}: if data were written to it, the two do not fit any more`,
        about,
      ),
    );
  const [size, over] = [child.volume.size, parent.volume.size];
  if (over < size)
    problems.push(
      problem(
        "size",
        "note",
        child,
        `${parent.path} is shorter (${over} bytes) than ${child.path} (${size} bytes): what lies past its end is zero`,
        about,
      ),
    );
  if (over > size)
    problems.push(
      problem(
        "size",
        "note",
        child,
        `${parent.path} is longer (${over} bytes) than ${child.path} (${size} bytes): its end is not seen`,
        about,
      ),
    );
  return { parent, problems };
}
