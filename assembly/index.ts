export { adler32 } from "./adler32";
export { blake3Digest, blake3Parents, blake3Pieces, blake3Root, blake3ZeroPieces } from "./blake3";
export { compare } from "./compare";
export { crc32 } from "./crc32";
export { crc32c } from "./crc32c";
export { deflate, deflatePart } from "./deflate";
export { inflate, inflateConsumed, inflateReachesFar } from "./inflate";
export { mergeLayers } from "./merge-layers";
export { sha1Final, sha1Init, sha1Update } from "./sha1";
export { sha256Final, sha256Init, sha256Update } from "./sha256";
export { tableRuns } from "./table-runs";
export { zeroUnits } from "./zero-scan";

/** First byte after the static data of all kernels: what lies from here on is the caller's. */
export function heapBase(): usize {
  return __heap_base;
}
