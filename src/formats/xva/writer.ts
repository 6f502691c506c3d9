import { TAR_END_BYTES, tarHeader, tarPadding } from "../../archives/tar-writer.ts";
import { hexText } from "../../core/hex.ts";
import type { Compute } from "../../core/ports.ts";
import type { ImageWriter, TargetSpec, Write } from "../../core/target.ts";
import { CHUNK, DESCRIPTOR } from "./spec.ts";
import { DISK_ID, describeMachine } from "./virtual-machine.ts";

/** The archive in one pass: the descriptor, then chunk after chunk with its SHA-1. Chunks of zeros are left out, but for the first and the last. */
export function createXva(spec: TargetSpec, compute: Compute): ImageWriter {
  const lastChunk = Math.ceil(spec.size / CHUNK) - 1;
  let place = 0;
  /** Chunks up to here are written or left out. */
  let next = 0;
  const append = (bytes: Uint8Array): Write => {
    const write = { file: 0, at: place, bytes };
    place += bytes.length;
    return write;
  };
  function* member(name: string, bytes: Uint8Array): Generator<Write> {
    yield append(tarHeader(name, bytes.length));
    yield append(bytes);
    const padding = tarPadding(bytes.length);
    if (padding > 0) yield append(new Uint8Array(padding));
  }
  function* begin(): Generator<Write> {
    if (place > 0) return;
    const name = spec.name.replace(/\.xva$/i, "");
    yield* member(
      DESCRIPTOR,
      new TextEncoder().encode(describeMachine({ name, diskSize: spec.size, uuids: uuidsOf(spec.identity, compute) })),
    );
  }
  function* chunk(number: number, bytes: Uint8Array): Generator<Write> {
    const name = `${DISK_ID}/${String(number).padStart(8, "0")}`;
    yield* member(name, bytes);
    const hash = compute.hash("sha1");
    hash.update(bytes);
    yield* member(`${name}.checksum`, new TextEncoder().encode(hexText(hash.digest())));
  }
  const zeros = (number: number): Uint8Array => new Uint8Array(Math.min(CHUNK, spec.size - number * CHUNK));
  return {
    unit: CHUNK,
    files: [spec.name],
    encoding: null,
    sequential: true,
    *put(index, block) {
      yield* begin();
      if (next === 0 && index > 0) yield* chunk(0, zeros(0));
      next = index + 1;
      yield* chunk(index, block.bytes.subarray(0, Math.min(CHUNK, spec.size - index * CHUNK)));
    },
    end() {
      const sizes = [0];
      function* writes(): Generator<Write> {
        yield* begin();
        if (next === 0) yield* chunk(0, zeros(0));
        if (Math.max(next, 1) <= lastChunk) yield* chunk(lastChunk, zeros(lastChunk));
        yield append(new Uint8Array(TAR_END_BYTES));
        sizes[0] = place;
      }
      return { writes: writes(), sizes };
    },
  };
}

/** Four UUIDs (RFC 9562, version 8: made by the writer's own rule) from the disk's identity. */
function uuidsOf(identity: Uint8Array, compute: Compute): [string, string, string, string] {
  const uuid = (number: number): string => {
    const hash = compute.hash("sha256");
    hash.update(identity);
    hash.update(Uint8Array.of(number));
    const bytes = hash.digest().slice(0, 16);
    bytes[6] = ((bytes[6] as number) & 0x0f) | 0x80;
    bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
    return hexText(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  };
  return [uuid(1), uuid(2), uuid(3), uuid(4)];
}
