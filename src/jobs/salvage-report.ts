import type { LostRange } from "../core/ports.ts";

/** The text file that lists what a salvage run zeroed; offsets and lengths in bytes of the virtual disk. */
export function salvageReport(source: string, target: string, lost: readonly LostRange[]): string {
  const total = lost.reduce((sum, range) => sum + range.length, 0);
  const lines = lost.map(({ start, length, reason }) => `${start}\t${length}\t${reason}`);
  return [
    `Source: ${source}`,
    `Target: ${target}`,
    `${lost.length} ranges of the virtual disk could not be read and are zero in the target: ${total} bytes in all.`,
    "",
    "offset\tlength\treason",
    ...lines,
    "",
  ].join("\n");
}
