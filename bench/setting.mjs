/** What all benches are told on the command line, and where they work. */
import { existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { benchInput } from "./input.mjs";

/** `--name=value` words. */
export const givenOptions = () =>
  Object.fromEntries(
    process.argv
      .slice(2)
      .filter((word) => word.startsWith("--"))
      .map((word) => word.slice(2).split("=")),
  );

/** In memory where there is such a place: drives are not what is measured. */
export function benchFolder({ folder = join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "spindle-bench") }) {
  mkdirSync(folder, { recursive: true });
  return folder;
}

export const readyInput = ({ input }, folder) => benchInput(input ?? join(folder, "input-2.raw"));
