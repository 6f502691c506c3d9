import type { ByteSource } from "../core/model.ts";

/** Settings of machines are smaller; a registry of many media is not larger. */
const MOST_BYTES = 4 << 20;

/** The file as text: by its byte order mark, by the encoding that it states, as UTF-8, or as windows-1252; null when it is too large. */
export async function readText(file: ByteSource, stated: RegExp): Promise<string | null> {
  if (file.size > MOST_BYTES) return null;
  const bytes = await file.read(0, file.size);
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return new TextDecoder("utf-16le").decode(bytes);
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return new TextDecoder("utf-16be").decode(bytes);
  const ascii = String.fromCharCode(...bytes.subarray(0, 4096));
  for (const label of [stated.exec(ascii)?.[1] ?? "utf-8", "utf-8"]) {
    try {
      return new TextDecoder(label, { fatal: true }).decode(bytes);
    } catch (error) {
      // RangeError: no such encoding here; TypeError: the text is not in it.
      if (!(error instanceof RangeError) && !(error instanceof TypeError)) throw error;
    }
  }
  return new TextDecoder("windows-1252").decode(bytes);
}
