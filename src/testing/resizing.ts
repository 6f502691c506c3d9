import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect } from "vitest";
import { memorySource } from "../core/bytes.ts";
import { openDisk } from "../jobs/chain.ts";
import { attachDisk, type Disk } from "../jobs/disk.ts";
import { readDisk } from "../jobs/read.ts";
import { resizeDisk, safeSize } from "../jobs/resize.ts";
import { mapRuns } from "../jobs/walk.ts";
import { openFileSource } from "./file-source.ts";
import { contextOf, testCompute } from "./image-harness.ts";
import { type JudgeName, judge } from "./judges.ts";
import { localPool } from "./local-pool.ts";

// Disks with partition tables by other programs, made smaller and larger, and what those programs say to that.

export const folder = mkdtempSync(join(tmpdir(), "resize-"));
afterAll(() => rmSync(folder, { recursive: true }));
const pool = localPool(1);
const { signal } = new AbortController();
export const sgdisk = judge("sgdisk");
export const sfdisk = judge("sfdisk");
export const MIB = 1 << 20;
export const BACKUP = 33 * 512;

export const diskOf = (bytes: Uint8Array): Promise<Disk> => openDisk(memorySource("disk.raw", bytes), contextOf(), "raw");
export const fileDisk = (path: string, format = "raw"): Promise<Disk> => openDisk(openFileSource(path), contextOf(), format);
export const resized = (disk: Disk, size: number) => resizeDisk(disk, size, pool, testCompute(), signal);
export const safe = (disk: Disk) => safeSize(disk, pool, signal);

export async function bytesOf(disk: Disk, start = 0, length = disk.size): Promise<Uint8Array> {
  const attached = attachDisk(disk, pool);
  try {
    return await readDisk(attached, pool, start, length, signal);
  } finally {
    attached.detach();
  }
}
/** Writes what the disk shows to a sparse file. */
export async function save(disk: Disk, name: string): Promise<string> {
  const path = join(folder, name);
  const file = openSync(path, "w");
  ftruncateSync(file, disk.size);
  for await (const runs of mapRuns(disk, 0, disk.size, signal))
    for (const { extent } of runs) {
      if (extent.kind === "zero") continue;
      for (let at = extent.start; at < extent.start + extent.length; at += 4 * MIB) {
        const bytes = await bytesOf(disk, at, Math.min(4 * MIB, extent.start + extent.length - at));
        if (bytes.some((byte) => byte !== 0)) writeSync(file, bytes, 0, bytes.length, at);
      }
    }
  closeSync(file);
  return path;
}
export function blank(name: string, size: number): string {
  const path = join(folder, name);
  writeFileSync(path, "");
  truncateSync(path, size);
  return path;
}
export function made(maker: JudgeName, size: number, args: (path: string) => readonly string[], input?: string): Uint8Array {
  const path = blank("made.raw", size);
  judge(maker)!.must(args(path), input === undefined ? {} : { input });
  return new Uint8Array(readFileSync(path));
}
/** sgdisk takes a second each time: every table is made once. */
const kept = new Map<string, Uint8Array>();
export function gptDisk(size: number, ...args: string[]): Uint8Array {
  const key = [size, ...args].join(" ");
  const disk = kept.get(key) ?? made("sgdisk", size, (path) => [...args, path]);
  kept.set(key, disk);
  return new Uint8Array(disk);
}
export const mbrDisk = (size: number, script: string): Uint8Array => made("sfdisk", size, (path) => ["-q", path], `label: dos\n${script}`);
export const requireSound = (path: string): void => {
  expect(sgdisk!.must(["-v", path])).toContain("No problems found");
  const { status, stdout, stderr } = sfdisk!.run(["--verify", path]);
  expect([status, stdout + stderr]).toEqual([0, expect.stringContaining("No errors detected")]);
  expect(stdout + stderr).not.toMatch(/mismatch|corrupt|not on the end/);
};
