import { vhd } from "../formats/vhd/index.ts";
import { checksumOf, Footer, type FooterFields, Header, type HeaderFields } from "../formats/vhd/spec.ts";
import { diskOf } from "./disks.ts";
import { specFor, testCompute, writeImage } from "./image-harness.ts";

// Images by our writer whose fields and tables tests change.

const target = vhd.target!;

export const MIB = 1 << 20;
export const UNIT = 2 * MIB;
export const TABLE_AT = 1536;
/** Where the writer puts block `i` of a disk of at most 128 blocks. */
export const blockAt = (i: number) => 2048 + i * (UNIT + 512);
export type Bytes = Uint8Array<ArrayBuffer>;

export async function written(size: number, blocks: ReadonlyMap<number, Uint8Array>, options = {}): Promise<Bytes> {
  const image = await writeImage(target.create(specFor(target, size, "d.vhd", options), testCompute()), diskOf(size, UNIT, blocks));
  return image.files[0]!.read(0, image.sizes[0]!);
}
/** Blocks 0 and 2 of a disk of 7 MiB hold data, as does the half block at its end. */
export const sample = () => written(7 * MIB, new Map([0, 2, 3].map((i) => [i, new Uint8Array(UNIT).fill(i + 1)])));
export const fixedSample = () => written(MIB, new Map([[0, new Uint8Array(MIB).fill(7)]]), { subformat: "fixed" });

export const put = (bytes: Uint8Array, at: number, value: number) => new DataView(bytes.buffer).setUint32(at, value >>> 0);
export const entry = (bytes: Uint8Array, i: number, value: number) => put(bytes, TABLE_AT + i * 4, value);
/** Changes fields of the footer (both copies, if there are two) or of the header, and sets the checksums right. */
export function setFooter(bytes: Bytes, change: Partial<FooterFields>, places?: readonly number[]): Bytes {
  const end = bytes.length - Footer.bytes;
  for (const at of places ?? (Footer.read(bytes, end).diskType === 2 ? [end] : [0, end])) {
    const fields = { ...Footer.read(bytes, at), ...change };
    bytes.set(Footer.write({ ...fields, checksum: checksumOf(Footer.write(fields), Footer.offsetOf("checksum")) }), at);
  }
  return bytes;
}
export function setHeader(bytes: Bytes, change: Partial<HeaderFields>): Bytes {
  const fields = { ...Header.read(bytes, 512), ...change };
  bytes.set(Header.write({ ...fields, checksum: checksumOf(Header.write(fields), Header.offsetOf("checksum")) }), 512);
  return bytes;
}
