import { writeFileSync } from "node:fs";

/** Writes what a run of vitest came to, in the form of tally.mjs, to the file that SPINDLE_TALLY names. */
// biome-ignore lint/style/noDefaultExport: vitest loads a reporter's default export
export default class TallyReporter {
  onTestRunEnd(modules, unhandled) {
    const tally = { passed: 0, failures: [], skipped: [] };
    for (const error of unhandled) tally.failures.push(`unhandled error: ${error.message}`);
    for (const module of modules) {
      const file = module.relativeModuleId;
      const broken = [module, ...module.children.allSuites()].flatMap((part) => part.errors());
      for (const error of broken) tally.failures.push(`${file}: ${error.message}`);
      for (const test of module.children.allTests()) {
        const { state, note } = test.result();
        const name = `${file} > ${test.fullName}`;
        if (state === "passed") tally.passed++;
        else if (state === "skipped") tally.skipped.push({ name, reason: note ?? "its condition does not hold here" });
        else tally.failures.push(name);
      }
    }
    writeFileSync(process.env.SPINDLE_TALLY, JSON.stringify(tally));
  }
}
