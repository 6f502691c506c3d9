/**
 * The content hash of the corpus: SHA-256 over the 8-byte big-endian offset and the bytes of every 64 KiB block that is not all
 * zero, ascending (the last may be short), and at the end the 8-byte big-endian size.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { open } from "node:fs/promises";
import { finished } from "node:stream/promises";
import { inTurn } from "./programs.mjs";

const BLOCK = 1 << 16;
const PIECE = 4 << 20;
const ZEROS = Buffer.alloc(PIECE);

/** What is read faster than a program starts. */
const SMALL = 64 << 20;

/** With the corpus' own tool, which skips holes, where it and perl are there; by reading everything elsewhere and of small disks. */
export const contentHash = (path, tool) =>
  tool === null || statSync(path).size <= SMALL ? hashByReading(path) : inTurn(() => hashByTool(path, tool));

export async function hashByTool(path, tool) {
  const hash = createHash("sha256");
  const child = spawn("perl", [tool, path], { stdio: ["ignore", "pipe", "inherit"] });
  const exit = new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  child.stdout.pipe(hash, { end: false });
  await finished(child.stdout);
  if ((await exit) !== 0) throw new Error(`${tool} failed on ${path}`);
  return hash.digest("hex");
}

export async function hashByReading(path) {
  const hash = createHash("sha256");
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const piece = Buffer.alloc(PIECE);
    for (let at = 0; at < size; at += PIECE) {
      const length = await readFully(file, piece, at, Math.min(PIECE, size - at));
      if (piece.compare(ZEROS, 0, length, 0, length) === 0) continue;
      for (let start = 0; start < length; start += BLOCK) {
        const end = Math.min(start + BLOCK, length);
        if (piece.compare(ZEROS, 0, end - start, start, end) !== 0) hash.update(bigEndian(at + start)).update(piece.subarray(start, end));
      }
    }
    return hash.update(bigEndian(size)).digest("hex");
  } finally {
    await file.close();
  }
}

async function readFully(file, piece, at, length) {
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(piece, done, length - done, at + done);
    if (bytesRead === 0) throw new Error("the file became shorter while it was being read");
    done += bytesRead;
  }
  return length;
}

function bigEndian(value) {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt(value));
  return out;
}

/** SHA-256 of a whole file. */
export async function fileHash(path) {
  const hash = createHash("sha256");
  const file = await open(path, "r");
  try {
    for await (const chunk of file.createReadStream({ highWaterMark: PIECE, autoClose: false })) hash.update(chunk);
  } finally {
    await file.close();
  }
  return hash.digest("hex");
}
