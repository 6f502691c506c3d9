/** Bytes as lower-case hexadecimal digits, two each: hashes, ids. */
export const hexText = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** A field's value as messages show it: `0x1f`. */
export const hexNumber = (value: number | bigint): string => `0x${value.toString(16)}`;
