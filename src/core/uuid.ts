// UUIDs (RFC 9562) as text and as 16 bytes. Most formats store the bytes as the text has them; Microsoft's and VirtualBox's store the
// first three groups little-endian ("GUID" in the names below).
import { hexText } from "./hex.ts";

const GUID_ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
const TEXT = /^(\{?)([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})(\}?)$/i;

/** The bytes in the other of the two orders. */
const swapped = (id: Uint8Array): Uint8Array<ArrayBuffer> => Uint8Array.from(GUID_ORDER, (place) => id[place] as number);

/** 16 bytes as `01234567-89ab-4cde-8f01-23456789abcd`; null for the nil id, by which headers state that there is none. */
export function uuidText(id: Uint8Array): string | null {
  if (id.every((byte) => byte === 0)) return null;
  return hexText(id).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
export const guidText = (id: Uint8Array): string | null => uuidText(swapped(id));

/** The 16 bytes of a UUID in either case, with or without braces; null when the text is none. */
export function uuidBytes(text: string): Uint8Array<ArrayBuffer> | null {
  const groups = TEXT.exec(text);
  if (groups === null || (groups[1] === "") !== (groups[7] === "")) return null;
  const digits = groups.slice(2, 7).join("");
  return Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16));
}
export function guidBytes(text: string): Uint8Array<ArrayBuffer> | null {
  const id = uuidBytes(text);
  return id === null ? null : swapped(id);
}

/** The seed's first 16 bytes, made a UUID of version 4 (RFC 9562 section 5.4). */
export function uuidFrom(seed: Uint8Array): Uint8Array<ArrayBuffer> {
  return versioned(seed, 6);
}
/** The same for an id whose first three groups are little-endian. */
export function guidFrom(seed: Uint8Array): Uint8Array<ArrayBuffer> {
  return versioned(seed, 7);
}

function versioned(seed: Uint8Array, versionAt: number): Uint8Array<ArrayBuffer> {
  const id = Uint8Array.from({ length: 16 }, (_, i) => seed[i] ?? 0);
  id[versionAt] = ((id[versionAt] as number) & 0x0f) | 0x40;
  id[8] = ((id[8] as number) & 0x3f) | 0x80;
  return id;
}
