import { DiskError } from "../core/errors.ts";
import type { Range } from "../core/model.ts";
import type { DiskHash, Hasher } from "../core/ports.ts";
import { HASH_BYTES, type Kernels, PIECE_BYTES, ZERO_BYTES_LIMIT } from "./index.ts";

const CHUNK_BYTES = 1024;
export function createHasher(kernels: Kernels): Hasher {
  return { digest: (message) => kernels.blake3Digest(message).slice(), disk: (size) => new PieceTree(kernels, size) };
}

/**
 * What `DiskHash.add` wants to know of `kernels.input[at..at + length)`, which lies at `position` of a disk of `diskSize` bytes
 * (`position` a multiple of 64 KiB): 32 bytes for each 64 KiB, valid until the next call of the kernels.
 * The chaining value of each piece — except on a disk of at most 64 KiB: its only piece is the root of the tree, and the
 * digest of a root does not follow from a chaining value. There it is the plain BLAKE3 of the disk.
 */
export function pieceHashes(kernels: Kernels, at: number, length: number, position: number, diskSize: number): Uint8Array {
  if (diskSize <= PIECE_BYTES) return kernels.blake3Digest(kernels.input.subarray(at, at + length));
  return kernels.blake3Pieces(at, length, position / CHUNK_BYTES);
}

/** The same for zeros, which need not be anywhere: of every range, one behind the other. */
export function zeroHashes(kernels: Kernels, ranges: readonly Range[], diskSize: number): Uint8Array<ArrayBuffer> {
  const pieces = ranges.reduce((sum, { length }) => sum + Math.ceil(length / PIECE_BYTES), 0);
  const hashes = new Uint8Array(pieces * HASH_BYTES);
  let done = 0;
  for (const { start, length } of ranges)
    for (let at = 0; at < length; at += ZERO_BYTES_LIMIT) {
      const part = Math.min(ZERO_BYTES_LIMIT, length - at);
      const own =
        diskSize <= PIECE_BYTES ? kernels.blake3Digest(new Uint8Array(part)) : kernels.blake3ZeroPieces(part, (start + at) / CHUNK_BYTES);
      hashes.set(own, done);
      done += own.length;
    }
  return hashes;
}

/** A whole subtree. Numbers count pieces. */
interface Subtree {
  readonly first: number;
  readonly count: number;
  readonly hash: Uint8Array;
}
/** Zeros that wait to be hashed, and the subtrees between them and the next gap. */
interface Gap {
  first: number;
  count: number;
  readonly after: Subtree[];
}

/**
 * BLAKE3's tree (section 2.1 of its paper) over the pieces of a disk, as a list of neighbouring subtrees that join as soon as
 * they can. Gaps are filled from the front. Memory: O(log n) for the hashed part, and for what follows each gap that waits.
 */
class PieceTree implements DiskHash {
  readonly #kernels: Kernels;
  readonly #size: number;
  readonly #pieces: number;
  /** Contiguous from 0 to the first gap, or to `#next`. */
  readonly #front: Subtree[] = [];
  readonly #gaps: Gap[] = [];
  /** First piece that nothing is known of. */
  #next = 0;
  #ended = false;
  readonly #pair = new Uint8Array(2 * HASH_BYTES);

  constructor(kernels: Kernels, size: number) {
    if (!Number.isSafeInteger(size) || size < 1) throw new DiskError("limit", `hash: a disk of ${size} bytes, expected at least 1`);
    this.#kernels = kernels;
    this.#size = size;
    this.#pieces = Math.ceil(size / PIECE_BYTES);
  }

  add(at: number, pieceHash: Uint8Array): void {
    const piece = at / PIECE_BYTES;
    if (!Number.isInteger(piece) || piece < this.#next || piece >= this.#pieces || this.#ended)
      throw new DiskError("usage", `hash: the piece at byte ${at} is out of order`);
    this.#leaveGap(piece);
    const list = this.#gaps.at(-1)?.after ?? this.#front;
    this.#join(list, { first: piece, count: 1, hash: pieceHash.slice(0, HASH_BYTES) });
    this.#next = piece + 1;
  }

  end(): void {
    this.#leaveGap(this.#pieces);
    this.#next = this.#pieces;
    this.#ended = true;
  }

  get gaps(): Range[] {
    return this.#gaps.map(({ first, count }) => {
      const start = first * PIECE_BYTES;
      return { start, length: Math.min(count * PIECE_BYTES, this.#size - start) };
    });
  }

  fill(hashes: Uint8Array): void {
    for (let at = 0; at < hashes.length; at += HASH_BYTES) {
      const gap = this.#gaps[0];
      if (gap === undefined) throw new DiskError("usage", "hash: more zeros than wait");
      this.#join(this.#front, { first: gap.first++, count: 1, hash: hashes.slice(at, at + HASH_BYTES) });
      if (--gap.count > 0) continue;
      this.#gaps.shift();
      for (const subtree of gap.after) this.#join(this.#front, subtree);
    }
  }

  finish(): Uint8Array {
    if (!this.#ended || this.#gaps.length > 0) throw new DiskError("usage", "hash: asked for before the end of the disk");
    const subtrees = [...this.#front];
    let right = (subtrees.pop() as Subtree).hash;
    for (let left = subtrees.pop(); left !== undefined; left = subtrees.pop()) {
      this.#pair.set(left.hash);
      this.#pair.set(right, HASH_BYTES);
      right = subtrees.length === 0 ? this.#kernels.blake3Root(this.#pair).slice() : this.#kernels.blake3Parent(this.#pair).slice();
    }
    return right;
  }

  #leaveGap(end: number): void {
    if (end > this.#next) this.#gaps.push({ first: this.#next, count: end - this.#next, after: [] });
  }

  /** Appends a subtree; two of one size that make up an aligned one of twice the size join, but never into the root. */
  #join(list: Subtree[], subtree: Subtree): void {
    let top = subtree;
    for (let left = list.at(-1); left !== undefined; left = list.at(-1)) {
      const siblings = left.count === top.count && left.first % (2 * top.count) === 0;
      if (!siblings || 2 * top.count === this.#pieces) break;
      list.pop();
      this.#pair.set(left.hash);
      this.#pair.set(top.hash, HASH_BYTES);
      top = { first: left.first, count: 2 * top.count, hash: this.#kernels.blake3Parent(this.#pair).slice() };
    }
    list.push(top);
  }
}
