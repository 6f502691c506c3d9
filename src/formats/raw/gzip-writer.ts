import { TAR_END_BYTES, tarHeader, tarPadding } from "../../archives/tar-writer.ts";
import { combineCrc32 } from "../../core/crc32-algebra.ts";
import type { Compute } from "../../core/ports.ts";
import type { Block, ImageWriter, TargetSpec, Write } from "../../core/target.ts";
import { deflateZeros } from "./zero-stream.ts";

const UNIT = 1 << 20;
const SUM_BYTES = 4;
/** RFC 1952 §2.3: deflate, no flags, no time, unknown system. */
const HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255);
/** RFC 1951: a last block with the fixed code that holds nothing. */
const LAST_BLOCK = Uint8Array.of(3, 0);

/**
 * One gzip member (RFC 1952) of many units that workers packed alone: DEFLATE blocks may follow one another, and the CRC of the
 * whole follows from theirs. `wrap` tar: the disk is the file `disk.raw` of an old-GNU tar archive, as Google's cloud wants it.
 */
export function createGzip(spec: TargetSpec, compute: Compute, wrap: "none" | "tar"): ImageWriter {
  let place = 0;
  let total = 0;
  let sum = 0;
  /** Units already in the stream. */
  let next = 0;
  const zeros = new Map<number, { readonly bytes: Uint8Array; readonly crc: number }>();

  const append = (bytes: Uint8Array): Write => {
    const write = { file: 0, at: place, bytes };
    place += bytes.length;
    return write;
  };
  const count = (length: number, crc: number): void => {
    sum = combineCrc32(sum, crc, length);
    total += length;
  };
  const appendZeros = (length: number): Write => {
    let made = zeros.get(length);
    if (made === undefined) {
      made = { bytes: deflateZeros(length), crc: compute.crc32(new Uint8Array(length)) };
      zeros.set(length, made);
    }
    count(length, made.crc);
    return append(made.bytes);
  };
  const appendStored = (bytes: Uint8Array): Write => {
    count(bytes.length, compute.crc32(bytes));
    const out = new Uint8Array(5 + bytes.length);
    new DataView(out.buffer).setUint16(1, bytes.length, true);
    new DataView(out.buffer).setUint16(3, ~bytes.length & 0xffff, true);
    out.set(bytes, 5);
    return append(out);
  };
  const unitBytes = (index: number): number => Math.min(UNIT, spec.size - index * UNIT);
  function* begin(): Generator<Write> {
    if (place > 0) return;
    yield append(HEADER);
    if (wrap === "tar") yield appendStored(tarHeader("disk.raw", spec.size, "gnu"));
  }
  function* upTo(index: number): Generator<Write> {
    yield* begin();
    for (; next < index; next++) yield appendZeros(unitBytes(next));
  }
  return {
    unit: UNIT,
    files: [spec.name],
    encoding: { codec: "deflate-part", window: 32_768, keep: "always", cut: true },
    sequential: true,
    *put(index: number, block: Block) {
      yield* upTo(index);
      const length = unitBytes(index);
      const parts = block.bytes.length - SUM_BYTES;
      const crc = new DataView(block.bytes.buffer, block.bytes.byteOffset + parts, SUM_BYTES).getUint32(0, true);
      count(length, crc);
      next = index + 1;
      yield append(block.bytes.subarray(0, parts));
    },
    end() {
      const sizes = [0];
      function* writes(): Generator<Write> {
        yield* upTo(Math.ceil(spec.size / UNIT));
        if (wrap === "tar") yield appendZeros(tarPadding(spec.size) + TAR_END_BYTES);
        const trailer = new Uint8Array(LAST_BLOCK.length + 8);
        trailer.set(LAST_BLOCK);
        const view = new DataView(trailer.buffer, LAST_BLOCK.length);
        view.setUint32(0, sum, true);
        view.setUint32(4, total % 2 ** 32, true);
        yield append(trailer);
        sizes[0] = place;
      }
      return { writes: writes(), sizes };
    },
  };
}
