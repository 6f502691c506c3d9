import { existsSync } from "node:fs";
import { join } from "node:path";
import { configDefaults, defineConfig } from "vitest/config";

/** The damaged images that the conformance run has made; the tests over them are there when the images are. */
const malformed = join(process.env["SPINDLE_GENERATED"] ?? "build", "malformed/manifest.tsv");

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "scripts/**/*.test.mjs"],
    exclude: [...configDefaults.exclude, ...(existsSync(malformed) ? [] : ["**/corpus.test.ts"])],
    testTimeout: 60_000,
    // Without it one core stays free, which is half of a small machine.
    maxWorkers: "100%",
  },
});
