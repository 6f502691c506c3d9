import type { ByteSource } from "../../core/model.ts";
import { MAGIC_CLUSTERS, MAGIC_SECTORS, textOf } from "./spec.ts";

/** How far into a file the descriptor's root element is looked for. */
const HEAD_BYTES = 4096;

/** Whether a file with these first bytes is an expanding image, sound or not. */
export const hasMagic = (head: Uint8Array): boolean => [MAGIC_SECTORS, MAGIC_CLUSTERS].includes(textOf(head.subarray(0, 16)));

/** Whether a file with these first bytes is a DiskDescriptor.xml: its root element follows the declaration and comments. */
export function hasDescriptor(head: Uint8Array): boolean {
  let rest = textOf(head.subarray(0, HEAD_BYTES)).replace(/^\u00ef\u00bb\u00bf/, "");
  for (;;) {
    rest = rest.trimStart();
    const end = rest.startsWith("<?") ? rest.indexOf("?>") + 2 : rest.startsWith("<!--") ? rest.indexOf("-->", 4) + 3 : 0;
    if (end < 4) return /^<Parallels_disk_image[\s/>]/.test(rest);
    rest = rest.slice(end);
  }
}

export const isDescriptor = async (file: ByteSource): Promise<boolean> =>
  hasDescriptor(await file.read(0, Math.min(file.size, HEAD_BYTES)));
