/** What the checks came to: one line per failed or skipped row as it happens, a summary per section, the sum at the end. */

export function createReport(filter = "") {
  const sections = [];
  return {
    sections,
    /** Runs `action` with the section's own recorder; an error that gets out of it is a failed row. */
    async section(name, action) {
      const rows = { name, passed: 0, failures: [], skips: [] };
      sections.push(rows);
      const started = performance.now();
      const section = recorder(rows, filter);
      try {
        await action(section);
      } catch (error) {
        section.fail("section", error.stack ?? String(error));
      }
      const seconds = ((performance.now() - started) / 1000).toFixed(0);
      console.log(`${name}: ${rows.passed} passed, ${rows.failures.length} failed, ${rows.skips.length} skipped (${seconds} s)`);
    },
  };
}

function recorder(rows, filter) {
  const full = (name) => `${rows.name}: ${name}`;
  const section = {
    wants: (name) => full(name).includes(filter),
    note: (text) => console.log(`note ${full(text)}`),
    pass: () => void rows.passed++,
    fail(name, reason) {
      rows.failures.push(`${full(name)}: ${reason}`);
      console.log(`failed ${full(name)}: ${reason}`);
    },
    skip(name, reason) {
      rows.skips.push({ name: full(name), reason });
      console.log(`skipped ${full(name)}: ${reason}`);
    },
    /** One row: `action` resolves to what is wrong (a text or a list of them; nothing when all is well) or throws. */
    async row(name, action) {
      if (!section.wants(name)) return;
      const wrong = await action().catch((error) => error.message);
      const reasons = [wrong ?? []].flat().filter((reason) => reason !== "");
      if (reasons.length === 0) section.pass();
      else section.fail(name, reasons.join("; "));
    },
  };
  return section;
}

/** Runs `action` over the items, a few at a time; `width` bounds what they have in memory and on the disk, not the load. */
export async function forEachOf(items, action, width = 3) {
  const rest = items[Symbol.iterator]();
  const lane = async () => {
    for (const item of rest) await action(item);
  };
  await Promise.all(Array.from({ length: width }, lane));
}
