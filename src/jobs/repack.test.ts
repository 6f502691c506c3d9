import { constants, deflateRawSync, deflateSync } from "node:zlib";
import { expect, test } from "vitest";
import type { BlockPool } from "../core/ports.ts";
import type { Block, ImageWriter } from "../core/target.ts";
import { formatById } from "../formats/registry.ts";
import { converted } from "../testing/conversion.ts";
import { noise, same } from "../testing/disks.ts";
import { contextOf, encodeUnit, specFor, testCompute, writeImage } from "../testing/image-harness.ts";
import { localPool } from "../testing/local-pool.ts";
import type { SparseFile } from "../testing/sparse-file.ts";
import { openDisk } from "./chain.ts";

// A unit's stream is handed on, or packed anew, by what was found while it was unpacked (docs/adr/0019). Neither which worker did
// that, nor what it had unpacked before, may tell in the file.

const UNIT = 65_536;
/** Five orders of packed units. */
const UNITS = 320;
const SIZE = (UNITS + UNITS / 8) * UNIT;
type Options = Readonly<Record<string, string>>;
interface Unit {
  readonly plain: Uint8Array;
  readonly block: Block;
}

/** Noise that comes again after `distance` bytes. */
function again(distance: number, seed: number): Uint8Array {
  const plain = noise(UNIT, seed);
  for (let at = distance; at < UNIT; at++) plain[at] = plain[at - distance] as number;
  return plain;
}
const packed = (bytes: Uint8Array): Block => ({ kind: "packed", bytes: new Uint8Array(bytes) });

/** Streams of zlib's: near matches only, far ones, codes that could reach anywhere, zeros; and what is not packed. */
function deflated(i: number): Unit {
  const near = again(200, i);
  const far = again(20_000, i);
  const zeros = new Uint8Array(UNIT);
  return [
    { plain: near, block: packed(deflateRawSync(near, { level: 1, windowBits: 12 })) },
    { plain: far, block: packed(deflateRawSync(far)) },
    { plain: noise(UNIT, i), block: { kind: "data" as const, bytes: noise(UNIT, i) } },
    { plain: near, block: packed(deflateRawSync(near, { strategy: constants.Z_FIXED })) },
    { plain: near, block: packed(deflateRawSync(near, { level: 9, windowBits: 9 })) },
    { plain: zeros, block: packed(deflateRawSync(zeros)) },
  ][i % 6] as Unit;
}

/** Frames of RLE blocks of 4 KiB each (RFC 8878 section 3.1.1.2), and our own. */
async function zstandard(i: number): Promise<Unit> {
  if (i % 3 === 0) return { plain: noise(UNIT, i), block: { kind: "data", bytes: noise(UNIT, i) } };
  if (i % 3 === 1) return { plain: again(700, i), block: await encodeUnit(again(700, i), { codec: "zstd", window: 0, keep: "smaller" }) };
  const bytes = Array.from({ length: 16 }, (_, run) => (i * 31 + run * 7) & 255);
  const blocks = bytes.flatMap((byte, run) => [(run === 15 ? 1 : 0) | 2 | ((4096 << 3) & 255), 4096 >> 5, 4096 >> 13, byte]);
  const frame = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 1, 0, ...blocks);
  return { plain: Uint8Array.from({ length: UNIT }, (_, at) => bytes[at >> 12] as number), block: packed(frame) };
}

function grains(i: number): Unit {
  const plain = i % 4 === 0 ? noise(UNIT, i) : again(i % 4 === 1 ? 20_000 : 700, i);
  return { plain, block: packed(deflateSync(plain, { level: i % 10 })) };
}

/** The units, with a hole after every eight, as an image by our writer; what the disk shows. */
async function imageOf(format: string, options: Options, unitAt: (i: number) => Unit | Promise<Unit>) {
  const target = formatById(format).target!;
  const writer = target.create(specFor(target, SIZE, `source.${format}`, options), testCompute());
  const expected = new Uint8Array(SIZE);
  const units = new Map<number, Unit>();
  for (let i = 0; i < UNITS; i++) {
    const unit = await unitAt(i);
    units.set(i + (i >> 3), unit);
    expected.set(unit.plain, (i + (i >> 3)) * UNIT);
  }
  const ready: ImageWriter = {
    unit: writer.unit,
    files: writer.files,
    sequential: writer.sequential,
    encoding: null,
    put: (index) => writer.put(index, (units.get(index) as Unit).block),
    end: (identity) => writer.end(identity),
  };
  const { files } = await writeImage(
    ready,
    [...units].map(([index, { plain }]) => [index, plain] as const),
  );
  return { file: files[0] as SparseFile, units: [...units.values()], expected };
}

/** Hands most results over only after those of the orders that were given later; `finished` gets the places of the orders in that order. */
function jumbled(workers: number, finished: number[]): BlockPool {
  const pool = localPool(workers);
  const given: Promise<unknown>[] = [];
  return {
    ...pool,
    async process(order, signal) {
      const own = pool.process(order, signal);
      const turn = given.push(own);
      const result = await own;
      if (turn % 3 !== 0) await Promise.all(given.slice(turn));
      finished.push(order.grains[0] as number);
      return result;
    },
  };
}

/** `handedOn`: which of the source's streams the output has, if they are smaller than their units. */
const conversions: readonly {
  readonly from: string;
  readonly options: Options;
  readonly unitAt: (i: number) => Unit | Promise<Unit>;
  readonly to: string;
  readonly target: Options;
  readonly handedOn: (i: number) => boolean;
}[] = [
  {
    from: "qcow2",
    options: { compression: "deflate" },
    unitAt: deflated,
    to: "qcow2",
    target: { compression: "deflate" },
    handedOn: (i) => i % 6 === 0 || i % 6 === 4,
  },
  {
    from: "qcow2",
    options: { compression: "zstd" },
    unitAt: zstandard,
    to: "qcow2",
    target: { compression: "zstd" },
    handedOn: (i) => i % 3 !== 0,
  },
  {
    from: "vmdk",
    options: { subformat: "streamOptimized" },
    unitAt: grains,
    to: "vmdk",
    target: { subformat: "streamOptimized" },
    handedOn: () => true,
  },
  { from: "vmdk", options: { subformat: "streamOptimized" }, unitAt: grains, to: "qcow2", target: {}, handedOn: () => false },
];

test.each(conversions)(
  "$from $options → $to $target: the same bytes with any number of workers, in whatever order they finish",
  async ({ from, options, unitAt, to, target, handedOn }) => {
    const { file, units, expected } = await imageOf(from, options, unitAt);
    const write = async (pool: BlockPool, verify = false): Promise<Uint8Array> => {
      const request = { format: to, options: target, name: `out.${to}`, verify };
      const [out] = await converted(await openDisk(file, contextOf(), from), request, pool);
      return out!.read(0, out!.size);
    };
    const one = await write(localPool(1), true);
    for (const workers of [2, 3, 5]) expect([workers, same(await write(localPool(workers)), one)]).toEqual([workers, true]);
    for (const workers of [1, 3, 5]) {
      const finished: number[] = [];
      expect([workers, same(await write(jumbled(workers, finished)), one)]).toEqual([workers, true]);
      expect(finished).not.toEqual(finished.toSorted((a, b) => a - b));
    }
    const back = await converted(await openDisk(file, contextOf(), from), { format: "raw", name: "back.raw", verify: false });
    expect(same(await back[0]!.read(0, SIZE), expected)).toBe(true);
    const streams = units.flatMap(({ block }, i) => (block.kind === "packed" ? [{ i, bytes: block.bytes }] : []));
    const found = streams.filter(({ bytes }) => Buffer.from(one.buffer).includes(Buffer.from(bytes)));
    expect(found.map(({ i }) => i)).toEqual(streams.filter(({ i, bytes }) => bytes.length < UNIT && handedOn(i)).map(({ i }) => i));
  },
);
