import type { Compute } from "../core/ports.ts";
import { createSectorCipher } from "./aes.ts";
import { createCodecs } from "./codecs.ts";
import type { Kernels } from "./index.ts";
import { deriveKey, digest } from "./pbkdf2.ts";
import { loadStreamDecoder } from "./streams/index.ts";

/** The kernels as formats see them. */
export function createCompute(kernels: Kernels): Compute {
  const codecs = createCodecs(kernels);
  return {
    scanTable: kernels.scanTable,
    mergeLayers: kernels.mergeLayers,
    crc32: kernels.crc32,
    crc32c: kernels.crc32c,
    adler32: kernels.adler32,
    hash(name) {
      return name === "sha1" ? kernels.sha1() : kernels.sha256();
    },
    async decode(packing, packed) {
      await codecs.need(packing.codec);
      return codecs.decode(packing, packed).slice();
    },
    streamDecoder: loadStreamDecoder,
    digest,
    deriveKey,
    sectorCipher: createSectorCipher,
  };
}
