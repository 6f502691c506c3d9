import type { Compute } from "../core/ports.ts";
import { createCodecs } from "./codecs.ts";
import type { Kernels } from "./index.ts";
import { loadStreamDecoder } from "./streams/index.ts";

/** The kernels as formats see them. */
export function createCompute(kernels: Kernels): Compute {
  const codecs = createCodecs(kernels);
  return {
    scanTable: kernels.scanTable,
    crc32: kernels.crc32,
    crc32c: kernels.crc32c,
    adler32: kernels.adler32,
    hash(name) {
      if (name === "sha256") return kernels.sha256();
      throw new Error(`no kernel for ${name}`);
    },
    async decode(packing, packed) {
      await codecs.need(packing.codec);
      return codecs.decode(packing, packed).slice();
    },
    streamDecoder: loadStreamDecoder,
  };
}
