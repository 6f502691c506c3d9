import type { Run } from "../core/block-map.ts";
import { DiskError } from "../core/errors.ts";
import { type Disk, requireReadable } from "../jobs/disk.ts";
import { mapRuns } from "../jobs/walk.ts";
import { parseArguments } from "./arguments.ts";
import { FROM, OPENING, readOpening, requireMember } from "./opening.ts";
import { createListing, isJson, OUTPUT, parseSize } from "./output.ts";
import type { Verb } from "./verb.ts";

const OPTIONS = {
  from: FROM,
  ...OPENING,
  start: { names: ["-s", "--start-offset"], kind: "value", value: "OFFSET", help: "where on the disk to begin" },
  length: { names: ["-l", "--max-length"], kind: "value", value: "LENGTH", help: "how much of the disk to list" },
  output: OUTPUT,
} as const;

/** One element of qemu-img's JSON map. */
interface Entry {
  readonly start: number;
  length: number;
  readonly depth: number;
  readonly present: boolean;
  readonly zero: boolean;
  readonly data: boolean;
  readonly compressed: boolean;
  readonly offset?: number;
  /** File that holds the data; of zeros, the image that says so. qemu-img has no such field. Undefined: no layer holds anything. */
  readonly file: string | undefined;
}

export const map: Verb = {
  summary: "Lists where the disk's data lie in the files.",
  options: OPTIONS,
  operands: "FILE",
  exits: { 0: "done", 1: "error" },
  failure: 1,
  async run(words, session) {
    const given = parseArguments(words, OPTIONS);
    const [path, ...more] = given.operands;
    if (path === undefined || more.length > 0) throw new DiskError("usage", "map takes one file");
    const opening = await readOpening(given);
    const disk = await session.openDisk(path, given.value("from"), opening);
    requireMember(opening, [disk.chain[0]]);
    requireReadable(disk);
    const start = Math.min(parseSize(given.value("start") ?? "0"), disk.size);
    const end = Math.min(start + parseSize(given.value("length") ?? String(disk.size)), disk.size);
    const json = isJson(given);
    let first = true;
    const out = createListing();
    if (!json) out.print(`${"Offset".padEnd(16)}${"Length".padEnd(16)}${"Mapped to".padEnd(16)}File`);
    for await (const entry of entries(disk, start, end, session.signal)) {
      if (json) out.print(`${first ? "[" : ","}${JSON.stringify(entry)}`);
      else if (entry.data)
        out.print(
          `${hex(entry.start)}${hex(entry.length)}${entry.offset === undefined ? unplaced(entry).padEnd(16) : hex(entry.offset)}${entry.file}`,
        );
      first = false;
    }
    if (json) out.print(first ? "[]" : "]");
    out.end();
    return 0;
  },
};

/** Stands for the offset of data that do not lie in the file as the disk shows them. */
const unplaced = ({ compressed }: Entry): string => (compressed ? "packed" : "encrypted");

const hex = (value: number): string => `0x${value.toString(16)}`.padEnd(16);

/** The map with neighbours of one kind joined. */
async function* entries(disk: Disk, start: number, end: number, signal: AbortSignal): AsyncGenerator<Entry> {
  let open: Entry | null = null;
  for await (const runs of mapRuns(disk, start, end, signal)) {
    for (const run of runs) {
      const next = entryOf(disk, run);
      if (open !== null && joins(open, next)) open.length += next.length;
      else {
        if (open !== null) yield open;
        open = next;
      }
    }
  }
  if (open !== null) yield open;
}

function entryOf(disk: Disk, { volume, extent }: Run): Entry {
  const { start, length } = extent;
  const depth = Math.min(volume, disk.chain.length - 1);
  if (extent.kind === "zero")
    return {
      start,
      length,
      depth,
      present: extent.allocated,
      zero: true,
      data: false,
      compressed: false,
      file: extent.allocated ? disk.chain[volume]?.files[0]?.name : undefined,
    };
  const file = disk.chain[volume]?.files[extent.file]?.name;
  const common = { start, length, depth, present: true, zero: false, data: true, file };
  if (extent.kind === "packed") return { ...common, compressed: true };
  return { ...common, compressed: false, ...(disk.chain[volume]?.encrypted !== true && { offset: extent.at }) };
}

function joins(a: Entry, b: Entry): boolean {
  const alike = a.depth === b.depth && a.present === b.present && a.zero === b.zero && a.compressed === b.compressed && a.file === b.file;
  return alike && (a.offset === undefined ? b.offset === undefined : b.offset === a.offset + a.length);
}
