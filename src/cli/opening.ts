import { createReadStream } from "node:fs";
import { basename } from "node:path";
import { DiskError } from "../core/errors.ts";
import type { OpenContext, Volume } from "../core/model.ts";
import { isMember } from "../formats/registry.ts";
import { reasonOf } from "../platform/node/file-source.ts";
import type { Arguments, OptionSpec, OptionSpecs } from "./arguments.ts";

const FROM = {
  names: ["-f", "--format"],
  kind: "value",
  value: "FMT",
  help: "read the image as this format, whatever its content",
} as const satisfies OptionSpec;

/** Options of every verb that opens images. */
export const OPENING = {
  member: { names: ["--member"], kind: "value", value: "NAME", help: "file of an archive that is meant, by its name there" },
  anySize: { names: ["--any-size"], kind: "flag", help: "follow a packed stream however large it becomes" },
  passphraseFile: {
    names: ["--passphrase-file"],
    kind: "value",
    value: "FILE",
    help: "file that holds the passphrase of an encrypted image",
  },
  lookIn: {
    names: ["--look-in"],
    kind: "list",
    value: "DIR",
    help: "look for parents and other files of the image in this folder too; may be given several times",
  },
  acceptChanged: {
    names: ["--accept-changed-parents"],
    kind: "flag",
    help: "go on over a parent that was changed after its child was made, or is another disk",
  },
} as const satisfies OptionSpecs;

/** Options of the verbs that read one image. */
export const SOURCE = { from: FROM, ...OPENING } as const satisfies OptionSpecs;

/** What the user said about opening an image. */
export type Opening = Pick<OpenContext, "snapshot" | "member" | "anySize" | "passphrase" | "acceptChangedParents"> & {
  readonly lookIn?: readonly string[];
};

export async function readOpening(given: Arguments): Promise<Opening> {
  const path = given.value("passphraseFile");
  return {
    member: given.value("member"),
    anySize: given.has("anySize"),
    lookIn: given.list("lookIn"),
    acceptChangedParents: given.has("acceptChanged"),
    passphrase: path === undefined ? undefined : await readPassphrase(path),
  };
}

/** A name that chooses nothing would be passed over in silence: at least one of what was opened must have been chosen among several. */
export function requireMember({ member }: Opening, volumes: readonly (Volume | undefined)[]): void {
  if (member === undefined || volumes.some((volume) => volume !== undefined && isMember(volume))) return;
  const [name] = volumes.flatMap((volume) => volume?.files[0]?.name ?? []);
  throw new DiskError(
    "usage",
    `--member ${member}: ${name === undefined ? "there is no file" : `${name} is no archive`} to choose a member of`,
  );
}

const MOST_PASSPHRASE_BYTES = 8192;

/** The file's text without the line end that editors put behind it. */
async function readPassphrase(path: string): Promise<string> {
  const name = basename(path);
  const bytes = await readBeginning(path, MOST_PASSPHRASE_BYTES + 1).catch((cause: NodeJS.ErrnoException) => {
    throw new DiskError("io", `the passphrase file ${name} cannot be read: ${reasonOf(cause)}`, { file: name, cause });
  });
  if (bytes.length > MOST_PASSPHRASE_BYTES)
    throw new DiskError("usage", `the passphrase file ${name} has more than ${MOST_PASSPHRASE_BYTES} bytes`);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes).replace(/\r?\n$/, "");
  } catch {
    throw new DiskError("usage", `the passphrase file ${name} is not text in UTF-8`);
  }
}

/** At most `length` bytes, of a pipe too; a device may never end. */
async function readBeginning(path: string, length: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of createReadStream(path, { end: length - 1 })) parts.push(part as Uint8Array);
  return Buffer.concat(parts);
}

/** The name or id of a snapshot; qemu-img also takes `snapshot.id=…` and `snapshot.name=…`. */
export const snapshotName = (value: string | undefined): string | undefined => value?.replace(/^snapshot\.(id|name)=/, "");
