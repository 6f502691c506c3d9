import type { Naming } from "./model.ts";

/** `letters`: a class of a regular expression. What is outside of it becomes one hyphen, and none stands at either end. */
export function plainStem(stem: string, letters: string, most: number, otherwise = "disk"): string {
  const plain = stem
    .normalize("NFKD")
    .replace(/\p{M}+/gu, "")
    .replace(new RegExp(`[^${letters}]+`, "g"), "-")
    .slice(0, most)
    .replace(/^[-._]+|[-._]+$/g, "");
  return plain === "" ? otherwise : plain;
}

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
