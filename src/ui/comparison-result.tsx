import { useArrivalFocus } from "./arrival-focus.ts";
import { FailureBox } from "./failure-box.tsx";
import { bytes, exactBytes, offset } from "./quantities.ts";
import type { Comparison, Entry } from "./state/entry.ts";
import { dropTask, type Task } from "./state/tasks.ts";

export function ComparisonResult({ entry, task: { outcome } }: { readonly entry: Entry; readonly task: Task<Comparison> }) {
  const heading = useArrivalFocus();
  if (outcome === null) return null;
  const close = () => dropTask(entry.comparison);
  if ("failure" in outcome) {
    return (
      <FailureBox failure={outcome.failure} during="check">
        <button type="button" onClick={close}>
          Close
        </button>
      </FailureBox>
    );
  }
  const { differsAt, sizes, where, titles } = outcome.value;
  const same = differsAt === null;
  const [first, second] = titles;
  return (
    <section class={same ? "finding" : "finding faulty"} aria-label={`${first} compared with ${second}`}>
      <h3 ref={heading} tabIndex={-1} class={same ? "verified" : ""}>
        {same ? "✓ The two disks are the same." : `They differ first at byte ${differsAt.toLocaleString("en")}.`}
      </h3>
      {!same && (
        <p>
          At {offset(differsAt)}: {where}
        </p>
      )}
      {sizes[0] !== sizes[1] && (
        <p>
          Their sizes differ: {first} has <span title={exactBytes(sizes[0])}>{bytes(sizes[0])}</span>, {second} has{" "}
          <span title={exactBytes(sizes[1])}>{bytes(sizes[1])}</span>
          {same ? "; what the longer one has more is all zeros." : "."}
        </p>
      )}
      <p class="hint">
        What a virtual machine would see of {first} and {second}, byte by byte.
      </p>
      <div class="actions">
        <button type="button" class="small quiet" onClick={close}>
          Close the result
        </button>
      </div>
    </section>
  );
}
