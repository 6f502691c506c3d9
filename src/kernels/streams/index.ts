import { DiskError } from "../../core/errors.ts";
import type { StreamCodec, StreamDecoder } from "../../core/ports.ts";

/** One packed unit → exactly `unpacked` bytes, a view that holds until the next call; DiskError with `at` in `packed`. */
export type UnitDecoder = (packed: Uint8Array, unpacked: number) => Uint8Array;

/** Codecs whose units are decoded by a module of its own, loaded when first asked for. */
export type LazyUnitCodec = "bzip2" | "xz" | "lzfse" | "adc";

const missing = (codec: string): never => {
  throw new DiskError("unsupported", `${codec}: there is no decoder for it`);
};

/** A decoder for one stream. The modules are part of the program and load when first asked for. */
export async function loadStreamDecoder(codec: StreamCodec): Promise<StreamDecoder> {
  switch (codec) {
    case "deflate":
      return (await import("./deflate.ts")).createDeflateDecoder();
    case "gzip":
      return (await import("./gzip.ts")).createGzipDecoder();
    case "lz4":
      return (await import("./lz4.ts")).createLz4Decoder();
    case "bzip2":
      return (await import("./bzip2.ts")).createBzip2Decoder();
    case "xz":
      return (await import("./xz.ts")).createXzDecoder();
    case "zstd":
      return (await import("./zstd.ts")).createZstdDecoder();
    default:
      return missing(codec);
  }
}

export async function loadUnitDecoder(codec: LazyUnitCodec): Promise<UnitDecoder> {
  switch (codec) {
    case "adc":
      return (await import("./adc.ts")).createAdcDecoder();
    case "lzfse":
      return (await import("./lzfse.ts")).createLzfseDecoder();
    case "bzip2":
      return (await import("./bzip2.ts")).createBzip2Units();
    case "xz":
      return (await import("./xz.ts")).createXzUnits();
    default:
      return missing(codec);
  }
}
