/** The disks that the matrix and the behaviour checks convert: raw files, the same on every run. */
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";

const KIB = 1 << 10;
const MIB = 1 << 20;
export const TIB = 2 ** 40;

/** Bytes that no codec can shrink, the same for the same seed. */
export function noise(length, seed) {
  const words = new Uint32Array(Math.ceil(length / 4));
  let x = (Math.imul(seed, 2654435761) ^ 0x9e3779b9) >>> 0 || 1;
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[i] = x;
  }
  return Buffer.from(words.buffer, 0, length);
}

/** Lines of text, which every codec shrinks. */
export function text(length, seed) {
  const lines = [];
  for (let size = 0, i = 0; size < length; i++) {
    const line = `line ${i} of text ${seed}: ${((i * 2654435761 + seed) >>> 0).toString(16)}\n`;
    lines.push(line);
    size += line.length;
  }
  return Buffer.from(lines.join("")).subarray(0, length);
}

function writeDisk(path, size, pieces) {
  const fd = openSync(path, "w");
  try {
    ftruncateSync(fd, size);
    for (const [at, bytes] of pieces) writeSync(fd, bytes, 0, bytes.length, at);
  } finally {
    closeSync(fd);
  }
}

/** 40 MiB with a GPT and, where the tools are there, an ext4; runs, text, noise, single sectors, zeros that are written, and holes. */
async function makeGpt(path, judges) {
  const size = 40 * MIB;
  const pattern = [1, 2, 3].map((i) => [i * MIB + 16 * MIB, Buffer.alloc(MIB, i)]);
  const singles = [13, 29, 4095, 8191].map((sector, i) => [26 * MIB + sector * 512, Buffer.alloc(512, 0xa0 + i)]);
  writeDisk(path, size, [
    ...pattern,
    [20 * MIB, noise(2 * MIB + 1536, 1)],
    [23 * MIB, text(2 * MIB, 2)],
    ...singles,
    [31 * MIB, Buffer.alloc(2 * MIB)],
    [size - 3 * MIB, Buffer.alloc(4 * KIB, 0x5a)],
  ]);
  const { sfdisk, "mkfs.ext4": ext4 } = judges;
  if (ext4 !== null) await ext4.must(["-q", "-F", "-O", "^has_journal", "-E", `offset=${MIB},root_owner=0:0`, path, "12M"]);
  if (sfdisk !== null) await sfdisk.must(["-q", "-X", "gpt", path, "--no-reread", "--no-tell-kernel"], { input: "2048,24576\n,\n" });
  else writeDisk510(path);
}

/** Without a partitioner at least a boot signature. */
function writeDisk510(path) {
  const fd = openSync(path, "r+");
  writeSync(fd, Buffer.from([0x55, 0xaa]), 0, 2, 510);
  closeSync(fd);
}

/** Not a whole number of clusters or grains; ends with data. */
function makeOdd(path) {
  const size = 10 * MIB + 512;
  const pieces = [
    [0, text(96 * KIB + 512, 3)],
    [3 * MIB - 512, noise(1024, 4)],
    [7 * MIB + 12345 * 8, noise(300 * KIB, 5)],
    [size - 512, Buffer.alloc(512, 0x77)],
  ];
  writeDisk(path, size, pieces);
}

/** A 1 TiB disk with a few blocks far apart, also at its very end. */
function makeSparse(path) {
  const places = [0, 5 * MIB + 512, 2 ** 31 - 64 * KIB, 2 ** 32 + 4096, 300 * 2 ** 30, TIB - 64 * KIB];
  writeDisk(
    path,
    TIB,
    places.map((at, i) => [at, i % 2 === 0 ? noise(64 * KIB, i + 7) : text(32 * KIB, i)]),
  );
}

const DISKS = {
  gpt: makeGpt,
  odd: makeOdd,
  zero: (path) => writeDisk(path, 16 * MIB, []),
  sparse: makeSparse,
  /** No byte of it is zero, so what is foreseen for it and what is written are the same. */
  dense: (path) =>
    writeDisk(path, 3 * MIB + 512, [
      [0, Buffer.alloc(3 * MIB + 512, 0x11)],
      [MIB, noise(MIB, 6).map((byte) => byte | 1)],
    ]),
};

export const makeDisk = (name, path, judges) => DISKS[name](path, judges);
