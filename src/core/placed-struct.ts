import { DiskError } from "./errors.ts";
import type { Struct } from "./struct.ts";

/** Reads a structure from bytes that lie at `at` of a file: a number that no file can have is told with the file's name and its place there. */
export function readPlaced<V>(layout: Struct<V>, bytes: Uint8Array, file: { readonly name: string }, at: number, format: string): V {
  try {
    return layout.read(bytes);
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    throw new DiskError("corrupt", `${file.name}: ${format}: ${error.message}`, { file: file.name, at: at + (error.at ?? 0) });
  }
}
