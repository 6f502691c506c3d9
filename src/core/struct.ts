import { DiskError } from "./errors.ts";

/** One fixed-size field: how it is read and written. */
export interface Field<T> {
  readonly bytes: number;
  get(view: DataView, at: number, little: boolean): T;
  set(view: DataView, at: number, value: T, little: boolean): void;
}
type Values<F> = { -readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** A byte layout declared once and used by the reader, the writer, the checker and the error messages of a format. */
export interface Struct<V> {
  readonly bytes: number;
  offsetOf(field: keyof V): number;
  /** `from` must hold `bytes` bytes at `at`. */
  read(from: Uint8Array, at?: number): V;
  write(value: V): Uint8Array<ArrayBuffer>;
}

export const u8: Field<number> = { bytes: 1, get: (v, at) => v.getUint8(at), set: (v, at, x) => v.setUint8(at, x) };
export const u16: Field<number> = { bytes: 2, get: (v, at, le) => v.getUint16(at, le), set: (v, at, x, le) => v.setUint16(at, x, le) };
export const u32: Field<number> = { bytes: 4, get: (v, at, le) => v.getUint32(at, le), set: (v, at, x, le) => v.setUint32(at, x, le) };
/** 64-bit value as a number: a field past 2^53 is refused, not rounded. */
export const u64: Field<number> = {
  bytes: 8,
  get(v, at, le) {
    const x = v.getBigUint64(at, le);
    if (x > BigInt(Number.MAX_SAFE_INTEGER)) throw new DiskError("limit", `64-bit field is 0x${x.toString(16)}, past 2^53`, { at });
    return Number(x);
  },
  set: (v, at, x, le) => v.setBigUint64(at, BigInt(x), le),
};
/** 64-bit value kept exact: flags, and fields whose garbage must stay visible. */
export const u64exact: Field<bigint> = {
  bytes: 8,
  get: (v, at, le) => v.getBigUint64(at, le),
  set: (v, at, x, le) => v.setBigUint64(at, x, le),
};
export const bytes = (n: number): Field<Uint8Array> => ({
  bytes: n,
  get: (v, at) => new Uint8Array(v.buffer, v.byteOffset + at, n).slice(),
  set: (v, at, x) => new Uint8Array(v.buffer, v.byteOffset + at, n).set(x.subarray(0, n)),
});

// biome-ignore lint/suspicious/noExplicitAny: a record of fields of differing types has no other spelling
export function struct<F extends Record<string, Field<any>>>(endian: "le" | "be", fields: F): Struct<Values<F>> {
  const little = endian === "le";
  const offsets = new Map<PropertyKey, number>();
  let size = 0;
  for (const [name, field] of Object.entries(fields)) {
    offsets.set(name, size);
    size += field.bytes;
  }
  return {
    bytes: size,
    offsetOf: (name) => offsets.get(name) as number,
    read(from, at = 0) {
      const view = new DataView(from.buffer, from.byteOffset + at, size);
      const out: Record<string, unknown> = {};
      for (const [name, field] of Object.entries(fields)) out[name] = field.get(view, offsets.get(name) as number, little);
      return out as Values<F>;
    },
    write(value) {
      const out = new Uint8Array(size);
      const view = new DataView(out.buffer);
      for (const [name, field] of Object.entries(fields))
        field.set(view, offsets.get(name) as number, (value as Record<string, unknown>)[name], little);
      return out;
    },
  };
}
