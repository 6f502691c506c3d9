import type { ImageWriter } from "../core/target.ts";
import { SparseFile } from "./sparse-file.ts";

/** Carries out what a writer of a layer writes for these units, ascending; null: zeros whatever the base holds. Its first file. */
export function writeLayer(writer: ImageWriter, units: readonly (readonly [index: number, bytes: Uint8Array | null])[]): SparseFile {
  const files = writer.files.map((name) => new SparseFile(name));
  for (const [index, bytes] of units)
    for (const write of bytes === null ? writer.putZero!(index) : writer.put(index, { kind: "data", bytes }))
      files[write.file]!.write(write.at, write.bytes);
  const { writes, sizes } = writer.end();
  for (const write of writes) files[write.file]!.write(write.at, write.bytes);
  files.forEach((file, i) => void file.truncate(sizes[i] as number));
  return files[0] as SparseFile;
}
