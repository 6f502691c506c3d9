import type { Loss } from "../core/target.ts";
import { canPickOutput } from "../platform/window/pickers.ts";
import type { PlanCard } from "../workers/engine-api.ts";
import { CopyButton } from "./copy-button.tsx";
import { FailureBox } from "./failure-box.tsx";
import { PlanText } from "./plan-text.tsx";
import { readable } from "./quantities.ts";
import { ShapeFields } from "./shape-fields.tsx";
import { blockedBy, convert } from "./state/conversion.ts";
import { engine, presetCard } from "./state/engine.ts";
import { type Entry, titleOf } from "./state/entry.ts";
import { planAgain, wholeDisk } from "./state/target.ts";
import { isUnderWay, type Work } from "./state/tasks.ts";
import { TargetChoice } from "./target-choice.tsx";
import { shortName } from "./target-defaults.ts";
import { TargetOptions } from "./target-options.tsx";
import { WorkingLine } from "./working-line.tsx";

export function TargetForm({ entry }: { readonly entry: Entry }) {
  const plan = entry.plan.value;
  const blocked = blockedBy(entry);
  const preset = presetCard(entry.preset.value);
  const goal = preset === undefined ? `to ${shortName(entry.format.value)}` : `for ${preset.label}`;
  const picks = canPickOutput();
  const folder = plan !== null && plan.files.length > 1;
  return (
    <form class="form" aria-label={`Convert ${titleOf(entry)}`} onSubmit={(event) => event.preventDefault()}>
      <TargetChoice entry={entry} />
      {entry.repair.value !== null && <Repaired entry={entry} losses={entry.repair.value} />}
      {plan !== null && <Losses entry={entry} plan={plan} />}
      {entry.planFailure.value !== null && (
        <FailureBox failure={entry.planFailure.value} during="plan" canSalvage={!entry.salvage.value}>
          <button type="button" onClick={() => planAgain(entry)}>
            Try again
          </button>
        </FailureBox>
      )}
      <div class="actions">
        <button
          type="button"
          class="primary"
          data-primary
          disabled={blocked !== null}
          aria-describedby={`plan-${entry.key}`}
          onClick={() => convert(entry, picks ? "chosen" : "download")}
        >
          {picks ? `Convert ${goal}…` : `Convert ${goal}`}
        </button>
        {picks && (
          <button type="button" disabled={blocked !== null} onClick={() => convert(entry, "download")}>
            Save as download
          </button>
        )}
      </div>
      <div id={`plan-${entry.key}`}>
        {entry.comparing.value !== null && isUnderWay(entry.comparing.value) && <Comparing entry={entry} work={entry.comparing.value} />}
        {blocked !== null && <p class="hint">{blocked}</p>}
        {plan !== null && blocked === null && <PlanText entry={entry} plan={plan} picks={picks} folder={folder} />}
      </div>
      <Question entry={entry} />
      <ShapeFields entry={entry} />
      <TargetOptions entry={entry} />
      {plan !== null && plan.qemuCommand !== null && <Command command={plan.qemuCommand} />}
    </form>
  );
}

/** A delta over an image that the disk does not lie over: the two are compared first. */
function Comparing({ entry, work }: { readonly entry: Entry; readonly work: Work }) {
  const stop = () => {
    void engine().cancel(work.job);
    wholeDisk(entry);
  };
  return (
    <WorkingLine label={`Comparing with ${entry.base.value === null ? "the base" : titleOf(entry.base.value)}`} work={work} cancel={stop} />
  );
}

/** The target was set up by the check: what comes out, and what it will not have. */
function Repaired({ entry, losses }: { readonly entry: Entry; readonly losses: readonly Loss[] }) {
  return (
    <div class="failure calm" role="note" tabIndex={-1} id={`repair-${entry.key}`}>
      <h3>A repaired copy</h3>
      <p>
        The same disk in the same format, with tables written anew. Data that cannot be read stops it, unless you turn on “Carry on, zero
        what cannot be read” under Options.
      </p>
      {losses.length > 0 && (
        <ul>
          {losses.map((loss) => (
            <li key={loss.what}>
              <b>{loss.what}:</b> {loss.why}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Losses({ entry, plan }: { readonly entry: Entry; readonly plan: PlanCard }) {
  const preset = presetCard(entry.preset.value);
  const isBlocker = ({ severity }: Loss): boolean => severity === "blocker";
  const others = (losses: readonly Loss[]) => losses.filter((loss) => !isBlocker(loss));
  return (
    <>
      <LossList title="Why it cannot be done" losses={[...plan.changes, ...plan.losses].filter(isBlocker)} />
      <LossList title={preset === undefined ? "What will be different" : `For ${preset.label}`} losses={others(plan.changes)} />
      <LossList title="What the target cannot carry" losses={others(plan.losses)} />
    </>
  );
}

function LossList({ title, losses }: { readonly title: string; readonly losses: readonly Loss[] }) {
  if (losses.length === 0) return null;
  return (
    <section class="losses">
      <h3>{title}</h3>
      <ul>
        {losses.map((loss) => (
          <li key={loss.what} class={loss.severity}>
            <b>{readable(loss.what)}</b> {readable(loss.why)}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Question({ entry }: { readonly entry: Entry }) {
  const question = entry.question.value;
  if (question === null) return null;
  return (
    <div class="failure calm" role="alert">
      <h3>Replace {question.taken.join(", ")}?</h3>
      <p>The folder already has {question.taken.length === 1 ? "this file" : "these files"}. Replacing cannot be undone.</p>
      <div class="actions">
        <button type="button" onClick={question.go}>
          Replace
        </button>
        <button
          type="button"
          onClick={() => {
            entry.question.value = null;
            void convert(entry, "chosen");
          }}
        >
          Choose another folder…
        </button>
      </div>
    </div>
  );
}

function Command({ command }: { readonly command: string }) {
  return (
    <details>
      <summary>The same with qemu-img</summary>
      <div class="command">
        <code>{command}</code>
        <CopyButton text={command} what="the qemu-img command" />
      </div>
    </details>
  );
}
