import type { PlanCard } from "../workers/engine-api.ts";
import { bytes, duration, exactBytes } from "./quantities.ts";
import { engine } from "./state/engine.ts";
import type { Entry } from "./state/entry.ts";
import { measureExactly } from "./state/examination.ts";
import { explain } from "./state/failures.ts";
import { closingSeconds } from "./target-defaults.ts";
import { WorkingLine } from "./working-line.tsx";

const FAT_LIMIT = 4 * 1024 ** 3;
/** Closing times below this are not worth a sentence. */
const NOTICEABLE_SECONDS = 5;

interface Props {
  readonly entry: Entry;
  readonly plan: PlanCard;
  /** Results can be written where the user wants them, and several files come out. */
  readonly picks: boolean;
  readonly folder: boolean;
}

/** What the conversion will do, take and leave. */
export function PlanText({ entry, plan, picks, folder }: Props) {
  const closing = closingSeconds(plan.logicalBytes);
  // A download has no holes.
  const twice = `up to ${bytes(plan.outputBytes)} in the private store until you remove it there, and ${bytes(plan.logicalBytes)} where downloads go`;
  return (
    <>
      <p class="hint">
        Reads {bytes(plan.dataBytes)} of data, writes up to {bytes(plan.outputBytes)} as {plan.files.join(", ")}, reads it back and
        compares. Takes up to {bytes(plan.memoryBytes)} of memory. Browsers do not let a page see how much space is free.
      </p>
      <ExactSize entry={entry} plan={plan} />
      {folder && picks && <p class="hint">{plan.files.length} files come out, so you will be asked for a folder.</p>}
      {plan.outputBytes > FAT_LIMIT && <p class="hint">Drives formatted as FAT32 cannot hold a file of more than 4 GiB.</p>}
      {picks && closing > NOTICEABLE_SECONDS && (
        <p class="hint">
          When the file is closed, the browser reads all {bytes(plan.logicalBytes)} of it once more: about {duration(closing)} on top. A
          compact format closes faster. “Save as download” does without that, and takes the space twice: {twice}.
        </p>
      )}
      {!picks && (
        <p class="hint">
          This browser cannot write into a file that you choose. The result is kept in the page's private store and then saved as a
          download. That takes the space twice: {twice}.
        </p>
      )}
    </>
  );
}

/** The plan knows the most that can come out; reading and packing it all once tells exactly. */
function ExactSize({ entry, plan }: { readonly entry: Entry; readonly plan: PlanCard }) {
  const task = entry.exact.value;
  if (entry.shape.value === "layers" || [...plan.changes, ...plan.losses].some(({ severity }) => severity === "blocker")) return null;
  if (task === null) {
    return (
      <p class="exact">
        <button type="button" class="small quiet" onClick={() => measureExactly(entry)}>
          Work out the exact size
        </button>
      </p>
    );
  }
  const { outcome } = task;
  if (outcome === null) return <WorkingLine label="Working out the exact size" work={task} cancel={() => engine().cancel(task.job)} />;
  if ("failure" in outcome) return <p class="field-error">{explain(outcome.failure, "plan").what}</p>;
  return (
    <ul class="exact">
      {plan.files.map((name, i) => (
        <li key={name}>
          {name}: exactly <b>{exactBytes(outcome.value[i] ?? 0)}</b> ({bytes(outcome.value[i] ?? 0)})
        </li>
      ))}
    </ul>
  );
}
