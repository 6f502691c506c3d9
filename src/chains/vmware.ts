import type { DescribedDisk, DescribedSnapshot, Description } from "./description.ts";

/** Keys in lower case, as VMware compares them. */
export type Settings = ReadonlyMap<string, string>;

/** The lines `key = "value"` of a .vmx or .vmsd file; others mean nothing. The last of equal keys counts. */
export function readSettings(text: string): Settings {
  const settings = new Map<string, string>();
  for (const line of text.split(/\r\n|\n|\r/)) {
    const [, key, quoted, plain] = /^\s*([\w.:-]+)\s*=\s*(?:"(.*)"\s*|([^"].*?)\s*)$/.exec(line) ?? [];
    if (key !== undefined) settings.set(key.toLowerCase(), unescaped(quoted ?? plain ?? ""));
  }
  return settings;
}

/** `|22` is a quotation mark: a character of the file's encoding as two hexadecimal digits. */
const unescaped = (text: string): string =>
  text.replace(/\|([0-9a-f]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));

const SLOT = /^((?:scsi|sata|ide|nvme)\d+:\d+)\.filename$/;
const IS_NO_DISK = /cdrom|atapi|floppy/i;

/** The disks that a machine starts with. */
export function readVmx(settings: Settings): Description {
  const disks: DescribedDisk[] = [];
  for (const [key, name] of settings) {
    const slot = SLOT.exec(key)?.[1];
    if (slot === undefined || name === "") continue;
    const [present = "TRUE", type = "disk"] = [settings.get(`${slot}.present`), settings.get(`${slot}.devicetype`)];
    if (/^false$/i.test(present) || IS_NO_DISK.test(type) || /\.iso$/i.test(name)) continue;
    disks.push({ name, slot });
  }
  return { kind: "vmware", machine: settings.get("displayname") ?? null, disks, snapshots: [], media: [] };
}

/** The snapshots of a machine: each names the newest layers that belong to it, the first of which later ones lie over. */
export function readVmsd(settings: Settings): Description {
  const snapshots = new Map<string, DescribedDisk[]>();
  for (const [key, name] of settings) {
    const [, snapshot, disk] = /^(snapshot\d+)\.(disk\d+)\.filename$/.exec(key) ?? [];
    if (snapshot === undefined || disk === undefined || name === "") continue;
    const disks = snapshots.get(snapshot) ?? [];
    disks.push({ name, slot: settings.get(`${snapshot}.${disk}.node`) ?? disk });
    snapshots.set(snapshot, disks);
  }
  const named = [...snapshots].map(([key, disks]): DescribedSnapshot => ({ name: settings.get(`${key}.displayname`) ?? key, disks }));
  return { kind: "vmware", machine: null, disks: null, snapshots: named, media: [] };
}
