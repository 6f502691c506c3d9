import type { ByteSource } from "../core/model.ts";

/** The same file, counting the bytes that are read of it. */
export function countingSource(file: ByteSource): ByteSource & { readonly bytesRead: number } {
  let bytesRead = 0;
  return {
    name: file.name,
    size: file.size,
    origin: null,
    get bytesRead() {
      return bytesRead;
    },
    read(at, length) {
      bytesRead += length;
      return file.read(at, length);
    },
  };
}
