import { hexText } from "../core/hex.ts";

/** Bytes `at..at+length` of the disk; only asked for what lies inside it. */
export type ReadBytes = (at: number, length: number) => Promise<Uint8Array>;

const PAGE = 4096;

/** A volume's bytes in pages of 4 KiB, each read once. Places count from the start of the volume. */
export class Window {
  private readonly read: ReadBytes;
  private readonly start: number;
  private readonly length: number;
  private readonly pages = new Map<number, Promise<Uint8Array>>();

  constructor(read: ReadBytes, start: number, length: number) {
    this.read = read;
    this.start = start;
    this.length = length;
  }

  /** Null when the range is not wholly inside the volume. */
  async bytes(at: number, length: number): Promise<Uint8Array | null> {
    if (!Number.isSafeInteger(at) || at < 0 || at + length > this.length) return null;
    const out = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const page = Math.floor((at + done) / PAGE);
      const within = (at + done) % PAGE;
      const part = (await this.page(page)).subarray(within, within + length - done);
      out.set(part, done);
      done += part.length;
    }
    return out;
  }

  private page(number: number): Promise<Uint8Array> {
    const at = number * PAGE;
    const page = this.pages.get(number) ?? this.read(this.start + at, Math.min(PAGE, this.length - at));
    this.pages.set(number, page);
    return page;
  }
}

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Text up to the first NUL, trailing blanks cut. */
export function text(bytes: Uint8Array, encoding = "utf-8"): string {
  const [head = ""] = new TextDecoder(encoding).decode(bytes).split("\0", 1);
  return head.trimEnd();
}

/** A little-endian serial number as Windows and blkid show it: the high byte first. */
export const serial = (bytes: Uint8Array): string => hexText(bytes.toReversed()).toUpperCase();
