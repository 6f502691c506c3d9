import type { FileReference, Volume } from "../core/model.ts";

/**
 * What a volume is to a child that states a reference: the parent meant; nobody can tell, since one of them states nothing; the parent
 * meant, but written to after the child was made; another disk, or (where a format has one id for both) one that was written to.
 */
export type Fit = "same" | "unknown" | "changed" | "other";

export function fitOf(reference: FileReference, parent: Volume): Fit {
  const wanted = wantedIds(reference);
  const own = [parent.identity ?? [], parent.otherIdentities ?? []].flat();
  if (wanted.length === 0 || own.length === 0) return "unknown";
  if (!wanted.some((id) => own.includes(id))) return "other";
  const { version = null } = reference;
  return version !== null && (parent.version ?? version) !== version ? "changed" : "same";
}

const wantedIds = ({ id, otherIds = [] }: FileReference): readonly string[] => (id === null ? [] : [id, ...otherIds]);

/** The file is known by its identity alone: the format has no place for a name, and the reader made one up from the id. */
export const isNamedById = ({ name, id }: FileReference): boolean => id !== null && name.startsWith(`{${id}}.`);

/** What VMware gives every new disk. */
const FIRST_CID = "fffffffe";

/** One of the volumes in which a parent may be found. */
export interface Identified {
  readonly volume: Volume;
}

/** A VMDK's CID: 32 bits, and a snapshot that was not written to yet has its parent's. */
export const isWeak = ({ id }: FileReference): boolean => id?.includes("-") === false;

/**
 * Those that have the identity that a child of `size` bytes states; when there are none in the right version, those in another.
 * A CID alone counts only for disks of that size, which are not themselves layers over that CID.
 */
export function withIdentity<Candidate extends Identified>(
  candidates: readonly Candidate[],
  reference: FileReference,
  size: number,
): readonly Candidate[] {
  const fits = (wanted: Fit) => candidates.filter(({ volume }) => fitOf(reference, volume) === wanted);
  if (reference.id === null) return [];
  if (!isWeak(reference)) return [fits("same"), fits("changed")].find(({ length }) => length > 0) ?? [];
  if (reference.id === FIRST_CID) return [];
  return fits("same").filter(({ volume }) => volume.size === size && volume.parent?.id !== reference.id);
}

/** Why a parent is not what its child was made over. */
export function mismatchText(child: string, reference: FileReference, name: string, parent: Volume, fit: "changed" | "other"): string {
  if (fit === "changed")
    return `${name} is in its version ${parent.version}, but ${child} was made over its version ${reference.version}: it was changed afterwards`;
  return `${name} has the id ${parent.identity}, but ${child} was made over ${wantedIds(reference).join(" or ")}: it was changed afterwards or is another disk`;
}
