/** A file that grows as it is written to, for tests that make images by hand. */
export class FileBytes {
  #bytes;
  size = 0;

  /** `endian`: "LE" or "BE", of all numbers. `expected`: bytes that it will about have. */
  constructor(endian, expected = 1 << 16) {
    this.endian = endian;
    this.#bytes = Buffer.alloc(expected);
  }

  put(at, bytes) {
    this.grow(at + bytes.length);
    this.#bytes.set(bytes, at);
  }
  text = (at, text) => this.put(at, Buffer.from(text, "latin1"));
  /** As long as `size` at least; what nobody wrote is zero. */
  grow(size) {
    if (size > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(Math.max(size, 2 * this.#bytes.length))]);
    this.size = Math.max(this.size, size);
  }
  /** Numbers of 32 bits, one behind the other. */
  u32(at, ...values) {
    this.grow(at + 4 * values.length);
    for (const [i, value] of values.entries()) this.#bytes[`writeUInt32${this.endian}`](value, at + 4 * i);
  }
  u64(at, ...values) {
    this.grow(at + 8 * values.length);
    for (const [i, value] of values.entries()) this.#bytes[`writeBigUInt64${this.endian}`](BigInt(value), at + 8 * i);
  }
  /** A view of a part, for checksums. */
  part = (at, length) => this.#bytes.subarray(at, at + length);
  get bytes() {
    return this.#bytes.subarray(0, this.size);
  }
}

/** What stands behind the end of the disk in its last block: no layer over it may show that. */
export const BEHIND_THE_END = 0xa5;

export const isZero = (bytes) => Buffer.alloc(bytes.length).equals(bytes);
