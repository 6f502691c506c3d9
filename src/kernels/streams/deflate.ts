import { DiskError } from "../../core/errors.ts";
import type { StreamDecoder, StreamState, StreamStep } from "../../core/ports.ts";
import { Inflater, type InflaterState } from "./inflater.ts";

interface DeflateState extends StreamState {
  readonly at: number;
  readonly inflater: InflaterState;
}

/** A bare DEFLATE stream (RFC 1951). What follows it is left untaken. */
export function createDeflateDecoder(): StreamDecoder {
  const inflater = new Inflater(false);
  /** Offset in the packed stream. */
  let at = 0;
  return {
    step(input, last, output): StreamStep {
      const { taken, given, status } = inflater.step(input, output);
      at += taken;
      if (status === "damaged") throw new DiskError("corrupt", "deflate: the compressed data is damaged", { at });
      if (status === "hungry" && last && given < output.length)
        throw new DiskError("corrupt", "deflate: the compressed data ends too soon: it is truncated", { at: at + input.length - taken });
      return { taken, given, ended: status === "ended", remark: null };
    },
    save(): DeflateState {
      const state = inflater.save();
      return { bytes: state.bytes, at, inflater: state };
    },
    restore(state) {
      const saved = state as DeflateState;
      at = saved.at;
      inflater.restore(saved.inflater);
    },
  };
}
