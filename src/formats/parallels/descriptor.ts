import { DiskError, type DiskErrorCode } from "../../core/errors.ts";
import type { ByteSource, Note } from "../../core/model.ts";
import { type Element, escapeXml, parseXml, XmlError } from "../../core/xml.ts";
import { DEFAULT_TOP, NO_PARENT, SECTOR } from "./spec.ts";

/** A file of a bundle; `name` as the descriptor has it. */
export interface BundleImage {
  readonly guid: string;
  readonly type: "Compressed" | "Plain";
  readonly name: string;
  /** Where the descriptor names it: a byte. */
  readonly at: number;
}

/** A part of the disk and its files, one for every snapshot. */
export interface Storage {
  /** Sectors of the disk: from `start` to before `end`. */
  readonly start: number;
  readonly end: number;
  /** Cluster size in sectors. */
  readonly blockSize: number;
  readonly images: readonly BundleImage[];
  readonly at: number;
}

/** DiskDescriptor.xml. GUIDs are in lower case, in braces. */
export interface Descriptor {
  readonly sectors: number;
  /** Ascending, without gaps, over the whole disk. */
  readonly storages: readonly Storage[];
  /** GUID of an image → GUID of the one below it. */
  readonly parents: ReadonlyMap<string, string>;
  /** The active image. */
  readonly top: string;
  readonly encrypted: boolean;
  readonly notes: readonly Note[];
}

const MOST_BYTES = 1 << 20;
const GUID = /^\{[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}$/;
const NO_ENGINE = NO_PARENT;

/** Reads and validates the descriptor. [BUNDLE] */
export async function readDescriptor(file: ByteSource): Promise<Descriptor> {
  if (file.size > MOST_BYTES)
    throw new DiskError("limit", `parallels: ${file.name} has ${file.size} bytes, at most ${MOST_BYTES} are read`, {
      file: file.name,
      at: 0,
    });
  const bytes = await file.read(0, file.size);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new DiskError("corrupt", `parallels: ${file.name} is not UTF-8`, { file: file.name, at: 0, cause });
  }
  return new Parser(file.name, text).descriptor();
}

class Parser {
  private readonly file: string;
  private readonly text: string;
  private readonly notes: Note[] = [];
  /** A place in the text, and how many bytes stand before it. */
  private counted = { character: 0, byte: 0 };

  constructor(file: string, text: string) {
    this.file = file;
    this.text = text;
  }

  descriptor(): Descriptor {
    const root = this.parse();
    if (root.name !== "Parallels_disk_image") throw this.error(root, `the root element is <${root.name}>, expected <Parallels_disk_image>`);
    const version = root.attributes.get("Version");
    if (version !== "1.0") throw this.error(root, `Version is ${JSON.stringify(version ?? "missing")}, expected "1.0"`, "unsupported");
    const disk = this.only(root, "Disk_Parameters");
    const sectors = this.number(disk, "Disk_size");
    if (sectors === 0) throw this.error(disk, "Disk_size is 0");
    if (sectors > Number.MAX_SAFE_INTEGER / SECTOR) throw this.error(disk, `Disk_size is ${sectors} sectors, 2^53 bytes or more`, "limit");
    this.geometry(disk, sectors);
    const storages = this.storages(this.only(root, "StorageData"), sectors);
    const snapshots = this.only(root, "Snapshots");
    const parents = this.parents(snapshots);
    const stated = snapshots.children.some(({ name }) => name === "TopGUID");
    const top = stated ? this.guid(snapshots, "TopGUID") : DEFAULT_TOP;
    return {
      sectors,
      storages,
      parents,
      top: this.top(snapshots, top, stated, storages, parents),
      encrypted: this.isEncrypted(disk),
      notes: this.notes,
    };
  }

  private parse(): Element {
    try {
      return parseXml(this.text);
    } catch (cause) {
      if (!(cause instanceof XmlError)) throw cause;
      throw new DiskError("corrupt", `parallels: ${this.file}: ${cause.message}`, { file: this.file, at: this.byteAt(cause.at), cause });
    }
  }

  /** [BUNDLE] Disk_Parameters element */
  private geometry(disk: Element, sectors: number): void {
    if (disk.children.some(({ name }) => name === "Padding") && this.number(disk, "Padding") !== 0)
      throw this.error(disk, "Padding is not 0; what such a disk holds is not specified", "unsupported");
    const [cylinders, heads, perTrack] = ["Cylinders", "Heads", "Sectors"].map((name) => this.number(disk, name)) as [
      number,
      number,
      number,
    ];
    if (cylinders * heads * perTrack !== sectors)
      this.notes.push({
        text: `${this.file} states ${cylinders} × ${heads} × ${perTrack} sectors, but a size of ${sectors}.`,
        severity: "warning",
      });
  }

  private isEncrypted(disk: Element): boolean {
    const encryption = disk.children.find(({ name }) => name === "Encryption");
    const engine = encryption?.children.find(({ name }) => name === "Engine")?.text ?? "";
    return engine !== "" && engine !== NO_ENGINE;
  }

  /** [BUNDLE] StorageData element; several storages are a split disk. */
  private storages(data: Element, sectors: number): Storage[] {
    const storages = data.children.filter(({ name }) => name === "Storage").map((element) => this.storage(element));
    storages.sort((a, b) => a.start - b.start);
    let next = 0;
    for (const { start, end, at } of storages) {
      if (start !== next || end <= start) throw this.errorAt(at, `a Storage has sectors ${start} to ${end}, where ${next} is next`);
      next = end;
    }
    if (next !== sectors) throw this.error(data, `the Storage elements end at sector ${next}, but Disk_size is ${sectors}`);
    const names = new Set<string>();
    for (const { name, at } of storages.flatMap(({ images }) => images)) {
      if (names.has(name)) throw this.errorAt(at, `the file ${JSON.stringify(name)} is named twice`);
      names.add(name);
    }
    return storages;
  }

  private storage(element: Element): Storage {
    const at = this.byteAt(element.at);
    const images = element.children.filter(({ name }) => name === "Image").map((image) => this.image(image));
    const guids = new Set(images.map(({ guid }) => guid));
    if (guids.size < images.length) throw this.error(element, "a Storage has two images with the same GUID");
    return {
      start: this.number(element, "Start"),
      end: this.number(element, "End"),
      blockSize: this.number(element, "Blocksize"),
      images,
      at,
    };
  }

  private image(element: Element): BundleImage {
    const type = this.only(element, "Type").text;
    if (type !== "Compressed" && type !== "Plain")
      throw this.error(element, `Type is ${JSON.stringify(type)}, expected "Compressed" or "Plain"`, "unsupported");
    const name = this.only(element, "File").text;
    if (name === "") throw this.error(element, "File is empty");
    return { guid: this.guid(element, "GUID"), type, name, at: this.byteAt(element.at) };
  }

  /** [BUNDLE] Snapshots element */
  private parents(snapshots: Element): Map<string, string> {
    const parents = new Map<string, string>();
    for (const shot of snapshots.children.filter(({ name }) => name === "Shot")) {
      const guid = this.guid(shot, "GUID");
      if (parents.has(guid)) throw this.error(shot, `two Shot elements have the GUID ${guid}`);
      parents.set(guid, this.guid(shot, "ParentGUID"));
    }
    return parents;
  }

  /** Without a TopGUID and without the image of the predefined one, an only image is the active one. */
  private top(place: Element, top: string, stated: boolean, storages: readonly Storage[], parents: ReadonlyMap<string, string>): string {
    const known = new Set(storages.flatMap(({ images }) => images.map(({ guid }) => guid)));
    if (parents.has(top) || known.has(top)) return top;
    const [only] = known;
    if (!stated && known.size === 1 && only !== undefined) return only;
    throw this.error(place, `the active image ${top} is none of those listed`);
  }

  private only(parent: Element, name: string): Element {
    const [found, second] = parent.children.filter((child) => child.name === name);
    if (found === undefined) throw this.error(parent, `<${parent.name}> has no <${name}>`);
    if (second !== undefined) throw this.error(second, `<${parent.name}> has two <${name}>`);
    return found;
  }

  private number(parent: Element, name: string): number {
    const element = this.only(parent, name);
    const value = /^\d{1,19}$/.test(element.text) ? Number(element.text) : Number.NaN;
    if (!Number.isSafeInteger(value)) throw this.error(element, `${name} is ${JSON.stringify(element.text)}, expected a whole number`);
    return value;
  }

  private guid(parent: Element, name: string): string {
    const element = this.only(parent, name);
    const guid = element.text.toLowerCase();
    if (!GUID.test(guid)) throw this.error(element, `${name} is ${JSON.stringify(element.text)}, expected a UUID in braces`);
    return guid;
  }

  private error(element: Element, text: string, code: DiskErrorCode = "corrupt"): DiskError {
    return this.errorAt(this.byteAt(element.at), text, code);
  }

  private errorAt(at: number, text: string, code: DiskErrorCode = "corrupt"): DiskError {
    return new DiskError(code, `parallels: ${this.file}: ${text}`, { file: this.file, at });
  }

  /** Elements are met nearly in the order of the text, so each is counted from the one before. */
  private byteAt(character: number): number {
    const from = character < this.counted.character ? { character: 0, byte: 0 } : this.counted;
    const byte = from.byte + new TextEncoder().encode(this.text.slice(from.character, character)).length;
    this.counted = { character, byte };
    return byte;
  }
}

/** The descriptor of a disk of `sectors` with one expanding image. [BUNDLE] Description file */
export function descriptorText(sectors: number, blockSize: number, name: string): string {
  const perTrack = largestDivisor(sectors, 63);
  const heads = largestDivisor(sectors / perTrack, 16);
  return `<?xml version='1.0' encoding='UTF-8'?>
<Parallels_disk_image Version="1.0">
    <Disk_Parameters>
        <Disk_size>${sectors}</Disk_size>
        <Cylinders>${sectors / perTrack / heads}</Cylinders>
        <Heads>${heads}</Heads>
        <Sectors>${perTrack}</Sectors>
        <Padding>0</Padding>
    </Disk_Parameters>
    <StorageData>
        <Storage>
            <Start>0</Start>
            <End>${sectors}</End>
            <Blocksize>${blockSize}</Blocksize>
            <Image>
                <GUID>${DEFAULT_TOP}</GUID>
                <Type>Compressed</Type>
                <File>${escapeXml(name)}</File>
            </Image>
        </Storage>
    </StorageData>
    <Snapshots>
        <Shot>
            <GUID>${DEFAULT_TOP}</GUID>
            <ParentGUID>${NO_PARENT}</ParentGUID>
        </Shot>
    </Snapshots>
</Parallels_disk_image>
`;
}

/** The product of cylinders, heads and sectors must be the size exactly. [BUNDLE] Disk_Parameters element */
function largestDivisor(value: number, most: number): number {
  for (let divisor = most; divisor > 1; divisor--) if (value % divisor === 0) return divisor;
  return 1;
}
