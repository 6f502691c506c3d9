import { DiskError } from "../core/errors.ts";
import { plainName } from "../core/file-name.ts";
import type { ByteSource, FileReference, FormatContext, Note, VerifyProgress, Volume } from "../core/model.ts";

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
/** Disks are whole sectors. */
const SECTOR = 512;
/** Names that an error lists. */
const MOST_NAMES = 5;
/** More files than this are not offered to choose from when none looks like a disk. */
const MOST_CHOICES = 24;

/** The name that a member goes by when its folders do not matter. */
export const shownName = (name: string): string => plainName(name) || name;

/**
 * Opens the disk in an archive: the one that `context.member` names, or the only one that there is. Files that it names (extents,
 * parents) are looked for in its folder of the archive first. A `choice` error lists the disks when there are several, or when none of
 * them, nor any in an archive inside, has the name; a `wrong-format` error the files, when none of them looks like a disk and none was
 * named. Of members of one name the last is meant, as when they are unpacked one after the other.
 */
export async function openMember(
  archive: ByteSource,
  wrapping: string,
  stored: readonly Member[],
  context: FormatContext,
): Promise<Volume> {
  const members = [...new Map(stored.map((member) => [member.name, member])).values()];
  const named = members.find(({ name }) => name === context.member);
  const chosen = named ?? (await choose(archive, members, context));
  const opened = await chosen.open();
  /** Members that the disk consists of: its own, and those that it names. */
  const parts: MemberSource[] = [opened];
  const used = [chosen.name];
  const resolve = async (reference: FileReference): Promise<ByteSource | null> => {
    const found = besideMember(members, chosen, reference.name);
    if (found === undefined) return context.resolve(reference);
    const part = await found.open();
    parts.push(part);
    used.push(found.name);
    return part.source;
  };
  const inner = { ...context, resolve, member: named === undefined ? context.member : undefined };
  const inside = await context.openInner(opened.source, wrapping, inner);
  if (inner.member !== undefined && !choosesByName(inside)) throw noSuchMember(archive, inner.member, [chosen]);
  if (named === undefined && isBare(inside) && !(await mayBeRaw(chosen, context))) throw noDisk(archive, members);
  const volume = { ...inside, notes: [...repeatNotes(archive, stored, used), ...inside.notes] };
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

/** Whether the volume is one of several files among which a name chooses. */
export const isMember = ({ wrapping = [], format }: Volume): boolean =>
  format === "xva" || wrapping.some((name) => ARCHIVES.includes(name));

/** Whether a file was chosen by its name inside of what a member holds. */
const choosesByName = (volume: Volume): boolean => isMember({ ...volume, wrapping: volume.wrapping?.slice(1) ?? [] });

/** Whether a member's own bytes are taken for those of the disk. */
const isBare = ({ wrapping = [], format }: Volume): boolean => format === "raw" && wrapping.length === 1;

/** The only member may be a disk without a boot record, but not a text or a file that is no whole number of sectors. */
async function mayBeRaw(member: Member, context: FormatContext): Promise<boolean> {
  if (RAW_NAMES.test(member.name)) return true;
  const head = await member.head();
  return context.isImage(head) || (member.size % SECTOR === 0 && head.includes(0));
}

/** A file may be looked for in a member that another of the same name has taken the place of. */
function repeatNotes(archive: ByteSource, stored: readonly Member[], used: readonly string[]): Note[] {
  const counts = new Map<string, number>();
  for (const { name } of stored) counts.set(name, (counts.get(name) ?? 0) + 1);
  const repeated = used.filter((name) => counts.get(name) !== 1);
  return repeated.map((name) => ({
    text: `${archive.name} holds several files named “${name}”: the last one is read, as unpacking would leave it.`,
    severity: "warning",
  }));
}

async function choose(archive: ByteSource, members: readonly Member[], context: FormatContext): Promise<Member> {
  const place = { file: archive.name, at: 0 };
  if (members.length === 0) throw new DiskError("corrupt", `${archive.name} holds no file`, place);
  const disks = members.length === 1 ? members : await disksAmong(members, context);
  const [only, ...more] = disks;
  if (only === undefined) throw context.member === undefined ? noDisk(archive, members) : noSuchMember(archive, context.member, members);
  if (more.length === 0) return only;
  if (context.member !== undefined) throw noSuchMember(archive, context.member, disks);
  const choices = disks.map(({ name }) => name);
  throw new DiskError("choice", `${archive.name} holds ${disks.length} disks; choose one (--member NAME): ${choices.join(", ")}`, {
    file: archive.name,
    choices,
  });
}

/** The members that hold any bytes are the choices: one of them may be a disk all the same. */
function noDisk(archive: ByteSource, members: readonly Member[]): DiskError {
  const names = members.slice(0, MOST_NAMES).map(({ name, size }) => `“${name}” (${size} bytes)`);
  const held = members.length === 1 ? "one file" : `${members.length} files`;
  const listed = `${names.join(", ")}${members.length > names.length ? " …" : ""}`;
  const none = members.length === 1 ? "it does not look like a disk; it" : "none of them looks like a disk; one";
  const text = `${archive.name} holds ${held}, ${listed}: ${none} can be taken for a raw disk all the same (--member NAME)`;
  const choices = members.filter(({ size }) => size > 0).map(({ name }) => name);
  return new DiskError("wrong-format", text, { file: archive.name, choices: choices.slice(0, MOST_CHOICES) });
}

function noSuchMember(archive: ByteSource, name: string, disks: readonly Member[]): DiskError {
  const choices = disks.slice(0, MOST_CHOICES).map((disk) => disk.name);
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
