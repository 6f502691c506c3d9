import { DiskError } from "../core/errors.ts";
import { plainName } from "../core/file-name.ts";
import type { ByteSource, FileReference, FormatContext, VerifyProgress, Volume } from "../core/model.ts";

/** One file in an archive. */
export interface Member {
  /** As the archive states it; a name to show and to compare, never a path to open. */
  readonly name: string;
  readonly size: number;
  /** The first 64 KiB (or all of it). */
  head(): Promise<Uint8Array>;
  open(): Promise<MemberSource>;
}
export interface MemberSource {
  readonly source: ByteSource;
  /** A checksum that the archive states and that has not been proved by opening. */
  verify?(progress: VerifyProgress, signal?: AbortSignal): Promise<void>;
}

/** Members looked into when an archive holds many. */
const MOST_LOOKED_INTO = 512;
/** Disks whose first bytes may say nothing. */
const RAW_NAMES = /\.(raw|img|dd|bin|iso|vhd|dmg)$|^disk\.raw$/i;

/**
 * Opens the disk in an archive: the one that `context.member` names, or the only one that there is. Files that it names (extents,
 * parents) are looked for among the other members first. A `choice` error lists the disks when there are several.
 */
export async function openMember(
  archive: ByteSource,
  wrapping: string,
  members: readonly Member[],
  context: FormatContext,
): Promise<Volume> {
  requireDistinct(archive, members);
  const chosen = await choose(archive, members, context);
  const isNamed = chosen.name === context.member;
  const { source, verify } = await chosen.open();
  const resolve = async (reference: FileReference): Promise<ByteSource | null> => {
    const wanted = plainName(reference.name);
    const found = members.find(({ name }) => name !== chosen.name && plainName(name) === wanted);
    return found === undefined ? context.resolve(reference) : (await found.open()).source;
  };
  const inner = { ...context, resolve, member: isNamed ? undefined : context.member };
  const volume = await context.openInner(source, wrapping, inner);
  if (verify === undefined) return volume;
  return {
    ...volume,
    async verify(progress, signal) {
      await verify(progress, signal);
      await volume.verify?.(progress, signal);
    },
  };
}

async function choose(archive: ByteSource, members: readonly Member[], context: FormatContext): Promise<Member> {
  const named = members.find(({ name }) => name === context.member);
  if (named !== undefined) return named;
  const place = { file: archive.name, at: 0 };
  if (members.length === 0) throw new DiskError("corrupt", `${archive.name} holds no file`, place);
  const disks = members.length === 1 ? members : await disksAmong(members, context);
  const [only, ...more] = disks;
  if (only === undefined) {
    const names = members.slice(0, 5).map(({ name }) => `“${name}”`);
    throw new DiskError("wrong-format", `${archive.name} holds ${members.length} files but no disk image: ${names.join(", ")} …`, place);
  }
  if (more.length === 0) return only;
  const choices = disks.map(({ name }) => name);
  throw new DiskError("choice", `${archive.name} holds ${disks.length} disks; choose one (--member NAME): ${choices.join(", ")}`, {
    file: archive.name,
    choices,
  });
}

async function disksAmong(members: readonly Member[], context: FormatContext): Promise<readonly Member[]> {
  const disks: Member[] = [];
  for (const member of members.slice(0, MOST_LOOKED_INTO))
    if (member.size > 0 && (RAW_NAMES.test(member.name) || context.isImage(await member.head()))) disks.push(member);
  return disks;
}

/** Two members of one name are two answers to the question which file is meant. */
function requireDistinct(archive: ByteSource, members: readonly Member[]): void {
  const seen = new Set<string>();
  for (const { name } of members) {
    if (seen.has(name)) throw new DiskError("corrupt", `${archive.name} holds two files named “${name}”`, { file: archive.name });
    seen.add(name);
  }
}
