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

export const totalLength = (parts: readonly { readonly length: number }[]): number => parts.reduce((sum, { length }) => sum + length, 0);

/** The parts one behind the other: in new memory, or at the front of `room`. */
export function joined(parts: readonly Uint8Array[], room = new Uint8Array(totalLength(parts))): Uint8Array<ArrayBuffer> {
  let at = 0;
  for (const part of parts) {
    room.set(part, at);
    at += part.length;
  }
  return room.subarray(0, at);
}

/** Whether `bytes[from..end)` are all zero: eight words at once, which JavaScript does at memory speed. */
export function isZero(bytes: Uint8Array, from: number, end: number): boolean {
  if (bytes[from] !== 0 && from < end) return false;
  const start = bytes.byteOffset + from;
  const aligned = start % 4 === 0 ? Math.floor((end - from) / 32) * 32 : 0;
  const words = new Int32Array(bytes.buffer, aligned === 0 ? 0 : start, aligned / 4) as { readonly [index: number]: number };
  for (let i = 0; i < aligned / 4; i += 8) {
    const some = words[i]! | words[i + 1]! | words[i + 2]! | words[i + 3]! | words[i + 4]! | words[i + 5]! | words[i + 6]! | words[i + 7]!;
    if (some !== 0) return false;
  }
  for (let i = from + aligned; i < end; i++) if (bytes[i] !== 0) return false;
  return true;
}
