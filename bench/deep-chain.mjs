/**
 * `node bench/deep-chain.mjs [--layers=40] [--extents=100000] [--spread=local|everywhere] [--keep]`: a deep qcow2 chain over 1 TiB, opened, mapped and
 * flattened by Spindle and by qemu-img, which also compares the results. Prints seconds and peak memory of each. Needs a build
 * (`npm run build`) and GNU time.
 */
import { spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const given = Object.fromEntries(process.argv.slice(2).map((word) => word.replace(/^--/, "").split("=")));
const layers = Number(given.layers ?? 40);
const extents = Number(given.extents ?? 100_000);
const isLocal = (given.spread ?? "local") === "local";

const SIZE = 2 ** 40;
const CLUSTER = 65_536;
const TABLE_ENTRIES = CLUSTER / 8;
const TABLE_SPAN = TABLE_ENTRIES * CLUSTER;
const TABLES = SIZE / TABLE_SPAN;
const COPIED = 1n << 63n;

let seed = 12345;
const random = (below) => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 2 ** 32) * below);
};

/** Cluster numbers of one layer: anywhere, or in a few places where the machine was busy. */
function clustersOf(count) {
  const wanted = new Set();
  const busy = Array.from({ length: 40 }, () => random(TABLES));
  while (wanted.size < count) {
    const table = isLocal && random(10) > 0 ? busy[random(busy.length)] : random(TABLES);
    wanted.add(table * TABLE_ENTRIES + random(TABLE_ENTRIES));
  }
  return [...wanted].sort((a, b) => a - b);
}

/** A version 3 image as QEMU lays one out, with data in the first sector of each cluster, every tenth cluster explicitly zero. */
function writeLayer(path, backing, clusters, mark) {
  const file = openSync(path, "w");
  const l1At = CLUSTER;
  let next = 2 * CLUSTER;
  const l1 = Buffer.alloc(CLUSTER);
  let table = -1;
  let l2 = Buffer.alloc(CLUSTER);
  const endTable = () => {
    if (table < 0) return;
    l1.writeBigUInt64BE(BigInt(next) | COPIED, table * 8);
    writeSync(file, l2, 0, CLUSTER, next);
    next += CLUSTER;
  };
  for (const [i, cluster] of clusters.entries()) {
    const own = Math.floor(cluster / TABLE_ENTRIES);
    if (own !== table) {
      endTable();
      table = own;
      l2 = Buffer.alloc(CLUSTER);
    }
    const entry = (cluster % TABLE_ENTRIES) * 8;
    if (i % 10 === 9) {
      l2.writeBigUInt64BE(1n, entry);
      continue;
    }
    l2.writeBigUInt64BE(BigInt(next) | COPIED, entry);
    writeSync(file, Buffer.alloc(512, 1 + ((mark * 7 + i) % 255)), 0, 512, next);
    next += CLUSTER;
  }
  endTable();
  writeSync(file, l1, 0, CLUSTER, l1At);
  const header = Buffer.alloc(CLUSTER);
  header.write("QFI\xfb", 0, "latin1");
  header.writeUInt32BE(3, 4);
  const name = Buffer.from(backing ?? "");
  const nameAt = 104 + 8 + 8 + 8;
  if (backing !== null) {
    header.writeBigUInt64BE(BigInt(nameAt), 8);
    header.writeUInt32BE(name.length, 16);
    header.writeUInt32BE(0xe2792aca, 104);
    header.writeUInt32BE(5, 108);
    header.write("qcow2", 112);
    name.copy(header, nameAt);
  }
  header.writeUInt32BE(16, 20);
  header.writeBigUInt64BE(BigInt(SIZE), 24);
  header.writeUInt32BE(TABLES, 36);
  header.writeBigUInt64BE(BigInt(l1At), 40);
  // One refcount table cluster behind everything; nothing here reads the counts.
  header.writeBigUInt64BE(BigInt(next), 48);
  header.writeUInt32BE(1, 56);
  header.writeUInt32BE(4, 96);
  header.writeUInt32BE(104, 100);
  writeSync(file, header, 0, CLUSTER, 0);
  ftruncateSync(file, next + CLUSTER);
  closeSync(file);
}

const folder = mkdtempSync(join(tmpdir(), "deep-chain-"));
const spindle = [process.execPath, resolve(import.meta.dirname, "../dist/spindle.js")];

/** Runs a program under GNU time; the last line of its errors is what that prints. */
function timed(words) {
  const { status, stdout, stderr } = spawnSync("/usr/bin/time", ["-f", "%e %M", ...words], {
    cwd: folder,
    encoding: "utf8",
    maxBuffer: 2 ** 30,
  });
  if (status !== 0) throw new Error(`${words.join(" ")} ended with ${status}: ${stderr}`);
  const [seconds, kib] = stderr.trim().split("\n").pop().split(" ").map(Number);
  return { seconds, mib: Math.round(kib / 1024), lines: stdout.split("\n").length };
}
const print = (what, { seconds, mib, lines }) =>
  console.log(`${what.padEnd(28)} ${seconds.toFixed(2).padStart(7)} s  ${String(mib).padStart(5)} MiB  ${lines} lines`);

try {
  for (let layer = 0; layer < layers; layer++)
    writeLayer(
      join(folder, `l${layer}.qcow2`),
      layer === 0 ? null : `l${layer - 1}.qcow2`,
      clustersOf(Math.floor(extents / layers)),
      layer,
    );
  const top = `l${layers - 1}.qcow2`;
  console.log(`${layers} layers, ${extents} extents, ${isLocal ? "in busy places" : "everywhere"}; ${process.version}`);
  if ("keep" in given) console.log(folder);
  print("node alone", timed([process.execPath, "-e", "0"]));
  for (let i = 0; i < 2; i++) {
    print("spindle map", timed([...spindle, "map", "--output=json", top]));
    print("qemu-img map", timed(["qemu-img", "map", "--output=json", top]));
  }
  print("spindle convert", timed([...spindle, "convert", "-O", "qcow2", "--no-verify", top, "ours.qcow2"]));
  print("qemu-img convert", timed(["qemu-img", "convert", "-O", "qcow2", top, "theirs.qcow2"]));
  print("qemu-img compare", timed(["qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", top, "ours.qcow2"]));
} finally {
  if (!("keep" in given)) rmSync(folder, { recursive: true, force: true });
}
