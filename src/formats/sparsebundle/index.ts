import type { DiskFormat } from "../../core/model.ts";
import { BUNDLE_TYPE } from "./info.ts";
import { openSparseBundle } from "./reader.ts";

export const sparsebundle: DiskFormat = {
  id: "sparsebundle",
  label: "Apple (sparse bundle)",
  extensions: ["sparsebundle"],
  spec: "https://github.com/libyal/libmodi/blob/main/documentation/Mac%20OS%20disk%20image%20types.asciidoc",
  probe,
  open: openSparseBundle,
};

/** The bundle is known by its Info.plist. */
function probe(head: Uint8Array): boolean {
  const text = String.fromCharCode(...head.subarray(0, 4096));
  return /^(?:\xef\xbb\xbf)?\s*<(?:\?xml|!DOCTYPE|plist)/.test(text) && text.includes(`<string>${BUNDLE_TYPE}</string>`);
}
