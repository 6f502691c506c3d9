import { useEffect, useRef } from "preact/hooks";
import type { ImageCard, LayerCard, TreeCard } from "../workers/engine-api.ts";
import { ChainProblems } from "./chain-problems.tsx";
import { isDotted, ownerColour, ownerNumber } from "./owners.ts";
import { bytes, count, exactBytes, moment } from "./quantities.ts";
import { namelessNeed, neededBy, pathTo } from "./state/chains.ts";
import { type ChainState, type Entry, isBusy } from "./state/entry.ts";
import { choosePoint } from "./state/images.ts";

/** A chain from its base to its newest layer, each a point in time that can be chosen, and what is wrong with it. */
export function ChainStrip({ entry, chain }: { readonly entry: Entry; readonly chain: ChainState }) {
  const { tree } = chain;
  const group = useRef<HTMLDivElement>(null);
  const path = pathTo(tree, entry.point.value);
  const isHeld = isBusy(entry.job.value);
  // Of many layers the chosen one, which most often is the last, is to be seen.
  useEffect(() => {
    const chosen = group.current?.querySelector<HTMLElement>('[aria-checked="true"]') ?? null;
    if (group.current !== null && chosen !== null)
      group.current.scrollTop = chosen.offsetTop + chosen.offsetHeight - group.current.clientHeight;
  }, [tree]);
  const move = (event: KeyboardEvent) => {
    const step = STEPS[event.key];
    if (step === undefined || group.current === null) return;
    event.preventDefault();
    const cards = [...group.current.querySelectorAll<HTMLElement>('[role="radio"]')];
    const at = cards.indexOf(document.activeElement as HTMLElement);
    cards[(at + step + cards.length) % cards.length]?.focus();
  };
  return (
    <section class="chain">
      <div class="chain-head">
        <h3 id={`chain-${entry.key}`}>{headingOf(tree)}</h3>
        {tree.layers.length > 1 && <p class="hint">Choose a layer to have the disk as it was when that was the newest.</p>}
      </div>
      <div ref={group} class="branches" role="radiogroup" aria-labelledby={`chain-${entry.key}`} onKeyDown={move}>
        {branchesOf(tree).map((branch) => (
          <div key={branch.layers[0]?.id} class="branch">
            {branch.from !== null && <p class="hint">Over {branch.from.name}:</p>}
            <div class="layers">
              {branch.from === null && <Missing tree={tree} />}
              {branch.layers.map((layer) => (
                <Layer
                  key={layer.id}
                  tree={tree}
                  layer={layer}
                  card={entry.card.value}
                  place={path.indexOf(layer)}
                  length={path.length}
                  isHeld={isHeld}
                  choose={() => choosePoint(entry, layer.id)}
                />
              ))}
            </div>
          </div>
        ))}
      </div>
      <ChainProblems entry={entry} />
    </section>
  );
}

const STEPS: Readonly<Record<string, number>> = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

function headingOf({ layers }: TreeCard): string {
  const tops = layers.filter(({ id }) => !layers.some(({ parent }) => parent === id)).length;
  const points = count(layers.length, "layer");
  return tops > 1 ? `${points}, branching to ${tops} ends` : points;
}

interface Branch {
  /** The layer it grows from; null for the base's. */
  readonly from: LayerCard | null;
  readonly layers: readonly LayerCard[];
}

/** Runs of layers that lie directly over each other. */
function branchesOf({ layers }: TreeCard): readonly Branch[] {
  const branches: { from: LayerCard | null; layers: LayerCard[] }[] = [];
  for (const layer of layers) {
    const last = branches.at(-1);
    const before = last?.layers.at(-1);
    if (last !== undefined && before !== undefined && layer.parent === before.id) last.layers.push(layer);
    else branches.push({ from: layers.find(({ id }) => id === layer.parent && branches.length > 0) ?? null, layers: [layer] });
  }
  return branches;
}

interface LayerProps {
  readonly tree: TreeCard;
  readonly layer: LayerCard;
  readonly card: ImageCard | null;
  /** In the path from the base to the chosen layer; -1: not in it. */
  readonly place: number;
  readonly length: number;
  readonly isHeld: boolean;
  readonly choose: () => void;
}

function Layer({ tree, layer, card, place, length, isHeld, choose }: LayerProps) {
  const isChosen = place === length - 1;
  // Of a locked image the tables are not read yet: nothing is known of what lies where.
  const owner = place < 0 || card?.locked === true ? undefined : card?.owners[length - 1 - place];
  const parent = tree.layers.find(({ id }) => id === layer.parent);
  const number = ownerNumber(tree, layer.id);
  return (
    // biome-ignore lint/a11y/useSemanticElements: an arrow key would choose an input at once, and each choice opens a disk
    <button
      type="button"
      role="radio"
      class={place < 0 ? "layer later" : "layer"}
      aria-checked={isChosen}
      aria-disabled={isHeld}
      tabIndex={isChosen ? 0 : -1}
      onClick={() => {
        if (!isHeld) choose();
      }}
    >
      <span class="layer-name">
        <span class={`swatch ${ownerColour(number)}${isDotted(number) ? " dotted" : ""}`} aria-hidden="true" />
        {layer.name}
      </span>
      {layer.points.map((point) => (
        <b key={point}>“{point}”</b>
      ))}
      {layer.id === tree.current && <b class="current">{currentText(layer)}</b>}
      <span title={layer.variant}>{layer.label}</span>
      {layer.modified !== null && <span>changed {moment(layer.modified * 1000)}</span>}
      {parent !== undefined && parent.size !== layer.size && <span title={exactBytes(layer.size)}>{bytes(layer.size)} virtual size</span>}
      {owner !== undefined && <span title={exactBytes(owner.bytes)}>owns {bytes(owner.bytes)}</span>}
      {owner === undefined && card !== null && place < 0 && <span>not part of the chosen disk</span>}
    </button>
  );
}

function currentText({ usedBy }: LayerCard): string {
  const [first, ...others] = usedBy;
  if (first === undefined) return "newest";
  return `current in ${first.machine}, ${first.slot}${others.length > 0 ? ` and ${others.length} more` : ""}`;
}

/** The place of a parent that was not given. */
function Missing({ tree }: { readonly tree: TreeCard }) {
  const problem = tree.layers[0]?.problems.find(({ kind }) => kind === "missing");
  if (problem === undefined) return null;
  const uuid = namelessNeed(problem);
  return (
    <p class="layer missing">
      <span class="layer-name">{uuid === null ? neededBy(problem) : `UUID ${uuid}`}</span>
      <span>missing</span>
    </p>
  );
}
