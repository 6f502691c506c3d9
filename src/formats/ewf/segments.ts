import { DiskError } from "../../core/errors.ts";
import type { ByteSource, FormatContext } from "../../core/model.ts";
import { readPlaced } from "../../core/placed-struct.ts";
import type { Compute } from "../../core/ports.ts";
import { FileHeader, SectionHeader, SIGNATURE } from "./spec.ts";

const MOST_SEGMENTS = 14_971;
const MOST_SECTIONS = 1_000_000;

export interface Section {
  readonly type: string;
  /** Index of the segment file. */
  readonly file: number;
  /** Place and length of the section's content, behind its header. */
  readonly at: number;
  readonly length: number;
}

export interface Evidence {
  readonly files: readonly ByteSource[];
  readonly sections: readonly Section[];
}

/** Opens all segment files, `first` being the first, and lists their sections. Later segments are asked for by their names. */
export async function readSegments(first: ByteSource, context: FormatContext): Promise<Evidence> {
  const files: ByteSource[] = [];
  const sections: Section[] = [];
  let file: ByteSource = first;
  for (;;) {
    const number = await readNumber(file);
    if (number !== files.length + 1)
      throw new DiskError(
        "corrupt",
        `${file.name}: ewf: segmentNumber is ${number}, expected ${files.length + 1}${files.length === 0 ? ": open the first segment" : ""}`,
        { file: file.name, at: FileHeader.offsetOf("segmentNumber") },
      );
    files.push(file);
    const last = await listSections(file, files.length - 1, sections, context);
    if (last === "done") return { files, sections };
    const name = segmentName(first.name, files.length + 1);
    if (name === null || files.length === MOST_SEGMENTS)
      throw new DiskError("corrupt", `${file.name}: ewf: there is no name for segment ${files.length + 1}`, { file: file.name, at: 0 });
    const next = await context.resolve({ role: "extent", name, id: null, format: null });
    if (next === null)
      throw new DiskError("missing-file", `${file.name} goes on in segment ${files.length + 1}, “${name}”, which was not given`, {
        file: file.name,
        needs: name,
      });
    file = next;
  }
}

async function readNumber(file: ByteSource): Promise<number> {
  if (file.size < FileHeader.bytes)
    throw new DiskError("corrupt", `${file.name}: ewf: the file ends inside its header`, { file: file.name, at: 0 });
  const header = FileHeader.read(await file.read(0, FileHeader.bytes));
  if (String.fromCharCode(...header.signature) !== SIGNATURE)
    throw new DiskError("corrupt", `${file.name}: ewf: signature is not that of an EWF file`, { file: file.name, at: 0 });
  return header.segmentNumber;
}

/** Adds a file's sections; answers the type of its last one, `next` or `done`. */
async function listSections(file: ByteSource, index: number, sections: Section[], { compute, signal }: FormatContext): Promise<string> {
  let at = FileHeader.bytes;
  for (;;) {
    signal?.throwIfAborted();
    const { type, next, end } = await readSection(file, at, compute);
    if (type === "done" || type === "next") return type;
    if (next <= at) throw fault(file, `nextOffset of section “${type}” is ${next}, expected a place behind it`, at + 16);
    sections.push({ type, file: index, at: at + SectionHeader.bytes, length: end - at - SectionHeader.bytes });
    if (sections.length > MOST_SECTIONS) throw fault(file, `more than ${MOST_SECTIONS} sections`, at);
    at = next;
  }
}

async function readSection(file: ByteSource, at: number, compute: Compute) {
  if (at + SectionHeader.bytes > file.size) throw fault(file, "the file ends before its last section: it is truncated", at);
  const bytes = await file.read(at, SectionHeader.bytes);
  const sum = compute.adler32(bytes.subarray(0, SectionHeader.offsetOf("checksum")));
  const stated = new DataView(bytes.buffer).getUint32(SectionHeader.offsetOf("checksum"), true);
  if (sum !== stated)
    throw fault(file, `checksum of a section is 0x${stated.toString(16)}, but its header gives 0x${sum.toString(16)}`, at + 72);
  const header = readPlaced(SectionHeader, bytes, file, at, "ewf");
  const type = String.fromCharCode(...header.type).replace(/\0.*$/s, "");
  const next = header.nextOffset;
  const end = type === "done" || type === "next" ? at + SectionHeader.bytes : header.size === 0 ? next : at + header.size;
  if (end < at + SectionHeader.bytes || end > file.size || next > file.size)
    throw fault(file, `size of section “${type}” is ${header.size}: it leads past the end of the file, which is truncated`, at + 24);
  return { type, next, end };
}

export const fault = (file: ByteSource, text: string, at: number): DiskError =>
  new DiskError("corrupt", `${file.name}: ewf: ${text}`, { file: file.name, at });

/** `disk.E01` … `disk.E99`, `disk.EAA` … `disk.EZZ`, `disk.FAA` … `disk.ZZZ`; the first letter and the case are the first name's. */
export function segmentName(first: string, number: number): string | null {
  const match = /^(.*\.)([a-z])01$/i.exec(first);
  if (match === null) return null;
  const [, stem, letter] = match as unknown as [string, string, string];
  if (number < 100) return stem + letter + String(number).padStart(2, "0");
  const index = number - 100;
  const letters = String.fromCharCode(65 + (Math.floor(index / 26) % 26)) + String.fromCharCode(65 + (index % 26));
  const code = letter.toUpperCase().charCodeAt(0) + Math.floor(index / 676);
  if (code > 90) return null;
  const ending = String.fromCharCode(code) + letters;
  return stem + (letter === letter.toLowerCase() ? ending.toLowerCase() : ending);
}
