import type { ByteSource } from "../../core/model.ts";
import * as q from "./spec.ts";

/** What the header extensions say; null or empty: absent. */
export interface Extensions {
  readonly backingFormat: string | null;
  readonly dataFileName: string | null;
  readonly bitmaps: ReturnType<typeof q.BITMAPS.read> | null;
  readonly crypto: ReturnType<typeof q.CRYPTO.read> | null;
  /** Names of incompatible features, by bit. */
  readonly incompatibleNames: ReadonlyMap<number, string>;
}

/** [1] Header extensions: between `start` and `end` of the first cluster, of which `cluster` holds what the file has. */
export function readExtensions(file: ByteSource, cluster: Uint8Array, start: number, end: number): Extensions {
  const data = new Map<number, Uint8Array>();
  for (let at = start; at + q.EXTENSION.bytes <= end; ) {
    const refuse = (text: string) => q.problem("corrupt", `header extension ${text}`, { file: file.name, at });
    if (at + q.EXTENSION.bytes > cluster.length) throw refuse("area is cut off: the file is truncated");
    const { type, length } = q.EXTENSION.read(cluster, at);
    if (type === q.EXTENSION_END) break;
    at += q.EXTENSION.bytes;
    if (length > end - at) throw refuse(`${q.hex(type)} has length ${length}, which runs past the end of the header area`);
    if (at + length > cluster.length) throw refuse(`${q.hex(type)} is cut off: the file is truncated`);
    if (KNOWN.has(type)) {
      if (data.has(type)) throw refuse(`${q.hex(type)} appears twice`);
      data.set(type, cluster.subarray(at, at + length));
    }
    at += Math.ceil(length / 8) * 8;
  }
  const text = (type: number) => {
    const bytes = data.get(type);
    return bytes === undefined ? null : new TextDecoder().decode(bytes);
  };
  const fixed = <V>(type: number, layout: { readonly bytes: number; read(from: Uint8Array): V }, name: string): V | null => {
    const bytes = data.get(type);
    if (bytes === undefined) return null;
    if (bytes.length < layout.bytes)
      throw q.problem("corrupt", `header extension “${name}” has ${bytes.length} bytes, expected ${layout.bytes}`, { file: file.name });
    return layout.read(bytes);
  };
  return {
    backingFormat: text(q.EXTENSION_BACKING_FORMAT),
    dataFileName: text(q.EXTENSION_DATA_FILE),
    bitmaps: fixed(q.EXTENSION_BITMAPS, q.BITMAPS, "bitmaps"),
    crypto: fixed(q.EXTENSION_CRYPTO, q.CRYPTO, "full disk encryption"),
    incompatibleNames: featureNames(data.get(q.EXTENSION_FEATURE_NAMES)),
  };
}

const KNOWN: ReadonlySet<number> = new Set([
  q.EXTENSION_BACKING_FORMAT,
  q.EXTENSION_DATA_FILE,
  q.EXTENSION_BITMAPS,
  q.EXTENSION_CRYPTO,
  q.EXTENSION_FEATURE_NAMES,
]);

function featureNames(table: Uint8Array | undefined): Map<number, string> {
  const names = new Map<number, string>();
  if (table === undefined) return names;
  for (let at = 0; at + q.FEATURE_NAME.bytes <= table.length; at += q.FEATURE_NAME.bytes) {
    const { type, bit, name } = q.FEATURE_NAME.read(table, at);
    const end = name.indexOf(0);
    if (type === 0) names.set(bit, new TextDecoder().decode(end < 0 ? name : name.subarray(0, end)));
  }
  return names;
}
