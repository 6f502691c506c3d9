import { useSignal } from "@preact/signals";
import type { Finding } from "../core/model.ts";
import type { CheckCard, ImageCard } from "../workers/engine-api.ts";
import { useArrivalFocus } from "./arrival-focus.ts";
import { CopyButton } from "./copy-button.tsx";
import { FailureBox } from "./failure-box.tsx";
import { bytes, count, offset } from "./quantities.ts";
import { Scroller } from "./scroller.tsx";
import { type Entry, titleOf } from "./state/entry.ts";
import { repairIntoCopy, targetHeldBy, verdictOf } from "./state/examination.ts";
import { explain } from "./state/failures.ts";
import { dropTask, type Task } from "./state/tasks.ts";

const SHOWN = 100;

const SEVERITIES: Readonly<Record<Finding["severity"], string>> = {
  corruption: "Fault",
  leak: "Wasted space",
  warning: "Remark",
};

interface Props {
  readonly entry: Entry;
  readonly card: ImageCard;
  readonly task: Task<CheckCard | null>;
}

export function CheckResult({ entry, card, task: { outcome } }: Props) {
  const heading = useArrivalFocus();
  if (outcome === null) return null;
  const close = () => dropTask(entry.check);
  if ("failure" in outcome) {
    return (
      <FailureBox failure={outcome.failure} during="check">
        <button type="button" onClick={close}>
          Close
        </button>
      </FailureBox>
    );
  }
  const checked = outcome.value;
  const report = checked?.report;
  const faulty = report !== undefined && report.corruptions + report.leaks > 0;
  return (
    <section class={faulty ? "finding faulty" : "finding"} aria-label={`Check of ${titleOf(entry)}`}>
      <h3 ref={heading} tabIndex={-1} class={checked !== null && !faulty ? "verified" : ""}>
        {checked !== null && !faulty && "✓ "}
        {verdictOf(checked)}
      </h3>
      {checked !== null && <p class="hint">{scopeOf(checked)}</p>}
      {report !== undefined && report.findings.length > 0 && <Findings findings={report.findings} />}
      {faulty && (
        <p>
          {report.corruptions > 0
            ? "The file is never changed. A copy with new tables is free of these faults; data that is lost stays lost."
            : "Leaked clusters harm nothing but the file's size. A copy is free of them."}
        </p>
      )}
      <div class="actions">
        {faulty && <Repair entry={entry} card={card} />}
        {checked !== null && (
          <CopyButton text={textOf(titleOf(entry), checked)} what="as text: the result of the check" label="Copy as text" />
        )}
        <button type="button" class="small quiet" onClick={close}>
          Close the result
        </button>
      </div>
    </section>
  );
}

function scopeOf({ report }: CheckCard): string {
  const { allocatedClusters, totalClusters } = report;
  const used = totalClusters === 0 ? "" : ` ${allocatedClusters.toLocaleString("en")} of ${count(totalClusters, "block")} in use.`;
  return `Looked through: the image's tables, every compressed block, and every checksum that it carries.${used}`;
}

function Findings({ findings }: { readonly findings: readonly Finding[] }) {
  const rest = findings.length - SHOWN;
  return (
    <>
      <Scroller label="What the check found">
        <ul class="findings">
          {findings.slice(0, SHOWN).map((finding, i) => (
            <li key={`${i}`} class={finding.severity}>
              <b>{SEVERITIES[finding.severity]}</b> {finding.text} {placeOf(finding) !== "" && <span>{placeOf(finding)}</span>}
            </li>
          ))}
        </ul>
      </Scroller>
      {rest > 0 && <p class="hint">And {rest.toLocaleString("en")} more, which the copied text has too.</p>}
    </>
  );
}

function placeOf({ at, guest }: Finding): string {
  const inFile = at === null ? [] : [`at ${offset(at)} in the file`];
  const onDisk = guest === null ? [] : [`concerns ${bytes(guest.length)} of the disk from ${offset(guest.start)}`];
  return [...inFile, ...onDisk].join("; ");
}

function textOf(title: string, checked: CheckCard): string {
  const lines = checked.report.findings.map((finding) => {
    const place = placeOf(finding);
    return `${SEVERITIES[finding.severity]}: ${finding.text}${place === "" ? "" : ` (${place})`}`;
  });
  return [`Check of ${title}: ${verdictOf(checked)}`, ...lines, ""].join("\n").replaceAll("\u00a0", " ");
}

function Repair({ entry, card }: { readonly entry: Entry; readonly card: ImageCard }) {
  const refused = useSignal<unknown>(null);
  const held = targetHeldBy(entry);
  const repair = async () => {
    refused.value = null;
    try {
      await repairIntoCopy(entry, card);
      document.getElementById(`repair-${entry.key}`)?.focus();
    } catch (failure) {
      refused.value = failure;
    }
  };
  return (
    <>
      {refused.value !== null && (
        <p class="field-error" role="alert">
          {explain(refused.value, "plan").what}
        </p>
      )}
      {held !== null && <p class="hint">{held}</p>}
      <button type="button" disabled={held !== null} onClick={repair}>
        Repair into a copy…
      </button>
    </>
  );
}
