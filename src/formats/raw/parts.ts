import { DiskError } from "../../core/errors.ts";
import type { ByteSource, ResolveFile } from "../../core/model.ts";

const MOST_PARTS = 10_000;

/** Name of the part behind `name`: `x.001` → `x.002`, `x.aa` → `x.ab`; null when there is none. */
function nextName(name: string): string | null {
  const match = /^(.*\.)(\d{3,5}|[a-z]{2,4})$/.exec(name);
  if (match === null) return null;
  const [, stem = "", ending = ""] = match;
  if (/\d/.test(ending)) {
    const next = String(Number(ending) + 1).padStart(ending.length, "0");
    return next.length > ending.length ? null : stem + next;
  }
  const letters = [...ending];
  for (let i = letters.length - 1; i >= 0; i--) {
    if (letters[i] !== "z") {
      letters[i] = String.fromCharCode((letters[i] as string).charCodeAt(0) + 1);
      return stem + letters.join("");
    }
    letters[i] = "a";
  }
  return null;
}

/** The parts of a split disk from its first one on, as far as they were given: their bytes follow one another. */
export async function findParts(first: ByteSource, resolve: ResolveFile): Promise<readonly ByteSource[]> {
  const parts = [first];
  for (let name = nextName(first.name); name !== null; name = nextName(name)) {
    const part = await resolve({ role: "extent", name, id: null, format: null });
    if (part === null) return parts;
    if (parts.length === MOST_PARTS) throw new DiskError("limit", `${first.name}: more than ${MOST_PARTS} parts`, { file: first.name });
    parts.push(part);
  }
  return parts;
}
