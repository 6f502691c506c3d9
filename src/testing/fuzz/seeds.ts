import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { DISK_FORMATS } from "../../formats/registry.ts";
import { diskBytes, noise, type TestDisk } from "../disks.ts";
import { optionVariants, specFor, testCompute, writeImage } from "../image-harness.ts";
import { corpusFolder, judge, readTable } from "../judges.ts";

/** A valid image: its files, the main one first. */
export interface Seed {
  readonly title: string;
  readonly files: readonly { readonly name: string; readonly bytes: Uint8Array }[];
}

const MIB = 1 << 20;
/** Larger files would make a round slow. */
const MOST_BYTES = 3 * MIB;

const DISK: TestDisk = {
  size: 2 * MIB,
  pieces: [
    { start: 0, bytes: noise(3000, 1) },
    { start: 65_536, bytes: new TextEncoder().encode("spindle ".repeat(9000)) },
    { start: MIB + 4096, bytes: noise(40_000, 2) },
    { start: 2 * MIB - 512, bytes: noise(512, 3) },
  ],
};

/** Every writer with every option, what qemu-img and packers make, and small real images where the corpus is there. */
export async function gatherSeeds(): Promise<Seed[]> {
  return [...(await written()), ...made(), ...real()];
}

async function written(): Promise<Seed[]> {
  const seeds: Seed[] = [];
  for (const { id, extensions, target } of DISK_FORMATS) {
    if (target === undefined) continue;
    for (const options of optionVariants(target)) {
      const spec = specFor(target, DISK.size, `disk.${extensions[0]}`, options);
      if (target.losses(spec).some(({ severity }) => severity === "blocker")) continue;
      const image = await writeImage(target.create(spec, testCompute()), DISK);
      const files = await Promise.all(image.files.map(async (file) => ({ name: file.name, bytes: await file.read(0, file.size) })));
      if (files.every(({ bytes }) => bytes.length <= 2 * MOST_BYTES))
        seeds.push({ title: [id, ...Object.entries(options).flat()].join(" "), files });
    }
  }
  return seeds;
}

const QEMU_FORMATS: readonly (readonly [format: string, ...words: string[]])[] = [
  ["qcow"],
  ["qcow", "-c"],
  ["qcow2", "-c"],
  ["qed"],
  ["parallels"],
  ["vpc"],
  ["vhdx"],
  ["vmdk", "-o", "subformat=streamOptimized"],
  ["vmdk", "-o", "subformat=twoGbMaxExtentSparse"],
];
const PACKERS: readonly (readonly [program: string, ...words: string[]])[] = [
  ["gzip", "-9c"],
  ["bzip2", "-c"],
  ["xz", "-c", "--block-size=500000"],
  ["zstd", "-c", "-19"],
  ["lz4", "-c"],
];

/** Images that other programs make of the same disk; programs that are not there make none. */
function made(): Seed[] {
  const folder = mkdtempSync(join(tmpdir(), "fuzz-"));
  const seeds: Seed[] = [];
  const raw = join(folder, "disk.raw");
  writeFileSync(raw, diskBytes(DISK));
  const take = (title: string, path: string): void => void seeds.push({ title, files: [{ name: basename(path), bytes: bytesOf(path) }] });
  const qemu = judge("qemu-img");
  for (const [format, ...words] of qemu === null ? [] : QEMU_FORMATS) {
    const path = join(folder, `q.${format}`);
    rmSync(path, { force: true });
    if (qemu?.run(["convert", "-f", "raw", "-O", format, ...words, raw, path]).status === 0)
      take(`qemu-img ${format} ${words.join(" ")}`, path);
  }
  for (const [program, ...words] of PACKERS)
    try {
      const bytes = new Uint8Array(execFileSync(program, [...words, raw], { maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"] }));
      seeds.push({ title: program, files: [{ name: `disk.raw.${program}`, bytes }] });
    } catch {} // the program is not installed
  for (const [program, ...words] of [
    ["zip", "-q", "disk.zip", "disk.raw"],
    ["tar", "-cf", "disk.tar", "disk.raw"],
    ["ewfacquirestream", "-q", "-t", "disk"],
    ["create_compressed_fs", "disk.raw", "disk.cloop"],
  ] as const)
    try {
      execFileSync(program, words, { cwd: folder, input: diskBytes(DISK), stdio: ["pipe", "ignore", "ignore"] });
    } catch {} // the program is not installed
  for (const name of readdirSync(folder)) if (/^disk\.(zip|tar|E01|cloop)$/.test(name)) take(name, join(folder, name));
  rmSync(folder, { recursive: true });
  return seeds;
}

/** Small files of the corpus of real images, in its own words for what they are. */
function real(): Seed[] {
  const corpus = corpusFolder();
  if (corpus === null) return [];
  return readTable(readFileSync(join(corpus, "manifest.tsv"), "utf8")).flatMap(({ name = "", format }) => {
    const path = join(corpus, "files", name);
    if (format === "raw" && !/\.(gz|xz|bz2|zip)$/.test(name)) return [];
    if (!existsSync(path) || statSync(path).size > MOST_BYTES) return [];
    return [{ title: name, files: [{ name: basename(name), bytes: bytesOf(path) }] }];
  });
}

const bytesOf = (path: string): Uint8Array => new Uint8Array(readFileSync(path));
