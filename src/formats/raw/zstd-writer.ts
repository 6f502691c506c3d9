import type { Block, ImageWriter, TargetSpec, Write } from "../../core/target.ts";
import { zstdZeros } from "./zero-stream.ts";

const UNIT = 1 << 20;
const MOST_ZEROS = 8 << 20;

/** Zstandard frames one after another (RFC 8878 §3.1), one for each unit and one for each 8 MiB of zeros: every frame has its checksum and can be unpacked alone. */
export function createZstd(spec: TargetSpec): ImageWriter {
  let place = 0;
  /** Bytes of the disk that are in the file. */
  let done = 0;
  /** Frames of zeros by their length. */
  const zeros = new Map<number, Uint8Array<ArrayBuffer>>();
  const append = (bytes: Uint8Array): Write => {
    const write = { file: 0, at: place, bytes };
    place += bytes.length;
    return write;
  };
  function* upTo(end: number): Generator<Write> {
    while (done < end) {
      const length = Math.min(MOST_ZEROS, end - done);
      done += length;
      const frame = zeros.get(length) ?? zstdZeros(length);
      zeros.set(length, frame);
      yield append(frame);
    }
  }
  return {
    unit: UNIT,
    files: [spec.name],
    encoding: { codec: "zstd", window: 0, keep: "always", cut: true },
    sequential: true,
    *put(index: number, block: Block) {
      yield* upTo(index * UNIT);
      done = Math.min(spec.size, (index + 1) * UNIT);
      yield append(block.bytes);
    },
    end() {
      const sizes = [0];
      function* writes(): Generator<Write> {
        yield* upTo(spec.size);
        sizes[0] = place;
      }
      return { writes: writes(), sizes };
    },
  };
}
