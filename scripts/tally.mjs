/**
 * What a set of checks came to: { passed: number, failures: string[], skipped: { name, reason }[] }.
 * Nothing may get lost on the way to the sum: a report that is missing or not understood is itself a failure.
 */

export const emptyTally = () => ({ passed: 0, failures: [], skipped: [] });

export const failedTally = (name) => ({ passed: 0, failures: [name], skipped: [] });

/** One check without a runner of its own: `problems` are what it found. */
export const checkTally = (name, problems) =>
  problems.length === 0 ? { ...emptyTally(), passed: 1 } : failedTally(`${name}: ${problems.join("; ")}`);

export function sumTallies(tallies) {
  return {
    passed: tallies.reduce((sum, tally) => sum + tally.passed, 0),
    failures: tallies.flatMap((tally) => tally.failures),
    skipped: tallies.flatMap((tally) => tally.skipped),
  };
}

/** Of a report in the form of a tally, as text; throws when it is not one. */
export function readTally(text) {
  const { passed, failures, skipped } = JSON.parse(text);
  const isNamed = (entry) => typeof entry?.name === "string" && typeof entry?.reason === "string";
  if (!Number.isInteger(passed) || !Array.isArray(failures) || !Array.isArray(skipped) || !skipped.every(isNamed))
    throw new Error("not a tally");
  return { passed, failures: failures.map(String), skipped };
}

/** Of a report of Playwright's JSON reporter, as text. A flaky test is a failed one. */
export function readPlaywright(text) {
  const { suites, errors } = JSON.parse(text);
  const tally = emptyTally();
  for (const error of errors) tally.failures.push(`e2e: ${error.message ?? error.value ?? "error outside of a test"}`);
  const visit = (suite, path) => {
    const here = suite.title ? [...path, suite.title] : path;
    for (const inner of suite.suites ?? []) visit(inner, here);
    for (const spec of suite.specs ?? []) {
      for (const test of spec.tests) {
        const name = [...here, spec.title].join(" > ");
        const note = test.annotations.find(({ type }) => type === "skip" || type === "fixme")?.description;
        if (test.status === "expected") tally.passed++;
        else if (test.status === "skipped") tally.skipped.push({ name, reason: note ?? "no reason given" });
        else tally.failures.push(test.status === "flaky" ? `${name} (flaky)` : name);
      }
    }
  };
  for (const suite of suites) visit(suite, []);
  return tally;
}

/**
 * What a runner's exit code and report (null: it wrote none) come to. A runner that ended badly has failed
 * even when its report names no failure, and a run without a single test has proved nothing.
 */
export function runnerTally(name, code, report, read) {
  let tally;
  try {
    tally = read(report ?? "");
  } catch {
    return failedTally(`${name} ended with ${code} and left no readable report`);
  }
  if (code !== 0 && tally.failures.length === 0) tally.failures.push(`${name} ended with ${code}`);
  if (tally.passed + tally.failures.length + tally.skipped.length === 0) tally.failures.push(`${name} ran no test`);
  return tally;
}

/** The closing line. With `strict` a skipped check counts as failed: CI has everything, so nothing may be left out there. */
export function closing({ passed, failures, skipped }, strict) {
  const failed = failures.length + (strict ? skipped.length : 0);
  const line = `${passed} passed, ${failed} failed${!strict && skipped.length > 0 ? `, ${skipped.length} skipped` : ""}`;
  return { line, failed };
}
