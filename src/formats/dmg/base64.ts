import { DiskError } from "../../core/errors.ts";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PAD = 0x3d;
const SKIP = 0x40;
const BAD = 0xff;

const VALUES = new Uint8Array(256).fill(BAD);
for (let i = 0; i < 64; i++) VALUES[ALPHABET.charCodeAt(i)] = i;
for (const space of [0x09, 0x0a, 0x0d, 0x20]) VALUES[space] = SKIP;

/**
 * RFC 4648 section 4, with white space anywhere, as property lists break it into lines. Whatever else does not belong
 * there is a `corrupt` DiskError at `place` plus the offset in `text`.
 */
export function decodeBase64(text: Uint8Array, file: string, place: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(Math.floor(text.length / 4) * 3 + 3);
  let length = 0;
  let group = 0;
  let digits = 0;
  let padding = 0;
  const refuse = (at: number, why: string) => new DiskError("corrupt", `dmg: plist: base64 data ${why}`, { file, at: place + at });
  for (let i = 0; i < text.length; i++) {
    const code = text[i] as number;
    const value = VALUES[code] as number;
    if (value === SKIP) continue;
    if (code === PAD) padding++;
    else if (value === BAD || padding > 0) throw refuse(i, `holds the character 0x${code.toString(16)} where it does not belong`);
    else {
      group = ((group << 6) | value) & 0xffffff;
      if (++digits % 4 === 0) {
        out[length++] = group >>> 16;
        out[length++] = group >>> 8;
        out[length++] = group;
      }
    }
  }
  const rest = digits % 4;
  if (rest === 1 || padding > 2 || (digits + padding) % 4 !== 0) throw refuse(text.length, "is not a whole number of groups of four");
  if (rest === 2) out[length++] = group >>> 4;
  if (rest === 3) {
    out[length++] = group >>> 10;
    out[length++] = group >>> 2;
  }
  return out.subarray(0, length);
}

/** Padded, without line breaks, as ASCII bytes. Pieces of a multiple of 3 bytes can be put behind one another. */
export function encodeBase64(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(Math.ceil(data.length / 3) * 4);
  let at = 0;
  for (let i = 0; i < data.length; i += 3) {
    const group = ((data[i] as number) << 16) | ((data[i + 1] ?? 0) << 8) | (data[i + 2] ?? 0);
    for (let shift = 18; shift >= 0; shift -= 6) out[at++] = ALPHABET.charCodeAt((group >>> shift) & 63);
  }
  const missing = (3 - (data.length % 3)) % 3;
  out.fill(PAD, out.length - missing);
  return out;
}
