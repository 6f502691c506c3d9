import type { FormatCard, PresetCard } from "../workers/engine-api.ts";
import { presetCard, presets } from "./state/engine.ts";
import type { Entry } from "./state/entry.ts";
import { chooseFormat, choosePreset, targets } from "./state/target.ts";
import { groupTargets } from "./target-defaults.ts";

const GROUPS: readonly (readonly [PresetCard["group"], string])[] = [
  ["desktop", "On this or another desktop"],
  ["server", "On a server"],
  ["cloud", "In a cloud"],
];

/** What the result is for: a place with rules of its own, or just a file of some format. */
export function TargetChoice({ entry }: { readonly entry: Entry }) {
  const preset = presetCard(entry.preset.value);
  const { common, more } = groupTargets(targets());
  const id = `target-${entry.key}`;
  const choose = (value: string) => {
    const [kind, name = ""] = value.split("/");
    if (kind === "preset") choosePreset(entry, name);
    else chooseFormat(entry, name);
  };
  return (
    <div class="field">
      <label for={id}>For which target?</label>
      <select
        id={id}
        aria-describedby={`${id}-help`}
        value={preset === undefined ? `format/${entry.format.value}` : `preset/${preset.id}`}
        onChange={(event) => choose(event.currentTarget.value)}
      >
        {GROUPS.map(([group, title]) => (
          <optgroup key={group} label={title}>
            {presets.value
              .filter((one) => one.group === group)
              .map((one) => (
                <option key={one.id} value={`preset/${one.id}`}>
                  {one.label}
                </option>
              ))}
          </optgroup>
        ))}
        <Formats title="Just a file format" formats={common} />
        <Formats title="More formats" formats={more} />
      </select>
      <p class="hint" id={`${id}-help`}>
        {preset?.help ?? "Just a file of this format, or choose where the disk is to run."}
      </p>
      {preset !== undefined && <Rules key={preset.id} preset={preset} />}
    </div>
  );
}

function Formats({ title, formats }: { readonly title: string; readonly formats: readonly FormatCard[] }) {
  if (formats.length === 0) return null;
  return (
    <optgroup label={title}>
      {formats.map((format) => (
        <option key={format.id} value={`format/${format.id}`}>
          {format.label}
        </option>
      ))}
    </optgroup>
  );
}

/** What the target asks of an image, and where it says so. */
function Rules({ preset }: { readonly preset: PresetCard }) {
  const sources = [...new Set(preset.rules.map(({ source }) => source))];
  return (
    <details class="rules">
      <summary>What {preset.label} asks for</summary>
      <ul>
        {preset.rules.map(({ text, source }) => (
          <li key={text}>
            {text} <small>[{sources.indexOf(source) + 1}]</small>
          </li>
        ))}
      </ul>
      <ol class="sources" aria-label="Sources">
        {sources.map((source, i) => (
          <li key={source}>
            [{i + 1}] {source}
          </li>
        ))}
      </ol>
    </details>
  );
}
