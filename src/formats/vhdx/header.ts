import type { ByteSource } from "../../core/model.ts";
import type { Compute } from "../../core/ports.ts";
import { guidText } from "../../core/uuid.ts";
import {
  ALIGNMENT,
  FILE_SIGNATURE,
  FileIdentifier,
  HEADER_BYTES,
  HEADER_PLACES,
  HEADER_SECTION_BYTES,
  HEADER_SIGNATURE,
  Header,
  type HeaderFields,
  hex,
  problem,
  utf16Text,
} from "./spec.ts";

/** Something wrong that does not stop the work. */
export interface Fault {
  readonly text: string;
  readonly at: number;
}

export interface HeaderSection {
  /** The program that made the file, as it names itself. */
  readonly creator: string;
  readonly header: HeaderFields;
  /** Null: the log is empty. */
  readonly logGuid: string | null;
  readonly log: { readonly at: number; readonly length: number };
  readonly faults: readonly Fault[];
}

/** CRC-32C over a structure whose checksum stands at byte 4 and counts as zero. Changes `structure`. */
export function checksumOf(structure: Uint8Array, compute: Compute): number {
  structure.fill(0, 4, 8);
  return compute.crc32c(structure);
}

/** The file identifier and the current header; both are never in the log, so they are read from the file as it is. */
export async function readHeaderSection(file: ByteSource, compute: Compute): Promise<HeaderSection> {
  const { name, size } = file;
  if (size < HEADER_SECTION_BYTES) throw problem("corrupt", name, 0, `the file ends at byte ${size}, inside its headers: it is truncated`);
  const identifier = FileIdentifier.read(await file.read(0, FileIdentifier.bytes));
  if (String.fromCharCode(...identifier.signature) !== FILE_SIGNATURE)
    throw problem("corrupt", name, 0, `signature is not "${FILE_SIGNATURE}"`);
  const faults: Fault[] = [];
  const { header, at } = await currentHeader(file, compute, faults);
  const refuse = (code: "corrupt" | "unsupported", field: keyof HeaderFields, expected: string) =>
    problem(code, name, at + Header.offsetOf(field), `${field} of the header is ${String(header[field])}, expected ${expected}`);
  if (header.version !== 1) throw refuse("unsupported", "version", "1");
  if (header.logVersion !== 0) throw refuse("unsupported", "logVersion", "0");
  if (header.logLength % ALIGNMENT !== 0) throw refuse("corrupt", "logLength", `a multiple of ${ALIGNMENT}`);
  const logGuid = guidText(header.logGuid);
  const logAt = Number(header.logOffset);
  if (logAt % ALIGNMENT !== 0 || (header.logLength > 0 && logAt < HEADER_SECTION_BYTES))
    throw refuse("corrupt", "logOffset", `a multiple of ${ALIGNMENT} past the headers`);
  if (logAt + header.logLength > size)
    throw refuse("corrupt", logAt >= size ? "logOffset" : "logLength", `a log that ends inside the file of ${size} bytes`);
  const [creator = ""] = utf16Text(identifier.creator).split("\0", 1);
  return { creator, header, logGuid, log: { at: logAt, length: header.logLength }, faults };
}

/** [MS-VHDX] 2.2.2: of the sound headers the one with the greater sequence number. */
async function currentHeader(
  file: ByteSource,
  compute: Compute,
  faults: Fault[],
): Promise<{ readonly header: HeaderFields; readonly at: number }> {
  const sound: { header: HeaderFields; at: number; bytes: Uint8Array }[] = [];
  for (const [i, at] of HEADER_PLACES.entries()) {
    const bytes = await file.read(at, HEADER_BYTES);
    const header = Header.read(bytes);
    const fault = (text: string) => faults.push({ text: `header ${i + 1} is damaged: ${text}`, at });
    const sum = checksumOf(bytes, compute);
    if (header.signature !== HEADER_SIGNATURE) fault(`signature is ${hex(header.signature)}, expected ${hex(HEADER_SIGNATURE)}`);
    else if (header.checksum !== sum) fault(`checksum is ${hex(header.checksum)}, expected ${hex(sum)}`);
    else sound.push({ header, at, bytes });
  }
  const [first, second] = sound;
  if (first === undefined)
    throw problem("corrupt", file.name, HEADER_PLACES[0], `neither header can be used: ${faults.map(({ text }) => text).join("; ")}`);
  if (second === undefined || first.header.sequenceNumber > second.header.sequenceNumber) return first;
  // By the specification there is no current header then; Azure writes two that are the same ([QEMU] vhdx_parse_header).
  if (first.header.sequenceNumber === second.header.sequenceNumber && first.bytes.some((byte, i) => byte !== second.bytes[i]))
    throw problem("corrupt", file.name, second.at + Header.offsetOf("sequenceNumber"), "the two headers differ, but not in sequenceNumber");
  return second;
}
