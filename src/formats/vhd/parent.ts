import { DiskError } from "../../core/errors.ts";
import type { ByteSource, FileReference } from "../../core/model.ts";
import { uuidText } from "../../core/uuid.ts";
import type { Remark } from "./footer.ts";
import { Header, type HeaderFields, Locator, SECTOR, tagText } from "./spec.ts";

/** A path has at most 32,767 UTF-16 units on Windows; more than this is damage. */
const MOST_LOCATOR_BYTES = 1 << 16;

/** A part of the file, in bytes. */
export interface Area {
  readonly at: number;
  readonly end: number;
}

/** How one entry names the parent. */
export interface ParentLocator {
  /** "W2ru", "W2ku", "MacX", "Mac ", "Wi2r", "Wi2k" */
  readonly platform: string;
  /** Null where it holds no text (a Macintosh alias) or cannot be read. */
  readonly path: string | null;
}

export interface ParentLink {
  readonly reference: FileReference;
  readonly unicodeName: string;
  readonly locators: readonly ParentLocator[];
  /** What the locators take of the file. */
  readonly areas: readonly Area[];
  readonly remarks: readonly Remark[];
}

/** Which name is asked for, if there are several: the relative one moves with the files. [MS-VHD] Platform Code */
const PREFERENCE = ["W2ru", "W2ku", "MacX", "Wi2r", "Wi2k"];

/** What a differencing image says of its parent: its id, and its name in up to nine ways. `limit`: the locators' data end before it. */
export async function readParent(file: ByteSource, header: HeaderFields, headerAt: number, limit: number): Promise<ParentLink> {
  const locators: ParentLocator[] = [];
  const areas: Area[] = [];
  const remarks: Remark[] = [];
  for (let i = 0; i < 8; i++) {
    const entry = Locator.read(header.parentLocators, i * Locator.bytes);
    if (entry.platformCode.every((byte) => byte === 0)) continue;
    const platform = tagText(entry.platformCode);
    const { platformDataLength: length, platformDataOffset } = entry;
    const end = platformDataOffset + BigInt(length);
    if (length > MOST_LOCATOR_BYTES || end > BigInt(limit)) {
      const at = headerAt + Header.offsetOf("parentLocators") + i * Locator.bytes;
      remarks.push({
        at,
        isDamage: true,
        text: `Parent locator ${i + 1} (${platform}) has ${length} bytes at ${platformDataOffset}, which cannot be: it is ignored.`,
      });
      locators.push({ platform, path: null });
      continue;
    }
    const at = Number(platformDataOffset);
    areas.push({ at, end: at + Math.ceil(length / SECTOR) * SECTOR });
    locators.push({ platform, path: locatorText(platform, await file.read(at, length)) });
  }
  const unicodeName = utf16(header.parentUnicodeName, "be");
  const id = uuidText(header.parentUniqueId);
  const name =
    PREFERENCE.map((wanted) => locators.find(({ platform, path }) => platform === wanted && path !== null && path !== "")?.path).find(
      (path) => path !== undefined && path !== null,
    ) ?? (unicodeName === "" && id !== null ? `{${id}}.vhd` : unicodeName);
  const idAt = headerAt + Header.offsetOf("parentUniqueId");
  if (name === "")
    throw new DiskError(
      "corrupt",
      "vhd: parentUniqueId is nil and no parent is named: a differencing image cannot be read without its parent",
      {
        file: file.name,
        at: idAt,
      },
    );
  if (id === null)
    remarks.push({
      at: idAt,
      isDamage: false,
      text: "The image does not state its parent's id: whether the right parent is given cannot be told.",
    });
  return { reference: { role: "parent", name, id, format: "vpc" }, unicodeName, locators, areas, remarks };
}

/** [MS-VHD] Platform Code. A "Mac " alias is a binary structure. */
function locatorText(platform: string, bytes: Uint8Array): string | null {
  if (platform === "W2ru" || platform === "W2ku") {
    // Windows stores these little-endian, though the rest of the file is big-endian. A path begins with a character of one byte.
    return utf16(bytes, bytes[0] === 0 && bytes[1] !== 0 ? "be" : "le");
  }
  if (platform === "MacX") return decodedUrl(untilNul(new TextDecoder().decode(bytes)));
  if (platform === "Wi2r" || platform === "Wi2k") return untilNul(String.fromCharCode(...bytes.subarray(0, 1024)));
  return null;
}

const untilNul = (text: string): string => text.split("\0", 1)[0] as string;
const utf16 = (bytes: Uint8Array, endian: "le" | "be"): string => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let text = "";
  for (let at = 0; at + 2 <= bytes.length; at += 2) {
    const unit = view.getUint16(at, endian === "le");
    if (unit === 0) break;
    text += String.fromCharCode(unit);
  }
  return text.replace(/^\ufeff/, "");
};

/** RFC 3986 percent-encoding undone; as it stands where it is none. */
function decodedUrl(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
