import type { TargetOption } from "../core/target.ts";
import { LayersField } from "./layers-field.tsx";
import { formatCard, presetCard } from "./state/engine.ts";
import type { Entry } from "./state/entry.ts";
import { chooseOption, outputStem } from "./state/target.ts";
import { TextInput } from "./text-input.tsx";

/** A format's first choices are those that people come for; the rest, and what has to be typed, is folded away. */
const PLAIN_OPTIONS = 3;

/** File name, the format's own options, and what to do about damage. */
export function TargetOptions({ entry }: { readonly entry: Entry }) {
  const format = formatCard(entry.format.value);
  if (format === undefined) return null;
  const preset = presetCard(entry.preset.value);
  const options = preset === undefined ? (format.options ?? []) : [];
  const chosen = options.filter((option) => option.choices !== null).slice(0, PLAIN_OPTIONS);
  const others = options.filter((option) => !chosen.includes(option));
  return (
    <details class="options">
      <summary>Options</summary>
      <div class="field">
        <label for={`name-${entry.key}`}>File name</label>
        <div class="suffixed">
          <TextInput
            id={`name-${entry.key}`}
            value={outputStem(entry)}
            onTake={(typed) => {
              entry.stem.value = typed.trim().replace(/[\\/]/g, "-") || null;
            }}
          />
          <span>.{entry.extension}</span>
        </div>
      </div>
      {preset !== undefined && <p class="hint">The format and its options are those that {preset.label} takes.</p>}
      {chosen.map((option) => (
        <OptionField key={option.name} entry={entry} option={option} />
      ))}
      {others.length > 0 && (
        <details class="advanced">
          <summary>Advanced</summary>
          {others.map((option) => (
            <OptionField key={option.name} entry={entry} option={option} />
          ))}
        </details>
      )}
      {preset === undefined && format.layers && <LayersField entry={entry} />}
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
        <TextInput id={id} describedBy={`${id}-help`} value={value} onTake={(typed) => chooseOption(entry, option.name, typed.trim())} />
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
