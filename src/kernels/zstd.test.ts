import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { DiskError } from "../core/errors.ts";
import { createCodecs } from "./codecs.ts";
import { createKernels } from "./index.ts";
import { findZstdFrame } from "./zstd-frame.ts";

const kernels = createKernels();
const codecs = createCodecs(kernels);
const MIB = 1 << 20;

/** The judge. */
const zstdCli = (args: readonly string[], input: Uint8Array): Buffer =>
  execFileSync("zstd", ["-q", "-c", ...args], { input, maxBuffer: 64 * MIB, stdio: ["pipe", "pipe", "ignore"] });
const hasZstd = (() => {
  try {
    return execFileSync("zstd", ["--version"]).length > 0;
  } catch {
    return false;
  }
})();

const text = (length: number): Buffer =>
  Buffer.from("pack my box with five dozen jugs\n".repeat(Math.ceil(length / 33))).subarray(0, length);
const mixed = (length: number): Buffer => Buffer.concat([text(length >> 1), randomBytes(length - (length >> 1))]);
const sameBytes = (actual: Uint8Array, expected: Uint8Array): void => expect(Buffer.compare(actual, expected)).toBe(0);
const decode = (packed: Uint8Array, unpacked: number): Uint8Array => codecs.decode({ codec: "zstd", unpacked }, packed, { at: 1000 });

function failure(packed: Uint8Array, unpacked: number): DiskError {
  try {
    decode(packed, unpacked);
  } catch (error) {
    if (error instanceof DiskError) return error;
    throw error;
  }
  throw new Error("zstd: decoded what is damaged");
}
function encode(unit: Uint8Array, keep: "smaller" | "always" = "always"): Uint8Array | null {
  kernels.input.set(unit);
  return codecs.encode({ codec: "zstd", window: 0, keep }, 0, unit.length)?.slice() ?? null;
}

it("is refused before it is made ready", () => {
  const fresh = createCodecs(kernels);
  expect(() => fresh.decode({ codec: "zstd", unpacked: 1 }, new Uint8Array(9))).toThrow(DiskError);
  expect(() => fresh.encode({ codec: "zstd", window: 0, keep: "always" }, 0, 512)).toThrow("not made ready");
});

describe("zstd", () => {
  beforeAll(() => codecs.need("zstd"));

  it("round trip; the content size stands in the header; the same bytes whatever came before", () => {
    const units = fc
      .tuple(fc.integer({ min: 1, max: 100_000 }), fc.nat(2))
      .map(([n, kind]) => [text, mixed, Buffer.alloc][kind]?.(n) as Buffer);
    fc.assert(
      fc.property(units, units, (unit, other) => {
        const packed = encode(unit) as Uint8Array;
        expect(findZstdFrame(packed)).toMatchObject({ start: 0, end: packed.length, form: { contentSize: unit.length, checksum: true } });
        sameBytes(decode(packed, unit.length), unit);
        encode(other);
        sameBytes(encode(unit) as Uint8Array, packed);
      }),
      { numRuns: 100 },
    );
  });

  it.skipIf(!hasZstd)("zstd unpacks what is encoded", () => {
    for (const unit of [text(1), text(65_536), mixed(65_536), mixed(2 * MIB), Buffer.alloc(4096)])
      sameBytes(zstdCli(["-d"], encode(unit) as Uint8Array), unit);
  });

  it("keeps only what shrinks", () => {
    expect(encode(randomBytes(65_536), "smaller")).toBeNull();
    expect((encode(text(65_536), "smaller") as Uint8Array).length).toBeLessThan(200);
  });

  it.skipIf(!hasZstd)("decodes frames of every kind, whatever follows them", () => {
    for (const unit of [text(1), text(300), text(65_536), mixed(300_000), Buffer.alloc(2 * MIB), mixed(2 * MIB)])
      for (const options of [
        ["-1"],
        ["-3", "--no-check"],
        ["-19"],
        ["--no-content-size"],
        ["--fast=5", "--check"],
        [`--stream-size=${unit.length}`],
      ]) {
        const packed = zstdCli(options, unit);
        expect(findZstdFrame(packed).end).toBe(packed.length);
        sameBytes(decode(Buffer.concat([packed, Buffer.alloc(700, 0x28)]), unit.length), unit);
        sameBytes(decode(Buffer.concat([packed, packed]), unit.length), unit);
      }
  });

  it("skips skippable frames", () => {
    const packed = encode(text(5000)) as Uint8Array;
    const skippable = Buffer.concat([
      Buffer.from([0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]),
      Buffer.from([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]),
    ]);
    sameBytes(decode(Buffer.concat([skippable, packed]), 5000), text(5000));
    expect(failure(skippable, 5000).code).toBe("corrupt");
    expect(failure(Buffer.from([0x50, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0xff, 0]), 5000).code).toBe("corrupt");
  });

  it.skipIf(!hasZstd)("refuses windows over 8 MiB", () => {
    const packed = zstdCli(["--long=24", "--no-content-size"], randomBytes(9 * MIB));
    expect(failure(packed, 65_536)).toMatchObject({
      code: "unsupported",
      at: 1005,
      message: expect.stringContaining("Window_Size is 16777216"),
    });
  });

  it("refuses another size than expected, with and without one in the header", () => {
    const packed = encode(text(5000)) as Uint8Array;
    for (const unpacked of [4999, 5001, 1]) expect(failure(packed, unpacked).message).toContain("Frame_Content_Size is 5000");
    // No size, window 1 KiB; one last block: raw, 3 bytes.
    const bare = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x00, 0x19, 0, 0, 1, 2, 3]);
    expect([...decode(bare, 3)]).toEqual([1, 2, 3]);
    for (const unpacked of [1, 2, 4, 65_536]) expect(failure(bare, unpacked).code).toBe("corrupt");
    // The same as an RLE block of 700 bytes.
    const rle = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x00, ((700 << 3) | 3) & 255, (700 << 3) >> 8, 0, 9]);
    sameBytes(decode(Buffer.concat([rle, Buffer.alloc(9)]), 700), Buffer.alloc(700, 9));
  });

  it.each([
    ["Magic_Number", [0x28, 0xb5, 0x2f, 0xfc, 0, 0, 0x19, 0, 0]],
    ["Reserved_bit", [0x28, 0xb5, 0x2f, 0xfd, 0x08, 0, 0x19, 0, 0]],
    ["Dictionary_ID", [0x28, 0xb5, 0x2f, 0xfd, 0x01, 0, 7, 0x19, 0, 0]],
    ["Block_Type", [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0, 0x07, 0, 0]],
    ["Block_Size", [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0, 0xf9, 0xff, 0xff]],
    ["Block_Content", [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0, 0x19, 0, 0, 1]],
    ["Block_Header", [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0, 0x18, 0, 0, 1, 2, 3]],
    ["Content_Checksum", [0x28, 0xb5, 0x2f, 0xfd, 0x04, 0, 0x19, 0, 0, 1, 2, 3]],
  ])("names %s", (field, bytes) => {
    expect(failure(Buffer.from(bytes), 3).message).toContain(field);
  });

  it("every truncation is refused, and no flipped bit gives wrong bytes: a unit that is always kept has a checksum", () => {
    const unit = mixed(4000);
    const packed = encode(unit) as Uint8Array;
    for (let length = 0; length < packed.length; length++) expect(failure(packed.subarray(0, length), unit.length).code).toBe("corrupt");
    fc.assert(
      fc.property(fc.nat(packed.length * 8 - 1), (bit) => {
        const damaged = packed.slice();
        damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
        try {
          sameBytes(decode(damaged, unit.length), unit); // a bit that means nothing, or the one that tells of the checksum
        } catch (error) {
          expect(error).toBeInstanceOf(DiskError);
        }
      }),
      { numRuns: 2000 },
    );
    sameBytes(decode(packed, unit.length), unit);
  });

  it.skipIf(!hasZstd)("a frame's checksum is checked", () => {
    const packed = zstdCli(["--check"], randomBytes(1000));
    packed[500] = (packed[500] as number) ^ 1;
    expect(failure(packed, 1000)).toMatchObject({
      code: "corrupt",
      at: 1000 + packed.length - 4,
      message: expect.stringContaining("Content_Checksum is 0x"),
    });
  });

  it("survives noise", () => {
    const magic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (noise, real) => {
        try {
          decode(real ? Buffer.concat([magic, noise]) : noise, 4096);
        } catch (error) {
          expect(error).toBeInstanceOf(DiskError);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
