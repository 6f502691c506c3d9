import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { basename } from "node:path";
import { checkRange } from "../core/bytes.ts";
import type { ByteSource } from "../core/model.ts";

/** A file of the file system as a source for tests; `close` it (or `using` it) when done. */
export function openFileSource(path: string): ByteSource & { close(): void; [Symbol.dispose](): void } {
  const handle = openSync(path, "r");
  const close = () => closeSync(handle);
  return {
    name: basename(path),
    size: fstatSync(handle).size,
    origin: null,
    async read(at, length) {
      checkRange(this, at, length);
      const out = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const got = readSync(handle, out, done, length - done, at + done);
        if (got === 0) throw new Error(`${path} became shorter while it was read`);
        done += got;
      }
      return out;
    },
    close,
    [Symbol.dispose]: close,
  };
}
