import { createCipheriv, createHash } from "node:crypto";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Judge, type JudgeName, judge } from "../src/testing/judges.ts";

export const MIB = 1024 ** 2;

/** The program; the caller has skipped the test when it is not installed. */
export function tool(name: JudgeName): Judge {
  const found = judge(name);
  if (found === null) throw new Error(`${name} is not installed`);
  return found;
}

/** The names of the programs that are not installed, as a reason to skip; empty when all are there. */
export function missing(...names: readonly JudgeName[]): string {
  const absent = names.filter((name) => judge(name) === null);
  return absent.length === 0 ? "" : `not installed: ${absent.join(", ")}`;
}

export function temporaryFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "spindle-e2e-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Bytes without pattern, the same in every run for the same seed. */
export function noise(length: number, seed: number): Buffer {
  const key = createHash("md5").update(`seed ${seed}`).digest();
  return createCipheriv("aes-128-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

/** A raw disk of `mib` MiB: an MBR with one Linux partition from 1 MiB on, noise, text, zeros and holes. */
export function writeRawDisk(path: string, mib: number, seed = 1): void {
  const disk = Buffer.alloc(mib * MIB);
  const partition = disk.subarray(446, 462);
  partition[4] = 0x83;
  partition.writeUInt32LE(2048, 8);
  partition.writeUInt32LE((mib - 1) * 2048, 12);
  disk.writeUInt16LE(0xaa55, 510);
  const third = Math.floor(mib / 3);
  noise(third * MIB - 12_345, seed).copy(disk, MIB + 777);
  disk.fill("All work and no play makes a dull disk. ", (third + 1) * MIB, (third + 1) * MIB + 700_001);
  noise(65_536, seed + 1).copy(disk, disk.length - 65_536);
  writeFileSync(path, disk);
}

/** Noise of `mib` MiB, written piece by piece: every block of it has to be read and packed. */
export function writeNoise(path: string, mib: number): void {
  const file = openSync(path, "w");
  for (let i = 0; i < mib; i += 64) writeSync(file, noise(Math.min(64, mib - i) * MIB, 1000 + i));
  closeSync(file);
}

export function convert(from: string, to: string, format: string, options = ""): void {
  const chosen = options === "" ? [] : ["-o", options];
  tool("qemu-img").must(["convert", "-O", format, ...chosen, from, to]);
}

/** A qcow2 of a raw disk, encrypted with LUKS; with a base, a layer that holds what differs from it. */
export function writeEncrypted(raw: string, path: string, passphrase: string, base?: string): void {
  const over = base === undefined ? [] : ["-B", base, "-F", "qcow2"];
  const key = ["--object", `secret,id=key,data=${passphrase}`];
  const options = "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10";
  tool("qemu-img").must(["convert", ...key, ...over, "-O", "qcow2", "-o", options, raw, path]);
}

/** A qcow2 of a raw disk in which two used clusters are counted as free and one free cluster as used; its data is whole. */
export function writeMiscounted(raw: string, path: string): void {
  const clusterBytes = 65536;
  convert(raw, path, "qcow2");
  const image = readFileSync(path);
  const table = Number(image.readBigUInt64BE(48));
  const counts = Number(image.readBigUInt64BE(table));
  const whole = Buffer.concat([image, Buffer.alloc(clusterBytes)]);
  for (const cluster of [8, 9]) whole.writeUInt16BE(0, counts + 2 * cluster);
  whole.writeUInt16BE(1, counts + (2 * image.length) / clusterBytes);
  writeFileSync(path, whole);
}

/** What a folder of a VMware machine holds. */
export interface MachineFolder {
  readonly path: string;
  /** From the base on. */
  readonly disks: readonly string[];
}

/** In a folder of its own a VMware machine named "web": a base of `raw`, two snapshots over it, and the descriptions of both. */
export function writeMachine(folder: string, raw: string): MachineFolder {
  const path = join(mkdtempSync(join(folder, "machine-")), "web");
  mkdirSync(path);
  const disks = ["web.vmdk", "web-000001.vmdk", "web-000002.vmdk"].map((name) => join(path, name)) as [string, string, string];
  convert(raw, disks[0], "vmdk");
  const writes = ["write -P 0x61 3M 1M", "write -P 0x62 3584k 700k"];
  for (const [i, write] of writes.entries()) {
    const over = ["-f", "vmdk", "-b", disks[i] as string, "-F", "vmdk"];
    tool("qemu-img").must(["create", "-q", ...over, disks[i + 1] as string]);
    tool("qemu-io").must(["-f", "vmdk", "-c", write, disks[i + 1] as string]);
  }
  const [base, first, second] = ["web.vmdk", "web-000001.vmdk", "web-000002.vmdk"];
  writeFileSync(
    join(path, "web.vmx"),
    `.encoding = "UTF-8"\ndisplayName = "web"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "${second}"\n`,
  );
  const snapshots = [
    ["Fresh from the installer", base],
    ["Before the update", first],
  ].flatMap(([name, file], i) => [
    `snapshot${i}.uid = "${i + 1}"`,
    `snapshot${i}.displayName = "${name}"`,
    `snapshot${i}.numDisks = "1"`,
    `snapshot${i}.disk0.fileName = "${file}"`,
    `snapshot${i}.disk0.node = "scsi0:0"`,
  ]);
  const settings = ['.encoding = "UTF-8"', 'snapshot.numSnapshots = "2"', 'snapshot.current = "2"', ...snapshots];
  writeFileSync(join(path, "web.vmsd"), `${settings.join("\n")}\n`);
  writeFileSync(join(path, "vmware.log"), "started\n");
  return { path, disks };
}

/** An archive of files that lie in `folder`; its path. */
export function writeTar(folder: string, name: string, ...members: readonly string[]): string {
  tool("tar").must(["-cf", name, ...members], { cwd: folder });
  return join(folder, name);
}

/** Throws unless qemu-img finds the two disks identical. */
export function requireIdentical(a: string, formatA: string, b: string, formatB: string): void {
  tool("qemu-img").must(["compare", "-f", formatA, "-F", formatB, a, b]);
}

export function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

export function blake3(path: string): string {
  return tool("b3sum").must(["--no-names", path]).trim();
}
