import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { checkRange } from "../core/bytes.ts";
import type { ByteSource, Range } from "../core/model.ts";

const PAGE = 1 << 16;

/** A file in memory in which only written pages take room, so that outputs of many tebibytes can be tested. */
export class SparseFile implements ByteSource {
  readonly name: string;
  readonly origin = null;
  size = 0;
  private readonly pages = new Map<number, Uint8Array>();

  constructor(name: string) {
    this.name = name;
  }

  /** Grows the file as needed; the bytes are copied. */
  write(at: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const page = Math.floor((at + done) / PAGE);
      const within = (at + done) % PAGE;
      const part = bytes.subarray(done, done + PAGE - within);
      const target = this.pages.get(page) ?? new Uint8Array(PAGE);
      target.set(part, within);
      this.pages.set(page, target);
      done += part.length;
    }
    this.size = Math.max(this.size, at + bytes.length);
  }

  /** Cuts what lies past `size`, as ftruncate does. */
  truncate(size: number): void {
    for (const [page, bytes] of this.pages) {
      if (page * PAGE >= size) this.pages.delete(page);
      else if ((page + 1) * PAGE > size) bytes.fill(0, size - page * PAGE);
    }
    this.size = size;
  }

  async read(at: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    checkRange(this, at, length);
    const out = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const within = (at + done) % PAGE;
      const part = Math.min(PAGE - within, length - done);
      const page = this.pages.get(Math.floor((at + done) / PAGE));
      if (page !== undefined) out.set(page.subarray(within, within + part), done);
      done += part;
    }
    return out;
  }

  *dataRanges(at: number, length: number): Generator<Range> {
    const end = Math.min(at + length, this.size);
    for (const page of [...this.pages.keys()].sort((a, b) => a - b)) {
      const start = Math.max(page * PAGE, at);
      const stop = Math.min((page + 1) * PAGE, end);
      if (start < stop) yield { start, length: stop - start };
    }
  }

  /** Bytes of the pages that were written. */
  get allocated(): number {
    return this.pages.size * PAGE;
  }

  copy(name = this.name): SparseFile {
    const other = new SparseFile(name);
    for (const [page, bytes] of this.pages) other.pages.set(page, bytes.slice());
    other.size = this.size;
    return other;
  }

  /** Writes it as a (sparse) file of the file system. */
  save(path: string): void {
    const handle = openSync(path, "w");
    try {
      ftruncateSync(handle, this.size);
      for (const [page, bytes] of this.pages)
        if (bytes.some((byte) => byte !== 0)) writeSync(handle, bytes, 0, Math.min(PAGE, this.size - page * PAGE), page * PAGE);
    } finally {
      closeSync(handle);
    }
  }
}
