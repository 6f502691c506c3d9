import { DiskError } from "../../core/errors.ts";
import type { ByteSource } from "../../core/model.ts";

export const BUNDLE_TYPE = "com.apple.diskimage.sparsebundle";
const BACKING_STORE_VERSION = 1;
/** hdiutil writes about 500 bytes. */
const MOST_BYTES = 1 << 16;
/** hdiutil takes bands of 1 MiB to 8 GiB in multiples of 512 bytes. */
const LARGEST_BAND = 2 ** 40;

/** What Info.plist says, in bytes. */
export interface BundleInfo {
  readonly size: number;
  readonly bandSize: number;
}

/** Reads Info.plist: one dictionary of text and integers. Anything nested is no such file. */
export async function readInfo(file: ByteSource, signal?: AbortSignal): Promise<BundleInfo> {
  if (file.size > MOST_BYTES)
    throw new DiskError("corrupt", `sparsebundle: ${file.name} has ${file.size} bytes, expected at most ${MOST_BYTES}`, {
      file: file.name,
      at: 0,
    });
  const text = new TextDecoder("latin1").decode(await file.read(0, file.size, signal));
  const body = /<plist[^<>]*>\s*<dict>([\s\S]*)<\/dict>\s*<\/plist>\s*$/.exec(text)?.[1];
  if (body === undefined) throw new DiskError("corrupt", "sparsebundle: Info.plist holds no dictionary", { file: file.name, at: 0 });
  const values = new Map<string, { readonly value: string; readonly at: number }>();
  const pair =
    /\s*<key>([^<]*)<\/key>\s*(?:<(string|integer|real|date)>([^<]*)<\/\2>|<(?:string|true|false)\s*\/>)\s*|\s*<!--[\s\S]*?-->\s*/y;
  const start = text.indexOf(body);
  while (pair.lastIndex < body.length) {
    const at = start + pair.lastIndex;
    const match = pair.exec(body);
    if (match === null)
      throw new DiskError("corrupt", "sparsebundle: Info.plist holds something other than a key with its text or integer", {
        file: file.name,
        at,
      });
    const [, key, , value] = match;
    if (key === undefined || value === undefined) continue;
    if (values.has(key)) throw new DiskError("corrupt", `sparsebundle: Info.plist holds the key "${key}" twice`, { file: file.name, at });
    values.set(key, { value: value.trim(), at });
  }
  const refuse = (code: "corrupt" | "unsupported", key: string, expected: string) => {
    const found = values.get(key);
    return new DiskError(code, `sparsebundle: ${key} is ${found === undefined ? "missing" : `"${found.value}"`}, expected ${expected}`, {
      file: file.name,
      at: found?.at ?? 0,
    });
  };
  const count = (key: string, most: number): number => {
    const value = values.get(key)?.value ?? "";
    const number = Number(value);
    if (!/^\d{1,16}$/.test(value) || number === 0 || number > most || number % 512 !== 0)
      throw refuse("corrupt", key, `a multiple of 512 from 512 to ${most}`);
    return number;
  };
  if (values.get("diskimage-bundle-type")?.value !== BUNDLE_TYPE) throw refuse("corrupt", "diskimage-bundle-type", BUNDLE_TYPE);
  if (Number(values.get("bundle-backingstore-version")?.value) !== BACKING_STORE_VERSION)
    throw refuse("unsupported", "bundle-backingstore-version", `${BACKING_STORE_VERSION}`);
  return { size: count("size", Number.MAX_SAFE_INTEGER), bandSize: count("band-size", LARGEST_BAND) };
}
