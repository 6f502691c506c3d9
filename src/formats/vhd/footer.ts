import { DiskError } from "../../core/errors.ts";
import type { ByteSource } from "../../core/model.ts";
import { checksumOf, FOOTER_COOKIE, Footer, type FooterFields, OLD_FOOTER_BYTES, TYPE_FIXED, tagText } from "./spec.ts";

/** Something wrong that does not stop the reading: a note when the image is opened, a finding when it is checked. */
export interface Remark {
  readonly text: string;
  /** Place in the file. */
  readonly at: number;
  /** False: unusual, or open to doubt, but as it was meant to be. */
  readonly isDamage: boolean;
}

/** The footer that counts, and what was found out about the two places where it may stand. */
export interface FooterChoice {
  readonly fields: FooterFields;
  /** Place of the footer that counts. */
  readonly at: number;
  /** Where the footer at the end begins: blocks and data end before it. The file's size when there is none. */
  readonly endAt: number;
  /** False: no checksum bears witness for it; its fields must agree with the file exactly. */
  readonly isProven: boolean;
  readonly remarks: readonly Remark[];
}

/** One place where a footer may stand. */
interface Candidate {
  readonly at: number;
  readonly fields: FooterFields;
  readonly raw: Uint8Array;
  readonly stated: number;
  readonly computed: number;
}

/** Whether the cookie of a footer stands here. */
export const hasFooterCookie = (bytes: Uint8Array, at: number): boolean =>
  at >= 0 && at + 8 <= bytes.length && tagText(bytes.subarray(at, at + 8)) === FOOTER_COOKIE;

/**
 * The footer at the end of the file decides; the copy at its beginning (of dynamic and differencing images) steps in when it is
 * missing or its checksum is wrong. Two equal copies with the same wrong checksum prove each other: no damage strikes both alike.
 */
export async function readFooter(file: ByteSource): Promise<FooterChoice> {
  if (file.size === 0) throw new DiskError("corrupt", `vhd: ${file.name} is empty`, { file: file.name, at: 0 });
  const length = Math.min(Footer.bytes, file.size);
  const copy = candidateAt(await file.read(0, length), 0);
  const tailAt = file.size - length;
  const tail = await file.read(tailAt, length);
  const isOld = !hasFooterCookie(tail, 0) && hasFooterCookie(tail, length - OLD_FOOTER_BYTES);
  const end = tailAt === 0 ? null : candidateAt(isOld ? tail.subarray(length - OLD_FOOTER_BYTES) : tail, tailAt + (isOld ? 1 : 0));
  const only = tailAt === 0 ? copy : null;
  const choice = choose(file, only === null ? copy : null, only ?? end);
  return { ...choice, endAt: (only ?? end)?.at ?? file.size };
}

function candidateAt(bytes: Uint8Array, at: number): Candidate | null {
  if (!hasFooterCookie(bytes, 0)) return null;
  const raw = new Uint8Array(Footer.bytes);
  raw.set(bytes);
  const fields = Footer.read(raw);
  return { at, raw, fields, stated: fields.checksum, computed: checksumOf(raw, Footer.offsetOf("checksum")) };
}

/** The candidate, if its checksum is right. */
const sound = (candidate: Candidate | null): Candidate | null =>
  candidate !== null && candidate.stated === candidate.computed ? candidate : null;
const sumText = ({ stated, computed }: Candidate) =>
  `its checksum is 0x${stated.toString(16)}, but its bytes give 0x${computed.toString(16)}`;

function choose(file: ByteSource, copy: Candidate | null, end: Candidate | null): Omit<FooterChoice, "endAt"> {
  const soundCopy = sound(copy);
  if (end !== null && sound(end) !== null) {
    // A fixed image has no copy: what looks like one is the guest's.
    if (end.fields.diskType === TYPE_FIXED) return chosen(end, []);
    if (copy === null)
      return chosen(end, [{ at: 0, isDamage: true, text: "The copy of the footer at the beginning of the file is missing." }]);
    if (soundCopy === null)
      return chosen(end, [
        { at: 0, isDamage: true, text: `The copy of the footer at the beginning of the file is damaged: ${sumText(copy)}.` },
      ]);
    const differs = copy.raw.some((byte, i) => byte !== end.raw[i]);
    const text = "The footer and its copy at the beginning of the file differ; the one at the end counts.";
    return chosen(end, differs ? [{ at: 0, isDamage: true, text }] : []);
  }
  const at = end?.at ?? file.size;
  if (soundCopy !== null && soundCopy.fields.diskType !== TYPE_FIXED) {
    const what = end === null ? "is missing: the file may be cut off" : `is damaged: ${sumText(end)}`;
    return chosen(soundCopy, [
      { at, isDamage: true, text: `The footer at the end of the file ${what}. Its copy at the beginning is used.` },
    ]);
  }
  const found = end ?? copy;
  if (found === null)
    throw new DiskError("corrupt", `vhd: there is no footer ("${FOOTER_COOKIE}") at the end of ${file.name}, nor a copy at its beginning`, {
      file: file.name,
      at: Math.max(0, file.size - Footer.bytes),
    });
  const agree = end !== null && copy !== null && !copy.raw.some((byte, i) => byte !== end.raw[i]);
  if (agree || (end !== null && copy === null && end.fields.diskType === TYPE_FIXED)) {
    const { stated, computed } = found;
    const text = agree
      ? `The footer and its copy are alike, but their checksum is 0x${stated.toString(16)}, and their bytes give 0x${computed.toString(16)}.`
      : `The footer is damaged or altered: ${sumText(found)}.`;
    return { ...chosen(found, [{ at: found.at, isDamage: true, text }]), isProven: agree };
  }
  throw new DiskError(
    "corrupt",
    `vhd: checksum is 0x${found.stated.toString(16)}, expected 0x${found.computed.toString(16)}; no other footer is sound`,
    {
      file: file.name,
      at: found.at + Footer.offsetOf("checksum"),
    },
  );
}

const chosen = ({ fields, at }: Candidate, remarks: readonly Remark[]) => ({ fields, at, isProven: true, remarks });
