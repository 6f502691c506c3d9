import { DiskError } from "../../core/errors.ts";
import type { ByteSource } from "../../core/model.ts";
import { type Element, elementsNamed, parseXml, XmlError } from "../../core/xml.ts";

const MOST_BYTES = 16 << 20;

/** A disk that the descriptor lists. */
export interface DiskEntry {
  /** Folder of its chunks: `Ref:12`. */
  readonly id: string;
  readonly name: string;
  /** Virtual size. */
  readonly size: number;
}

/** The disks (objects of class VDI) of an ova.xml, which holds XML-RPC values. */
export async function readDisks(descriptor: ByteSource): Promise<readonly DiskEntry[]> {
  const fault = (text: string, at = 0) => new DiskError("corrupt", `${descriptor.name}: xva: ${text}`, { file: descriptor.name, at });
  if (descriptor.size > MOST_BYTES)
    throw new DiskError("limit", `${descriptor.name}: xva: a descriptor of ${descriptor.size} bytes`, { file: descriptor.name });
  const disks: DiskEntry[] = [];
  try {
    const root = parseXml(new TextDecoder().decode(await descriptor.read(0, descriptor.size)));
    for (const struct of elementsNamed(root, "struct")) {
      const members = membersOf(struct);
      if (members.get("class")?.text !== "VDI") continue;
      const id = members.get("id")?.text ?? "";
      const snapshot = members.get("snapshot")?.children.find(({ name }) => name === "struct");
      const facts = snapshot === undefined ? new Map<string, Element>() : membersOf(snapshot);
      const stated = facts.get("virtual_size")?.text ?? "";
      const size = Number(stated);
      if (!/^\d+$/.test(stated) || !Number.isSafeInteger(size) || size === 0)
        throw fault(`virtual_size of ${id} is “${stated}”, expected a number of bytes`, struct.at);
      disks.push({ id, name: facts.get("name_label")?.text ?? "", size });
    }
  } catch (error) {
    if (error instanceof XmlError) throw fault(error.message, error.at);
    throw error;
  }
  return disks;
}

/** Members of an XML-RPC struct: name → the element in its value, or the value itself when that holds bare text. */
function membersOf(struct: Element): Map<string, Element> {
  const members = new Map<string, Element>();
  for (const member of struct.children) {
    const name = member.children.find((child) => child.name === "name");
    const value = member.children.find((child) => child.name === "value");
    if (name === undefined || value === undefined) continue;
    const [inner] = value.children;
    members.set(name.text, inner?.name === "struct" || inner === undefined ? value : inner);
  }
  return members;
}
