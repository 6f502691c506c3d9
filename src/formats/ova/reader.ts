import type { Member } from "../../archives/members.ts";
import { readTar } from "../../archives/tar.ts";
import { DiskError } from "../../core/errors.ts";
import { plainName } from "../../core/file-name.ts";
import type { ByteSource, FormatContext, Note, Volume } from "../../core/model.ts";
import { type OvfDisk, readEnvelope } from "./envelope.ts";
import { readManifest, verifyDigest } from "./manifest.ts";

/** Opens a disk of an appliance: the one that `context.member` names, or the only one. The disk's own header says its size, not the descriptor. */
export async function openOva(file: ByteSource, context: FormatContext): Promise<Volume> {
  const members = await readTar(file, context.signal);
  const descriptor = onlyDescriptor(file, members);
  const envelope = (await descriptor.open()).source;
  const disk = choose(file, await readEnvelope(envelope), context.member);
  const { source } = (await onlyMember(file, members, disk.href)?.open()) ?? { source: await askFor(file, disk, context) };
  const inner = { ...context, member: undefined };
  const volume = await context.openInner(source, "OVA", inner);
  const notes: Note[] = [];
  if (disk.capacity !== null && disk.capacity !== volume.size)
    notes.push({
      text: `The descriptor states ${disk.capacity} bytes for ${disk.href}; the disk itself has ${volume.size}, which are read.`,
      severity: "warning",
    });
  const manifest = onlyMember(file, members, descriptor.name.replace(/\.ovf$/i, ".mf"));
  const { digests, unread } = manifest === undefined ? { digests: [], unread: [] } : await readManifest((await manifest.open()).source);
  if (unread.length > 0) notes.push({ text: `The manifest's ${unread.join(" and ")} sums are not compared.`, severity: "warning" });
  const parts = [
    { name: disk.href, source },
    { name: descriptor.name, source: envelope },
  ];
  const checks = parts.flatMap((part) => digests.filter(({ name }) => name === part.name).map((digest) => ({ ...part, digest })));
  return {
    ...volume,
    notes: [...notes, ...volume.notes],
    ...(checks.length > 0 && {
      async verify(progress, signal) {
        for (const check of checks) await verifyDigest(check.source, check.digest, context.compute, progress, signal);
        await volume.verify?.(progress, signal);
      },
    }),
  };
}

/** §5.1: a package has one. Of two, each may describe other disks: none is taken for the right one. */
function onlyDescriptor(file: ByteSource, members: readonly Member[]): Member {
  const place = { file: file.name, at: 0 };
  // What macOS packs beside a file are its attributes, under the file's name.
  const names = members.map(({ name }) => name).filter((name) => /\.ovf$/i.test(name) && !plainName(name).startsWith("._"));
  const [first, ...more] = new Set(names);
  if (first === undefined) throw new DiskError("corrupt", `${file.name}: there is no OVF descriptor in it`, place);
  if (more.length > 0)
    throw new DiskError(
      "corrupt",
      `${file.name} holds ${more.length + 1} OVF descriptors, and an appliance has one: ${[first, ...more].join(", ")}`,
      place,
    );
  return onlyMember(file, members, first) as Member;
}

/** The member of this name; undefined when there is none. Readers of tar differ in which of two they take, and so would the disk. */
function onlyMember(file: ByteSource, members: readonly Member[], name: string): Member | undefined {
  const [first, ...more] = members.filter((member) => member.name === name);
  if (more.length > 0)
    throw new DiskError("corrupt", `${file.name} holds ${more.length + 1} files named “${name}”: it does not say which is meant`, {
      file: file.name,
      at: 0,
    });
  return first;
}

function choose(file: ByteSource, disks: readonly OvfDisk[], member: string | undefined): OvfDisk {
  const named = disks.find(({ href, id }) => href === member || id === member);
  if (named !== undefined) return named;
  const [first, ...more] = disks;
  const place = { file: file.name, at: 0 };
  if (first === undefined) throw new DiskError("wrong-format", `${file.name}: the appliance has no disk with a file`, place);
  if (member === undefined && more.length === 0) return first;
  const choices = disks.map(({ href }) => href);
  const held = member === undefined ? `${disks.length} disks` : `no disk “${member}”`;
  throw new DiskError("choice", `${file.name} holds ${held}; choose one (--member NAME): ${choices.join(", ")}`, {
    ...place,
    choices,
  });
}

/** A reference that is not in the archive is asked for by its plain name; paths and addresses are not followed. */
async function askFor(file: ByteSource, disk: OvfDisk, context: FormatContext): Promise<ByteSource> {
  const needs = plainName(disk.href);
  const given = disk.href === needs ? await context.resolve({ role: "extent", name: needs, id: null, format: null }) : null;
  if (given !== null) return given;
  throw new DiskError("missing-file", `${file.name} names “${disk.href}”, which is not a file in it`, { file: file.name, needs });
}
