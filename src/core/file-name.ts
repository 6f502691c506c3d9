/**
 * The plain file name at the end of a name that an image states: everything up to the last slash or backslash is dropped, so
 * that no path or URL from inside an image ever reaches a file system. Empty when nothing is left.
 */
export function plainName(stated: string): string {
  const last = stated.split(/[/\\]/).pop() as string;
  return last === "." || last === ".." ? "" : last;
}

/** Whether a file is named like the first part of a split disk: `x.001`, `x.aa`. */
export const isFirstPart = (name: string): boolean => /\.(0{2,4}[01]|a{2,4})$/.test(name);
