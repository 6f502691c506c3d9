import { DiskError } from "../../core/errors.ts";
import type { StreamDecoder } from "../../core/ports.ts";
import type { UnitDecoder } from "./index.ts";

/** Units that are one stream of `decoder` each, which `begin` takes back to its beginning. What lies behind the stream does not matter. */
export function unitDecoder(codec: string, decoder: StreamDecoder, begin: (unpacked: number) => void): UnitDecoder {
  const surplus = new Uint8Array(1);
  let buffer = new Uint8Array(0);
  return (packed, unpacked) => {
    if (buffer.length < unpacked) buffer = new Uint8Array(unpacked);
    const output = buffer.subarray(0, unpacked);
    begin(unpacked);
    const { taken, given, ended } = decoder.step(packed, true, output);
    if (given < unpacked) throw new DiskError("corrupt", `${codec}: the data gives ${given} bytes, expected ${unpacked}`, { at: taken });
    // The stream's end may lie behind its last byte.
    if (!ended && decoder.step(packed.subarray(taken), true, surplus).given > 0)
      throw new DiskError("corrupt", `${codec}: the data gives more than the expected ${unpacked} bytes`, { at: taken });
    return output;
  };
}
