import { ADC_BASE64 } from "../../../build/adc.js";
import type { UnitDecoder } from "./index.ts";
import { kernelModule } from "./instance.ts";
import { unitDecoder } from "./unit-kernel.ts";

/** What each does is stated in `assembly/adc/index.ts`. */
interface AdcExports {
  heapBase(): number;
  adc(from: number, length: number, to: number, room: number): number;
  adcPlace(): number;
}

const instantiate = kernelModule<AdcExports>(ADC_BASE64);

/** Apple Data Compression, which has no end mark: what is left of `packed` when the unit is full does not count. */
export function createAdcDecoder(): UnitDecoder {
  const instance = instantiate();
  const { adc, adcPlace } = instance.exports;
  return unitDecoder("adc", instance, { decode: adc, place: adcPlace });
}
