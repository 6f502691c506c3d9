import { LZFSE_BASE64 } from "../../../build/lzfse.js";
import type { UnitDecoder } from "./index.ts";
import { kernelModule } from "./instance.ts";
import { unitDecoder } from "./unit-kernel.ts";

/** What each does is stated in `assembly/lzfse/index.ts`. */
interface LzfseExports {
  heapBase(): number;
  lzfse(from: number, length: number, to: number, room: number): number;
  lzfsePlace(): number;
}

const instantiate = kernelModule<LzfseExports>(LZFSE_BASE64);

/** One LZFSE stream, up to its end mark. An error's place is the block in which it lies. */
export function createLzfseDecoder(): UnitDecoder {
  const instance = instantiate();
  const { lzfse, lzfsePlace } = instance.exports;
  return unitDecoder("lzfse", instance, { decode: lzfse, place: lzfsePlace });
}
