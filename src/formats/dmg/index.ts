import type { DiskFormat } from "../../core/model.ts";
import { checkDmg, verifyDmg } from "./check.ts";
import { target } from "./options.ts";
import { openDmg } from "./reader.ts";
import { asciiAt, ENCRYPTED_HEAD, ENCRYPTED_TAIL, TRAILER_BYTES, TRAILER_SIGNATURE, Trailer } from "./spec.ts";

export const dmg: DiskFormat = {
  id: "dmg",
  label: "Apple (DMG)",
  extensions: ["dmg"],
  spec: "https://github.com/libyal/libmodi/blob/main/documentation/Mac%20OS%20disk%20image%20types.asciidoc",
  probe,
  async open(file, context) {
    const volume = await openDmg(file, context);
    return { ...volume, verify: (progress, signal) => verifyDmg(file, context, progress, signal) };
  },
  check: checkDmg,
  target,
};

/** By the end: at the beginning stands whatever the first chunk is, often something that looks like a compressed file. */
function probe(head: Uint8Array, tail: Uint8Array): boolean {
  if (tail.length >= TRAILER_BYTES && Trailer.read(tail, tail.length - TRAILER_BYTES).signature === TRAILER_SIGNATURE) return true;
  return asciiAt(head, 0, 8) === ENCRYPTED_HEAD || asciiAt(tail, tail.length - 8, 8) === ENCRYPTED_TAIL;
}
