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
  const find = (name: string): Member | undefined => members.find((member) => member.name === name);
  const descriptor = members.find(({ name }) => /\.ovf$/i.test(name));
  if (descriptor === undefined)
    throw new DiskError("corrupt", `${file.name}: there is no OVF descriptor in it`, { file: file.name, at: 0 });
  const envelope = (await descriptor.open()).source;
  const disk = choose(file, await readEnvelope(envelope), context.member);
  const found = members.filter(({ name }) => name === disk.href);
  if (found.length > 1) throw new DiskError("corrupt", `${file.name} holds two files named “${disk.href}”`, { file: file.name, at: 0 });
  const { source } = (await found[0]?.open()) ?? { source: await askFor(file, disk, context) };
  const inner = { ...context, member: undefined };
  const volume = await context.openInner(source, "OVA", inner);
  const notes: Note[] = [];
  if (disk.capacity !== null && disk.capacity !== volume.size)
    notes.push({
      text: `The descriptor states ${disk.capacity} bytes for ${disk.href}; the disk itself has ${volume.size}, which are read.`,
      severity: "warning",
    });
  const manifest = find(descriptor.name.replace(/\.ovf$/i, ".mf"));
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
