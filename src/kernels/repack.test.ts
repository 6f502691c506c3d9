import * as zlib from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import type { Packing } from "../core/model.ts";
import type { Encoding } from "../core/target.ts";
import { noise } from "../testing/disks.ts";
import { createCodecs } from "./codecs.ts";
import { createKernels } from "./index.ts";

const kernels = createKernels();
const codecs = createCodecs(kernels);
beforeAll(() => codecs.need("zstd"));
const UNIT = 65_536;

const DEFLATE: Encoding = { codec: "deflate", window: 4096, keep: "smaller" };
const ZLIB: Encoding = { codec: "zlib", window: 32_768, keep: "always" };
const ZSTD: Encoding = { codec: "zstd", window: 0, keep: "smaller" };

/** Noise that comes again after `distance` bytes. */
const again = (distance: number): Uint8Array => {
  const once = noise(distance, distance);
  return Uint8Array.from({ length: UNIT }, (_, i) => once[i % distance] as number);
};
const raw = (bytes: Uint8Array, windowBits = 15): Uint8Array => zlib.deflateRawSync(bytes, { windowBits });
function grain(tag: number, stream: Uint8Array): Uint8Array {
  const record = Buffer.alloc(12 + stream.length + 100);
  record.writeBigUInt64LE(BigInt(tag), 0);
  record.writeUInt32LE(stream.length, 8);
  record.set(stream, 12);
  return record;
}
/** The unit's bytes go through once, as in a block worker. */
function repack(encoding: Encoding, packing: Packing, packed: Uint8Array): Uint8Array | null {
  codecs.decode(packing, packed);
  return codecs.repack(encoding, packing, packed);
}

describe("a stream is handed on as it is", () => {
  test("to the same codec, without what follows it", () => {
    const stream = raw(again(1000), 12);
    const packed = Buffer.concat([stream, noise(300, 1)]);
    expect(repack(DEFLATE, { codec: "deflate", unpacked: UNIT }, packed)).toEqual(new Uint8Array(stream));
  });

  test.each([
    ["zlib", (bytes: Uint8Array) => zlib.deflateSync(bytes), undefined],
    ["grain", (bytes: Uint8Array) => grain(7, zlib.deflateSync(bytes)), 7],
  ] as const)("from %s to zlib, with its Adler-32", (codec, pack, tag) => {
    const bytes = again(20_000);
    const packed = pack(bytes);
    const stream = repack(ZLIB, { codec, unpacked: UNIT, ...(tag !== undefined && { tag }) }, packed);
    expect(Buffer.compare(zlib.inflateSync(stream as Uint8Array), bytes)).toBe(0);
    expect(Buffer.from(packed).includes(Buffer.from((stream as Uint8Array).subarray(2, -4)))).toBe(true);
  });

  test("zstd to zstd, without what follows the frame", () => {
    kernels.input.set(again(1000));
    const frame = new Uint8Array(codecs.encode(ZSTD, 0, UNIT) as Uint8Array);
    expect(repack(ZSTD, { codec: "zstd", unpacked: UNIT }, Buffer.concat([frame, noise(300, 1)]))).toEqual(frame);
  });
});

describe("it is packed anew", () => {
  test.each([1000, 4096])("only when it may reach farther back than the window: not for %i bytes", (distance) => {
    kernels.input.set(again(distance));
    const packed = new Uint8Array(codecs.encode(DEFLATE, 0, UNIT) as Uint8Array);
    expect(repack(DEFLATE, { codec: "deflate", unpacked: UNIT }, packed)).not.toBeNull();
  });
  test.each([4097, 20_000])("but for %i", (distance) => {
    const packed = raw(again(distance));
    expect(repack(DEFLATE, { codec: "deflate", unpacked: UNIT }, packed)).toBeNull();
  });
  test("and for fixed codes, which could reach anywhere", () => {
    const packed = zlib.deflateRawSync(again(100), { strategy: zlib.constants.Z_FIXED });
    expect(repack(DEFLATE, { codec: "deflate", unpacked: UNIT }, packed)).toBeNull();
  });
  test("when the target wants it smaller, as a part of a longer stream, or in another way", () => {
    const packed = raw(again(100), 12);
    const packing = { codec: "deflate", unpacked: UNIT } as const;
    expect(repack({ ...DEFLATE, small: true }, packing, packed)).toBeNull();
    expect(repack({ ...DEFLATE, codec: "deflate-part", window: 32_768 }, packing, packed)).toBeNull();
    expect(repack(ZSTD, packing, packed)).toBeNull();
    expect(repack(ZLIB, packing, packed)).toBeNull();
    expect(repack(DEFLATE, { codec: "fill", unpacked: UNIT }, noise(8, 1))).toBeNull();
  });
});
