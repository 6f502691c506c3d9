// What xz files need (src/kernels/streams/xz.ts): LZMA2's chunks and the checksums. All state of a decoder lies in one place,
// `lzmaState()`, `lzmaStateBytes()` long, to be copied away and back.

import { STATE, STATE_BYTES } from "./lzma-state";

export { crc32 } from "../crc32";
export { checkFinish, checkStart, checkUpdate } from "./check";
export { crc64 } from "./crc64";
export { filterRun, filterStart } from "./filters";
export {
  lzmaBegin,
  lzmaDecode,
  lzmaInputAt,
  lzmaMoved,
  lzmaPosition,
  lzmaProperties,
  lzmaReach,
  lzmaResetDictionary,
  lzmaResetState,
  lzmaStored,
} from "./lzma";

export function lzmaState(): usize {
  return STATE;
}
export function lzmaStateBytes(): usize {
  return STATE_BYTES;
}

/** First byte after the static data: what lies from here on is the caller's. */
export function heapBase(): usize {
  return __heap_base;
}
