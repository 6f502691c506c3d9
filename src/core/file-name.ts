/**
 * The plain file name at the end of a name that an image states: folders, drive letters and protocol prefixes are dropped,
 * so that no path or URL from inside an image ever reaches a file system. Empty when nothing is left.
 */
export function plainName(stated: string): string {
  const last = stated.split(/[/\\]/).pop() as string;
  return last === "." || last === ".." ? "" : last;
}
