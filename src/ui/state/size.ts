import { batch } from "@preact/signals";
import { bytes, exactBytes, parseSize, readable } from "../quantities.ts";
import { engine } from "./engine.ts";
import type { Entry } from "./entry.ts";

/** Learns how small the disk may become; once for an opened image. */
export async function loadLimits(entry: Entry): Promise<void> {
  const card = entry.card.value;
  if (card === null || entry.limits.value !== null) return;
  try {
    const limits = await engine().sizeLimits(card.image);
    if (entry.card.value === card) entry.limits.value = limits;
  } catch {
    // The plan says what is wrong when another size is asked for.
  }
}

/** Takes what was typed as the size of the result, or says what is wrong with it. */
export function chooseSize(entry: Entry, typed: string): void {
  const card = entry.card.value;
  if (card === null) return;
  const size = parseSize(typed);
  const fault = size === null ? "This is not a size: write it like 8 GiB, 64.5 MiB or a number of bytes." : faultOf(entry, card.size, size);
  batch(() => {
    entry.sizeFault.value = fault;
    entry.size.value = fault !== null || size === card.size ? null : size;
  });
}

function faultOf({ limits }: Entry, now: number, size: number): string | null {
  const { smallest = 0, sector = 512, because = "" } = limits.value ?? {};
  if (size === now) return null;
  if (size === 0) return "A disk of no size cannot be.";
  if (size % sector !== 0) {
    const down = size - (size % sector);
    return `A disk consists of whole sectors of ${sector} bytes: write ${down} or ${down + sector} bytes.`;
  }
  // A disk whose end was cut off already only gains by growing.
  if (size >= Math.min(smallest, now)) return null;
  return `Too small: at least ${bytes(smallest)} (${exactBytes(smallest)}) are needed. ${readable(because)}`;
}
