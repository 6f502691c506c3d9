import { batch } from "@preact/signals";
import { type Entry, titleOf } from "./state/entry.ts";
import { comparable } from "./state/examination.ts";

const SHAPES: Readonly<Record<Entry["shape"]["value"], string>> = {
  whole: "One image with everything",
  layers: "Keep the layers: one file each",
  delta: "Only what differs from another open image",
};

/** For formats with layers: nothing while there is neither a chain to keep nor another image to lie over. */
export function LayersField({ entry }: { readonly entry: Entry }) {
  const others = comparable(entry).filter((other) => other.card.value?.wrapping.length === 0);
  const offered = (["whole", "layers", "delta"] as const).filter(
    (shape) =>
      shape === "whole" ||
      (shape === "layers" ? (entry.card.value?.owners.length ?? 0) > 1 : others.length > 0) ||
      entry.shape.value === shape,
  );
  if (offered.length === 1) return null;
  const choose = (shape: Entry["shape"]["value"]) =>
    batch(() => {
      entry.shape.value = shape;
      entry.base.value = shape === "delta" ? (others[0] ?? null) : null;
    });
  return (
    <fieldset>
      <legend>Layers</legend>
      {offered.map((shape) => (
        <div key={shape} class="check">
          <input
            id={`shape-${entry.key}-${shape}`}
            type="radio"
            name={`shape-${entry.key}`}
            checked={entry.shape.value === shape}
            onChange={() => choose(shape)}
          />
          <label for={`shape-${entry.key}-${shape}`}>{SHAPES[shape]}</label>
        </div>
      ))}
      {entry.shape.value === "delta" && <Bases entry={entry} others={others} />}
    </fieldset>
  );
}

function Bases({ entry, others }: { readonly entry: Entry; readonly others: readonly Entry[] }) {
  const id = `base-${entry.key}`;
  return (
    <div class="field">
      <label for={id}>The base</label>
      <select
        id={id}
        value={entry.base.value?.key}
        aria-describedby={`${id}-help`}
        onChange={(event) => {
          entry.base.value = others.find(({ key }) => key === Number(event.currentTarget.value)) ?? null;
        }}
      >
        {others.map((other) => (
          <option key={other.key} value={other.key}>
            {titleOf(other)}
          </option>
        ))}
      </select>
      <p class="hint" id={`${id}-help`}>
        The result is of use only beside this file, in one folder, and only as long as it is not changed.
      </p>
    </div>
  );
}
