import { DiskError } from "../core/errors.ts";
import type { ByteSource } from "../core/model.ts";

// References
// - POSIX.1-2017, pax: "ustar Interchange Format"
// - GNU tar manual, "Basic Tar Format" (base-256 numbers)

export const BLOCK = 512;
/** Headers are read through a window of this size, as most members of a large archive are small. */
const WINDOW = 1 << 16;

export interface Header {
  readonly name: string;
  readonly size: number;
  readonly type: string;
  readonly block: Uint8Array;
}

export function readHeader(file: ByteSource, block: Uint8Array, at: number): Header {
  const stated = readNumber(file, block, 148, 8, at, "chksum");
  let sum = 8 * 32;
  for (let i = 0; i < BLOCK; i++) if (i < 148 || i >= 156) sum += block[i] as number;
  if (stated !== sum)
    throw new DiskError("corrupt", `${file.name}: tar: chksum is ${stated}, but the header gives ${sum}`, {
      file: file.name,
      at: at + 148,
    });
  const prefix = text(block, 257, 6) === "ustar" ? text(block, 345, 155) : "";
  const name = (prefix === "" ? "" : `${prefix}/`) + text(block, 0, 100);
  return { name, size: readNumber(file, block, 124, 12, at, "size"), type: String.fromCharCode(block[156] as number), block };
}

/** Octal digits, or base 256 when the first bit is set. */
export function readNumber(file: ByteSource, block: Uint8Array, from: number, length: number, at: number, field: string): number {
  const first = block[from] as number;
  let value = 0;
  if ((first & 0x80) !== 0) {
    if (first !== 0x80)
      throw new DiskError("corrupt", `${file.name}: tar: ${field} is negative or too large`, { file: file.name, at: at + from });
    for (let i = from + 1; i < from + length; i++) value = value * 256 + (block[i] as number);
  } else {
    const digits = text(block, from, length).trim();
    if (!/^[0-7]*$/.test(digits))
      throw new DiskError("corrupt", `${file.name}: tar: ${field} is “${digits}”, expected octal digits`, {
        file: file.name,
        at: at + from,
      });
    value = digits === "" ? 0 : Number.parseInt(digits, 8);
  }
  if (Number.isSafeInteger(value)) return value;
  throw new DiskError("corrupt", `${file.name}: tar: ${field} is past 2^53`, { file: file.name, at: at + from });
}

/** Blocks of headers, through a window. */
export class BlockReader {
  readonly #file: ByteSource;
  #window: Uint8Array = new Uint8Array(0);
  #start = 0;

  constructor(file: ByteSource) {
    this.#file = file;
  }

  async read(at: number): Promise<Uint8Array> {
    if (at < this.#start || at + BLOCK > this.#start + this.#window.length) {
      this.#window = await this.#file.read(at, Math.max(BLOCK, Math.min(WINDOW, this.#file.size - at)));
      this.#start = at;
    }
    return this.#window.subarray(at - this.#start, at - this.#start + BLOCK);
  }
}

export const utf8 = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
export const cString = (bytes: Uint8Array): string => utf8(bytes.subarray(0, (bytes.indexOf(0) + bytes.length + 1) % (bytes.length + 1)));
export const text = (block: Uint8Array, from: number, length: number): string => cString(block.subarray(from, from + length));
