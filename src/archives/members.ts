import { DiskError } from "../core/errors.ts";
import { plainName } from "../core/file-name.ts";
import type { ByteSource, FileReference, FormatContext, VerifyProgress, Volume } from "../core/model.ts";

/** One file in an archive. */
export interface Member {
  /** As the archive states it; a name to show and to compare, never a path to open. */
  readonly name: string;
  readonly size: number;
  /** The first 64 KiB (or all of it); a DiskError when the member cannot be looked into. */
  head(): Promise<Uint8Array>;
  open(): Promise<MemberSource>;
}
export interface MemberSource {
  readonly source: ByteSource;
  /** A checksum that the archive states and that has not been proved by opening. */
  verify?(progress: VerifyProgress, signal?: AbortSignal): Promise<void>;
}

/** Members looked into when an archive holds many: the largest. */
const MOST_LOOKED_INTO = 512;
/** Disks whose first bytes may say nothing. */
const RAW_NAMES = /\.(raw|img|dd|bin|iso|vhd|dmg)$/i;
/** What volumes are said to be wrapped in when one of several files was taken. */
const ARCHIVES = ["tar", "zip", "OVA"];

/** The name that a member goes by when its folders do not matter. */
export const shownName = (name: string): string => plainName(name) || name;

/**
 * Opens the disk in an archive: the one that `context.member` names, or the only one that there is. Files that it names (extents,
 * parents) are looked for in its folder of the archive first. A `choice` error lists the disks when there are several, or when none of
 * them, nor any in an archive inside, has the name.
 */
export async function openMember(
  archive: ByteSource,
  wrapping: string,
  members: readonly Member[],
  context: FormatContext,
): Promise<Volume> {
  requireDistinct(archive, members);
  const named = members.find(({ name }) => name === context.member);
  const chosen = named ?? (await choose(archive, members, context));
  const opened = await chosen.open();
  /** Members that the disk consists of: its own, and those that it names. */
  const parts: MemberSource[] = [opened];
  const resolve = async (reference: FileReference): Promise<ByteSource | null> => {
    const found = besideMember(members, chosen, reference.name);
    if (found === undefined) return context.resolve(reference);
    const part = await found.open();
    parts.push(part);
    return part.source;
  };
  const inner = { ...context, resolve, member: named === undefined ? context.member : undefined };
  const volume = await context.openInner(opened.source, wrapping, inner);
  if (inner.member !== undefined && !choosesByName(volume)) throw noSuchMember(archive, inner.member, [chosen]);
  if (parts.every(({ verify }) => verify === undefined)) return volume;
  return {
    ...volume,
    async verify(progress, signal) {
      for (const part of parts) await part.verify?.(progress, signal);
      await volume.verify?.(progress, signal);
    },
  };
}

/** The member that a name inside `chosen` means: relative to the member's own folder, or by its plain name there. */
function besideMember(members: readonly Member[], chosen: Member, stated: string): Member | undefined {
  const folder = chosen.name.slice(0, chosen.name.length - plainName(chosen.name).length);
  const others = members.filter((member) => member !== chosen);
  return (
    others.find(({ name }) => name === folder + stated.replaceAll("\\", "/")) ??
    others.find(({ name }) => name === folder + plainName(stated))
  );
}

/** Whether a file was chosen by its name inside of what a member holds. */
const choosesByName = ({ wrapping = [], format }: Volume): boolean =>
  format === "xva" || wrapping.slice(1).some((name) => ARCHIVES.includes(name));

async function choose(archive: ByteSource, members: readonly Member[], context: FormatContext): Promise<Member> {
  const place = { file: archive.name, at: 0 };
  if (members.length === 0) throw new DiskError("corrupt", `${archive.name} holds no file`, place);
  const disks = members.length === 1 ? members : await disksAmong(members, context);
  const [only, ...more] = disks;
  if (only === undefined) {
    const names = members.slice(0, 5).map(({ name }) => `“${name}”`);
    const text = `${archive.name} holds ${members.length} files but no disk image: ${names.join(", ")}${members.length > 5 ? " …" : ""}`;
    throw new DiskError("wrong-format", text, place);
  }
  if (more.length === 0) return only;
  if (context.member !== undefined) throw noSuchMember(archive, context.member, disks);
  const choices = disks.map(({ name }) => name);
  throw new DiskError("choice", `${archive.name} holds ${disks.length} disks; choose one (--member NAME): ${choices.join(", ")}`, {
    file: archive.name,
    choices,
  });
}

function noSuchMember(archive: ByteSource, name: string, disks: readonly Member[]): DiskError {
  const choices = disks.map((disk) => disk.name);
  return new DiskError("choice", `${archive.name} holds no file named “${name}”; choose one (--member NAME): ${choices.join(", ")}`, {
    file: archive.name,
    choices,
  });
}

/** Members that are disks, or may be as they cannot be looked into; in the archive's order. */
async function disksAmong(members: readonly Member[], context: FormatContext): Promise<readonly Member[]> {
  const largest = new Set(members.toSorted((a, b) => b.size - a.size).slice(0, MOST_LOOKED_INTO));
  const disks: Member[] = [];
  for (const member of members) {
    context.signal?.throwIfAborted();
    if (member.size > 0 && (RAW_NAMES.test(member.name) || (largest.has(member) && (await mayBeDisk(member, context))))) disks.push(member);
  }
  return disks;
}

async function mayBeDisk(member: Member, context: FormatContext): Promise<boolean> {
  try {
    return context.isImage(await member.head());
  } catch (error) {
    if (error instanceof DiskError) return true;
    throw error;
  }
}

/** Two members of one name are two answers to the question which file is meant. */
function requireDistinct(archive: ByteSource, members: readonly Member[]): void {
  const seen = new Set<string>();
  for (const { name } of members) {
    if (seen.has(name)) throw new DiskError("corrupt", `${archive.name} holds two files named “${name}”`, { file: archive.name });
    seen.add(name);
  }
}
