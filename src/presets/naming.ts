import type { Naming } from "./model.ts";

/** Characters of a name that keep it below the 255 bytes of most file systems, whatever they are and whatever is added to it. */
const MOST_CHARACTERS = 60;
const OTHERWISE = "disk";

/** For targets that take ASCII only. `letters`: a class of a regular expression; what is outside of it becomes one hyphen. */
export function plainStem(stem: string, letters: string, most: number): string {
  const withoutMarks = stem.normalize("NFKD").replace(/\p{M}+/gu, "");
  return trimmed(withoutMarks.replace(new RegExp(`[^${letters}]+`, "g"), "-").slice(0, most));
}

/** For targets that take any letters: what file systems forbid, or what does not print, becomes one hyphen. */
export function anyStem(stem: string): string {
  const printable = stem.replace(/[<>:"/\\|?*\p{C}\p{Z}]+/gu, (found) => (/^ +$/.test(found) ? " " : "-"));
  return trimmed([...printable].slice(0, MOST_CHARACTERS).join(""));
}

const trimmed = (stem: string): string => stem.replace(/^[-._ ]+|[-._ ]+$/g, "") || OTHERWISE;

/** File names that end so, whatever stands before. */
export const ending = (...extensions: readonly string[]): Naming => ({
  pattern: new RegExp(`^[^/\\\\]+\\.(${extensions.map((extension) => extension.replaceAll(".", "\\.")).join("|")})$`, "i"),
  says: `names that end with .${extensions.join(" or .")}`,
});

/** The name without its last extension. */
export const stemOf = (fileName: string): string => fileName.replace(/(?:\.tar)?\.[^.]+$/, "");

/** One word for a POSIX shell. */
export const shellWord = (text: string): string => (/^[\w.+=@%,:/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** One string for PowerShell, which takes typographic quotation marks for plain ones. */
export const powerShellWord = (text: string): string => `'${text.replace(/['‘’‚‛]/g, "$&$&")}'`;
