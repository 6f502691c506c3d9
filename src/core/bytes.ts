import { DiskError } from "./errors.ts";
import type { ByteSource } from "./model.ts";

/** Every ByteSource calls this first: a range that is not wholly inside the file is damage, not zeros. */
export function checkRange(source: { readonly name: string; readonly size: number }, at: number, length: number): void {
  if (!Number.isSafeInteger(at) || !Number.isSafeInteger(length) || at < 0 || length < 0)
    throw new DiskError("corrupt", `${source.name}: bytes ${at}+${length} cannot be a place in a file`, { file: source.name, at });
  if (at + length > source.size)
    throw new DiskError(
      "corrupt",
      `${source.name} ends at byte ${source.size}, but bytes ${at} to ${at + length} are needed: the file is truncated or damaged`,
      { file: source.name, at },
    );
}

/** A source over bytes in memory. */
export function memorySource(name: string, data: Uint8Array): ByteSource {
  return {
    name,
    size: data.length,
    origin: null,
    async read(at, length) {
      checkRange(this, at, length);
      return new Uint8Array(data.subarray(at, at + length));
    },
  };
}

/** `length` bytes of `base` at `at` as a source of its own. */
export function sliceSource(base: ByteSource, at: number, length: number, name = base.name): ByteSource {
  checkRange(base, at, length);
  return {
    name,
    size: length,
    origin: base.origin && { handle: base.origin.handle, at: base.origin.at + at },
    async read(start, count, signal) {
      checkRange(this, start, count);
      return base.read(at + start, count, signal);
    },
  };
}
