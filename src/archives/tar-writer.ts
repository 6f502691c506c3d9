// References: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format" (base-256 numbers)

export const TAR_BLOCK = 512;
/** An archive ends with two blocks of zeros. */
export const TAR_END_BYTES = 2 * TAR_BLOCK;

/** Eleven octal digits. */
const LARGEST_OCTAL = 8 ** 11 - 1;

/** The header block of a regular file, dated 1970-01-01 and owned by root: the same for the same name and size. `name`: at most 100 ASCII characters. */
export function tarHeader(name: string, size: number, magic: "ustar" | "gnu" = "ustar"): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(TAR_BLOCK);
  const put = (at: number, text: string): void => block.set(new TextEncoder().encode(text), at);
  const octal = (at: number, value: number, digits: number): void => put(at, value.toString(8).padStart(digits, "0"));
  if (new TextEncoder().encode(name).length > 100) throw new RangeError(`tar: the name ${name} is too long`);
  put(0, name);
  octal(100, 0o644, 7);
  octal(108, 0, 7);
  octal(116, 0, 7);
  if (size <= LARGEST_OCTAL) octal(124, size, 11);
  else {
    block[124] = 0x80;
    new DataView(block.buffer).setBigUint64(128, BigInt(size), false);
  }
  octal(136, 0, 11);
  put(156, "0");
  put(257, magic === "gnu" ? "ustar  \0" : "ustar\x0000");
  block.fill(0x20, 148, 156);
  octal(
    148,
    block.reduce((sum, byte) => sum + byte, 0),
    6,
  );
  block[154] = 0;
  return block;
}

/** Zeros behind a member of this size, up to the next block. */
export const tarPadding = (size: number): number => (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK;
