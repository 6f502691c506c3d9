import { DiskError } from "../../core/errors.ts";
import { asciiAt } from "./spec.ts";

/** A resource of the wanted type; `at` is its place in the fork. */
export interface Resource {
  readonly id: number;
  readonly at: number;
  readonly bytes: Uint8Array;
}

const HEADER_BYTES = 16;
const MAP_BYTES = 28;
const TYPE_BYTES = 8;
const REFERENCE_BYTES = 12;

/**
 * The resources of one type in a classic resource fork ("Inside Macintosh: More Macintosh Toolbox", chapter 1, "Resource File Format"):
 * a header, the data, each after its length, and a map of types, each with a list of references. Images made before property lists
 * have their block tables there.
 */
export function readResources(fork: Uint8Array, type: string, file: string, place: number): readonly Resource[] {
  const view = new DataView(fork.buffer, fork.byteOffset, fork.length);
  const inside = (at: number, length: number, what: string): number => {
    if (at + length <= fork.length) return at;
    throw new DiskError("corrupt", `dmg: resource fork: ${what} ends past the fork's ${fork.length} bytes`, { file, at: place + at });
  };
  inside(0, HEADER_BYTES, "the header");
  const dataAt = view.getUint32(0);
  const map = inside(view.getUint32(4), MAP_BYTES, "the map");
  const types = inside(map + view.getUint16(map + 24), 2, "the type list");
  const typeCount = (view.getUint16(types) + 1) & 0xffff;
  const found: Resource[] = [];
  for (let i = 0; i < typeCount; i++) {
    const entry = inside(types + 2 + i * TYPE_BYTES, TYPE_BYTES, "the type list");
    if (asciiAt(fork, entry, 4) !== type) continue;
    const count = view.getUint16(entry + 4) + 1;
    const references = inside(types + view.getUint16(entry + 6), count * REFERENCE_BYTES, "a reference list");
    for (let k = 0; k < count; k++) {
      const reference = references + k * REFERENCE_BYTES;
      const at = inside(dataAt + (view.getUint32(reference + 4) & 0xffffff), 4, "a resource");
      const length = view.getUint32(at);
      found.push({ id: view.getInt16(reference), at: at + 4, bytes: fork.subarray(at + 4, inside(at + 4, length, "a resource") + length) });
    }
  }
  return found;
}
