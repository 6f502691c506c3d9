import { useSignal } from "@preact/signals";
import type { ImageCard } from "../workers/engine-api.ts";
import { lazily } from "./lazy.tsx";
import { engine } from "./state/engine.ts";
import { type Entry, titleOf } from "./state/entry.ts";
import { checkImage, comparable, compareWith } from "./state/examination.ts";
import { isUnderWay } from "./state/tasks.ts";
import { WorkingLine } from "./working-line.tsx";

const CheckResult = lazily(() => import("./check-result.tsx").then((module) => module.CheckResult));
const ComparisonResult = lazily(() => import("./comparison-result.tsx").then((module) => module.ComparisonResult));

/** What can be found out about an image without converting it: is it sound, is it the same as another one? */
export function ExamineBar({ entry, card }: { readonly entry: Entry; readonly card: ImageCard }) {
  const check = entry.check.value;
  const comparison = entry.comparison.value;
  return (
    <section class="examine" aria-label={`Check and compare ${titleOf(entry)}`}>
      <div class="actions">
        {!isUnderWay(check) && (
          <button type="button" class="small" onClick={() => checkImage(entry, card)}>
            {check === null ? "Check" : "Check again"}
          </button>
        )}
        {!isUnderWay(comparison) && <Compare entry={entry} />}
      </div>
      {check !== null && isUnderWay(check) && (
        <WorkingLine label={`Checking ${titleOf(entry)}`} work={check} cancel={() => engine().cancel(check.job)} />
      )}
      {check !== null && !isUnderWay(check) && <CheckResult key={check.job} entry={entry} card={card} task={check} />}
      {comparison !== null && isUnderWay(comparison) && (
        <WorkingLine label="Comparing the two disks" work={comparison} cancel={() => engine().cancel(comparison.job)} />
      )}
      {comparison !== null && !isUnderWay(comparison) && <ComparisonResult key={comparison.job} entry={entry} task={comparison} />}
    </section>
  );
}

/** Nothing while there is no other disk to compare with. */
function Compare({ entry }: { readonly entry: Entry }) {
  const chosen = useSignal(0);
  const others = comparable(entry);
  const other = others.find(({ key }) => key === chosen.value) ?? others[0];
  if (other === undefined) return null;
  const go = () => compareWith(entry, other);
  if (others.length === 1) {
    return (
      <button type="button" class="small" onClick={go}>
        Compare with {titleOf(other)}
      </button>
    );
  }
  return (
    <span class="compare">
      <button type="button" class="small" aria-label={`Compare with ${titleOf(other)}`} onClick={go}>
        Compare with
      </button>
      <select
        class="small"
        aria-label="The disk to compare with"
        value={other.key}
        onChange={(event) => {
          chosen.value = Number(event.currentTarget.value);
        }}
      >
        {others.map((one) => (
          <option key={one.key} value={one.key}>
            {titleOf(one)}
          </option>
        ))}
      </select>
    </span>
  );
}
