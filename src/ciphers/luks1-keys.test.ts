import { expect, test, vi } from "vitest";
import { memorySource } from "../core/bytes.ts";
import { contextOf } from "../testing/image-harness.ts";
import { luksImage } from "../testing/luks-image.ts";
import { HEADER, KEY_SLOT, readLuks1 } from "./luks1.ts";
import { unlockLuks1 } from "./luks1-keys.ts";

const SPEC = { cipher: "xts-plain64", hash: "sha256", keyBytes: 64, passphrases: ["first", "second"], stripes: 8 } as const;
const image = luksImage(SPEC, new Uint8Array(4096));
const iterationsAt = (slot: number) => HEADER.bytes + slot * KEY_SLOT.bytes + KEY_SLOT.offsetOf("iterations");

/** Slots with so many iterations, and derivations that are counted instead of made. */
async function unlocking(iterations: readonly number[], derived: () => void, signal?: AbortSignal) {
  const bytes = image.slice();
  for (const [slot, value] of iterations.entries()) new DataView(bytes.buffer).setUint32(iterationsAt(slot), value);
  const area = memorySource("disk.luks", bytes);
  const deriveKey = async ({ length }: { length: number }) => {
    derived();
    return new Uint8Array(length);
  };
  const compute = { ...contextOf().compute, deriveKey };
  return unlockLuks1({ header: await readLuks1(area, area.name), area, file: area.name, passphrase: "first", compute, signal });
}

test("slots that take too long together are refused before the first is tried", async () => {
  const derived = vi.fn();
  const at = HEADER.bytes;
  const message = expect.stringMatching(/^luks: iterations of the 2 key slots of disk\.luks, .* at most 67108864/);
  await expect(unlocking([2 ** 25, 2 ** 25], derived)).rejects.toMatchObject({ code: "limit", file: "disk.luks", at, message });
  expect(derived).not.toHaveBeenCalled();
});

test("what is just below that is tried", async () => {
  const derived = vi.fn();
  await expect(unlocking([2 ** 25, 30_000_000], derived)).rejects.toMatchObject({ code: "passphrase" });
  expect(derived).toHaveBeenCalledTimes(4);
});

test("a signal is heard between two derivations", async () => {
  const abort = new AbortController();
  const derived = vi.fn(() => abort.abort(new Error("enough")));
  await expect(unlocking([1000, 1000], derived, abort.signal)).rejects.toThrow("enough");
  expect(derived).toHaveBeenCalledTimes(1);
});
