import type { Loss, TargetOption } from "../core/model.ts";
import { canPickOutput } from "../platform/window/pickers.ts";
import type { ImageCard, PlanCard } from "../workers/engine-api.ts";
import { CopyButton } from "./copy-button.tsx";
import { FailureBox } from "./failure-box.tsx";
import { bytes, duration } from "./quantities.ts";
import { blockedBy, convert } from "./state/conversion.ts";
import { extensionOf, formatCard } from "./state/engine.ts";
import type { Entry } from "./state/entry.ts";
import { chooseFormat, chooseOption, outputStem, planAgain, targets } from "./state/target.ts";
import { closingSeconds, shortName } from "./target-defaults.ts";

const FAT_LIMIT = 4 * 1024 ** 3;
/** Closing times below this are not worth a sentence. */
const NOTICEABLE_SECONDS = 5;

export function TargetForm({ entry, card }: { readonly entry: Entry; readonly card: ImageCard }) {
  const plan = entry.plan.value;
  const blocked = blockedBy(entry);
  const format = shortName(entry.format.value);
  const picks = canPickOutput();
  const folder = plan !== null && plan.files.length > 1;
  return (
    <form class="form" aria-label={`Convert ${card.name}`} onSubmit={(event) => event.preventDefault()}>
      <div class="field">
        <label for={`format-${entry.key}`}>Convert to</label>
        <select id={`format-${entry.key}`} value={entry.format.value} onChange={(event) => chooseFormat(entry, event.currentTarget.value)}>
          {targets().map((target) => (
            <option key={target.id} value={target.id}>
              {target.label}
            </option>
          ))}
        </select>
      </div>
      {plan !== null && <Losses losses={plan.losses} />}
      {entry.planFailure.value !== null && (
        <FailureBox failure={entry.planFailure.value} during="plan">
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
          {picks ? `Convert to ${format}…` : `Convert to ${format}`}
        </button>
        {picks && (
          <button type="button" disabled={blocked !== null} onClick={() => convert(entry, "download")}>
            Save as download
          </button>
        )}
      </div>
      <div id={`plan-${entry.key}`}>
        {blocked !== null && <p class="hint">{blocked}</p>}
        {plan !== null && <PlanText plan={plan} picks={picks} folder={folder} />}
      </div>
      <Question entry={entry} />
      <Options entry={entry} />
      {plan !== null && plan.qemuCommand !== null && <Command command={plan.qemuCommand} />}
    </form>
  );
}

function PlanText({ plan, picks, folder }: { readonly plan: PlanCard; readonly picks: boolean; readonly folder: boolean }) {
  const closing = closingSeconds(plan.logicalBytes);
  return (
    <>
      <p class="hint">
        Reads {bytes(plan.dataBytes)} of data, writes up to {bytes(plan.outputBytes)} as {plan.files.join(", ")}, reads it back and
        compares. Takes up to {bytes(plan.memoryBytes)} of memory. Browsers do not let a page see how much space is free.
      </p>
      {folder && picks && <p class="hint">{plan.files.length} files come out, so you will be asked for a folder.</p>}
      {plan.outputBytes > FAT_LIMIT && <p class="hint">Drives formatted as FAT32 cannot hold a file of more than 4 GiB.</p>}
      {picks && closing > NOTICEABLE_SECONDS && (
        <p class="hint">
          When the file is closed, the browser reads all {bytes(plan.logicalBytes)} of it once more: about {duration(closing)} on top. A
          compact format closes faster.
        </p>
      )}
      {!picks && (
        <p class="hint">
          This browser cannot write into a file that you choose. The result is kept in the page's private store and then saved as a
          download.
        </p>
      )}
    </>
  );
}

function Losses({ losses }: { readonly losses: readonly Loss[] }) {
  if (losses.length === 0) return null;
  return (
    <section class="losses">
      <h3>What the target cannot carry</h3>
      <ul>
        {losses.map((loss) => (
          <li key={loss.what} class={loss.severity}>
            <b>{loss.what}</b> {loss.why}
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

function Options({ entry }: { readonly entry: Entry }) {
  const format = formatCard(entry.format.value);
  if (format === undefined) return null;
  return (
    <details class="options">
      <summary>Options</summary>
      <div class="field">
        <label for={`name-${entry.key}`}>File name</label>
        <div class="suffixed">
          <input
            id={`name-${entry.key}`}
            type="text"
            autocomplete="off"
            spellcheck={false}
            value={outputStem(entry)}
            onChange={(event) => {
              entry.stem.value = event.currentTarget.value.trim().replace(/[\\/]/g, "-") || null;
            }}
          />
          <span>.{extensionOf(format)}</span>
        </div>
      </div>
      {format.options?.map((option) => (
        <OptionField key={option.name} entry={entry} option={option} />
      ))}
      <div class="check">
        <input
          id={`salvage-${entry.key}`}
          type="checkbox"
          checked={entry.salvage.value}
          onChange={(event) => {
            entry.salvage.value = event.currentTarget.checked;
          }}
        />
        <label for={`salvage-${entry.key}`}>Carry on, zero what cannot be read; every zeroed range is listed</label>
      </div>
    </details>
  );
}

function OptionField({ entry, option }: { readonly entry: Entry; readonly option: TargetOption }) {
  const id = `option-${entry.key}-${option.name}`;
  const value = entry.options.value[option.name] ?? option.initial;
  return (
    <div class="field">
      <label for={id}>{option.label}</label>
      {option.choices === null ? (
        <input
          id={id}
          type="text"
          autocomplete="off"
          spellcheck={false}
          aria-describedby={`${id}-help`}
          value={value}
          onChange={(event) => chooseOption(entry, option.name, event.currentTarget.value)}
        />
      ) : (
        <select
          id={id}
          aria-describedby={`${id}-help`}
          value={value}
          onChange={(event) => chooseOption(entry, option.name, event.currentTarget.value)}
        >
          {option.choices.map((choice) => (
            <option key={choice.value} value={choice.value}>
              {choice.label}
            </option>
          ))}
        </select>
      )}
      <p class="hint" id={`${id}-help`}>
        {option.help}
      </p>
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
