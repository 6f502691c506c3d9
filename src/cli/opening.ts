import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { DiskError } from "../core/errors.ts";
import type { OpenContext } from "../core/model.ts";
import { reasonOf } from "../platform/node/file-source.ts";
import type { Arguments, OptionSpec } from "./arguments.ts";

/** Options of every verb that opens images. */
export const OPENING = {
  member: { names: ["--member"], kind: "value" },
  anySize: { names: ["--any-size"], kind: "flag" },
  passphraseFile: { names: ["--passphrase-file"], kind: "value" },
} as const satisfies Readonly<Record<string, OptionSpec>>;

export const OPENING_USAGE = "[--member NAME] [--any-size] [--passphrase-file FILE]";

/** What the user said about opening an image. */
export type Opening = Pick<OpenContext, "snapshot" | "member" | "anySize" | "passphrase">;

export async function readOpening(given: Arguments): Promise<Opening> {
  const path = given.value("passphraseFile");
  return {
    member: given.value("member"),
    anySize: given.has("anySize"),
    passphrase: path === undefined ? undefined : await readPassphrase(path),
  };
}

const MOST_PASSPHRASE_BYTES = 8192;

/** The file's text without the line end that editors put behind it. */
async function readPassphrase(path: string): Promise<string> {
  const name = basename(path);
  const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw new DiskError("io", `the passphrase file ${name} cannot be read: ${reasonOf(cause)}`, { file: name, cause });
  });
  if (bytes.length > MOST_PASSPHRASE_BYTES)
    throw new DiskError("usage", `the passphrase file ${name} has ${bytes.length} bytes, expected at most ${MOST_PASSPHRASE_BYTES}`);
  return bytes.toString("utf8").replace(/\r?\n$/, "");
}
