import { DiskError } from "../../core/errors.ts";
import type { UnitDecoder } from "./index.ts";
import type { KernelInstance } from "./instance.ts";

/** A kernel that unpacks a whole unit; `place`: where it stopped when it failed. */
interface UnitKernel {
  /** Bytes made, or one of FAILURES. */
  decode(from: number, length: number, to: number, room: number): number;
  place(): number;
}

const FAILURES: Readonly<Record<number, string>> = {
  [-1]: "the compressed data is damaged",
  [-2]: "the compressed data holds more than the expected",
  [-3]: "the compressed data ends too soon",
  [-4]: "no block of the compressed data begins here",
};
const TOO_LONG = -2;
/** Kernels may read so much past their input, and write so much past their output. */
const SLACK = 64;
/** Above what any unit of at most 64 MiB can take when packed. */
const PACKED_LIMIT = 80 << 20;

/** The memory grows to the largest unit met: its packed and its plain bytes. */
export function unitDecoder(codec: string, { base, reserve }: KernelInstance<unknown>, kernel: UnitKernel): UnitDecoder {
  return (packed, unpacked) => {
    if (packed.length > PACKED_LIMIT)
      throw new DiskError("limit", `${codec}: a packed unit of ${packed.length} bytes, expected at most ${PACKED_LIMIT}`);
    const to = base + Math.ceil((packed.length + SLACK) / SLACK) * SLACK;
    const memory = reserve(to - base + unpacked + SLACK);
    memory.set(packed, base);
    const made = kernel.decode(base, packed.length, to, unpacked);
    if (made < 0) {
      const amount = made === TOO_LONG ? ` ${unpacked} bytes` : "";
      throw new DiskError("corrupt", `${codec}: ${FAILURES[made]}${amount}`, { at: kernel.place() - base });
    }
    if (made < unpacked)
      throw new DiskError("corrupt", `${codec}: the compressed data holds ${made} bytes, expected ${unpacked}`, {
        at: kernel.place() - base,
      });
    return memory.subarray(to, to + unpacked);
  };
}
