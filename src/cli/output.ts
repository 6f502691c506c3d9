import { DiskError } from "../core/errors.ts";
import type { Arguments, OptionSpec } from "./arguments.ts";

export const OUTPUT: OptionSpec = {
  names: ["--output"],
  kind: "value",
  value: "human|json",
  choices: ["human", "json"],
  help: "how the result is printed",
};
export const PROGRESS: OptionSpec = { names: ["-p", "--progress"], kind: "flag", help: "print how far the work is" };

export const isJson = (given: Arguments): boolean => given.value("output") === "json";

/** Standard output carries either progress or JSON. */
export const showsProgress = (given: Arguments): boolean => given.has("progress") && !isJson(given);

export function printJson(value: unknown): void {
  // JSON leaves the C1 controls as they are, and names from inside an image must not steer the terminal.
  const text = JSON.stringify(value, null, 4).replaceAll(/[\u007f-\u009f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
  process.stdout.write(`${text}\n`);
}

export function printLine(line = ""): void {
  process.stdout.write(`${plainText(line)}\n`);
}

/** Text of several lines that holds nothing from inside an image. */
export function printText(text: string): void {
  process.stdout.write(text);
}

export function printRemark(line: string): void {
  process.stderr.write(`spindle: ${plainText(line)}\n`);
}

/** Names from inside an image must not steer the terminal. */
export const plainText = (line: string): string => line.replaceAll(/\p{Cc}+/gu, " ");

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Three significant digits, as qemu-img prints sizes: `1.5 GiB`. */
export function humanSize(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10));
  return `${Number((bytes / 1024 ** power).toPrecision(3))} ${UNITS[power]}`;
}

/** `64k`, `1.5G`, plain bytes. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([bkmgtp]?)$/i.exec(text);
  const bytes =
    match === null ? Number.NaN : Number(match[1]) * 1024 ** Math.max(0, "bkmgtp".indexOf((match[2] as string).toLowerCase() || "b"));
  if (!Number.isSafeInteger(bytes)) throw new DiskError("usage", `“${text}” is not a size`);
  return bytes;
}
