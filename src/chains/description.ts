import type { ByteSource } from "../core/model.ts";
import { type Element, parseXml, XmlError } from "../core/xml.ts";
import { readHyperV } from "./hyper-v.ts";
import { readLibvirt } from "./libvirt.ts";
import { readText } from "./text.ts";
import { readVirtualBox } from "./virtualbox.ts";
import { readSettings, readVmsd, readVmx } from "./vmware.ts";

/** A disk that a machine has, as its description names it. */
export interface DescribedDisk {
  /** Verbatim: a thing to look for, never a path to open. */
  readonly name: string;
  /** Where it is attached: "scsi0:0", "vda". */
  readonly slot: string;
}

/** A point in time that a machine can go back to. */
export interface DescribedSnapshot {
  readonly name: string;
  /** The newest layers that belong to it. */
  readonly disks: readonly DescribedDisk[];
}

/** A disk image that VirtualBox has registered. */
export interface Medium {
  /** UUID, in lower case. */
  readonly id: string;
  readonly name: string;
}

/** What a machine's settings say about its disks. */
export interface Description {
  readonly kind: "vmware" | "virtualbox" | "libvirt" | "hyper-v";
  readonly machine: string | null;
  /** Of the machine as it is now; null where the file describes snapshots only. */
  readonly disks: readonly DescribedDisk[] | null;
  readonly snapshots: readonly DescribedSnapshot[];
  readonly media: readonly Medium[];
}

const XML_ENCODING = /^<\?xml[^>]*\sencoding=["']([\w.-]+)/;

/** Whether a file of this name may describe a machine. */
export const mayDescribe = (name: string): boolean => /\.(vmx|vmsd|vbox|xml)$/i.test(name);

/** Null: it describes no machine. Throws an XmlError when it should and is damaged. `path`: where it lies among the files given. */
export async function readDescription(file: ByteSource, path: string): Promise<Description | null> {
  const extension = /\.(\w+)$/.exec(file.name)?.[1]?.toLowerCase();
  if (extension === "vmx" || extension === "vmsd") {
    const text = await readText(file, /^\s*\.encoding\s*=\s*"?([\w.-]+)/im);
    if (text === null) return null;
    const settings = readSettings(text);
    return extension === "vmx" ? readVmx(settings) : readVmsd(settings);
  }
  const text = await readText(file, XML_ENCODING);
  return text === null ? null : readXmlDescription(text, extension === "vbox", /(?:^|\/)snapshots\/[^/]+$/i.test(path));
}

function readXmlDescription(text: string, isSure: boolean, isSnapshot: boolean): Description | null {
  let root: Element;
  try {
    root = parseXml(text.replace(/^\ufeff/, ""));
  } catch (error) {
    // Any other program's XML may lie beside an image.
    if (error instanceof XmlError && !isSure && !/<(?:domain|domainsnapshot)[\s>]/.test(text)) return null;
    throw error;
  }
  return readVirtualBox(root) ?? readLibvirt(root) ?? readHyperV(root, isSnapshot);
}
