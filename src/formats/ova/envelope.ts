import { DiskError } from "../../core/errors.ts";
import type { ByteSource } from "../../core/model.ts";
import { attributeOf, type Element, elementsNamed, parseXml, XmlError } from "../../core/xml.ts";
import { MOST_DESCRIPTOR_BYTES } from "./spec.ts";

/** A disk of the DiskSection that has a file. */
export interface OvfDisk {
  readonly id: string;
  /** The file's name as the descriptor states it: a name to look for in the archive, never a path. */
  readonly href: string;
  /** Virtual size that the descriptor states; null when it is left to the disk or cannot be told. */
  readonly capacity: number | null;
}

/** The disks of an OVF descriptor. */
export async function readEnvelope(descriptor: ByteSource): Promise<readonly OvfDisk[]> {
  const fault = (text: string, at = 0) => new DiskError("corrupt", `${descriptor.name}: ovf: ${text}`, { file: descriptor.name, at });
  if (descriptor.size > MOST_DESCRIPTOR_BYTES)
    throw new DiskError("limit", `${descriptor.name}: ovf: a descriptor of ${descriptor.size} bytes`, { file: descriptor.name });
  let root: Element;
  try {
    root = parseXml(new TextDecoder().decode(await descriptor.read(0, descriptor.size)));
  } catch (error) {
    if (error instanceof XmlError) throw fault(error.message, error.at);
    throw error;
  }
  const files = new Map<string, string>();
  for (const references of elementsNamed(root, "References"))
    for (const file of elementsNamed(references, "File")) {
      const [id, href] = [attributeOf(file, "id"), attributeOf(file, "href")];
      if (id !== undefined && href !== undefined) files.set(id, href);
    }
  const disks: OvfDisk[] = [];
  for (const section of elementsNamed(root, "DiskSection"))
    for (const disk of elementsNamed(section, "Disk")) {
      const fileRef = attributeOf(disk, "fileRef");
      if (fileRef === undefined) continue;
      const href = files.get(fileRef);
      if (href === undefined) throw fault(`fileRef is “${fileRef}”, which no File of the References has as its id`, disk.at);
      disks.push({ id: attributeOf(disk, "diskId") ?? fileRef, href, capacity: readCapacity(disk, fault) });
    }
  return disks;
}

/** §7.2: a number of units, which are `byte * 2^N` (or, in old descriptors, names of powers of 1024). */
function readCapacity(disk: Element, fault: (text: string, at: number) => DiskError): number | null {
  const stated = attributeOf(disk, "capacity")?.trim() ?? "";
  // A property of the deployment, `${name}`.
  if (stated.startsWith("$")) return null;
  const units = attributeOf(disk, "capacityAllocationUnits")?.trim() ?? "byte";
  const power = /^byte\s*\*\s*2\s*\^\s*(\d{1,2})$/i.exec(units)?.[1];
  const named: Readonly<Record<string, number>> = { byte: 0, bytes: 0, kilobytes: 10, megabytes: 20, gigabytes: 30, terabytes: 40 };
  const exponent = power === undefined ? named[units.toLowerCase()] : Number(power);
  if (exponent === undefined) return null;
  const capacity = Number(stated) * 2 ** exponent;
  if (/^\d+$/.test(stated) && Number.isSafeInteger(capacity)) return capacity;
  throw fault(`capacity is “${stated}” (${units}), expected a number of bytes below 2^53`, disk.at);
}
