import { signal, useComputed, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { CellMap, ExtentCard, ImageCard } from "../workers/engine-api.ts";
import { BlockMapPicture } from "./block-map-picture.ts";
import { ownerColour, ownerNumbers } from "./owners.ts";
import { bytes, offset, share } from "./quantities.ts";
import { Scroller } from "./scroller.tsx";
import { appearance } from "./state/appearance.ts";
import { engine } from "./state/engine.ts";
import { type Entry, fillOf } from "./state/entry.ts";
import { faultyRanges } from "./state/examination.ts";

const WIDE_CELLS = 1024;
const NARROW_CELLS = 512;
const MAX_ROWS = 200;

const KINDS = { data: "data", packed: "compressed data", zero: "zeros", hole: "unallocated" } as const;
type Kind = keyof typeof KINDS;
const ORDER: readonly Kind[] = ["data", "packed", "zero", "hole"];

/** Light or dark, as the system has it: the canvas is painted with the stylesheet's colours, so it follows by hand. */
const systemTheme = signal(0);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  systemTheme.value += 1;
});

/** The disk as a picture, a slider to look at any place of it, and the same as a table. */
export function BlockMap({ entry, card }: { readonly entry: Entry; readonly card: ImageCard }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const picture = useRef<BlockMapPicture | null>(null);
  const cells = useSignal<CellMap | null>(null);
  const failed = useSignal(false);
  const place = useSignal<number | null>(null);
  const extent = useSignal<ExtentCard | null>(null);
  const asking = useRef(false);
  const fill = fillOf(entry.job);
  const faults = useComputed(() => faultyRanges(entry));
  const owners = ownerNumbers(entry, card);
  const theme = `${appearance.value}${systemTheme.value}`;

  useEffect(() => {
    if (canvas.current === null) return;
    const current = new BlockMapPicture(canvas.current);
    picture.current = current;
    const observer = new ResizeObserver(() => current.resize());
    observer.observe(canvas.current);
    let gone = false;
    engine()
      .cells(card.image, canvas.current.clientWidth > 480 ? WIDE_CELLS : NARROW_CELLS)
      .then(
        (map) => {
          if (gone) return;
          cells.value = map;
          current.show(map, owners);
        },
        () => {
          failed.value = true;
        },
      );
    return () => {
      gone = true;
      observer.disconnect();
      current.stop();
    };
  }, [card.image]);
  useEffect(() => picture.current?.fill(fill), [fill?.phase, fill?.position]);
  useEffect(() => picture.current?.faults(faults.value), [faults.value]);
  useEffect(() => picture.current?.repaint(), [theme]);

  /** One question at a time: while one is out, only the latest place is kept. */
  const look = (cell: number | null) => {
    if (cell === null || cells.value === null) return;
    place.value = cell;
    picture.current?.mark(cell);
    if (asking.current) return;
    asking.current = true;
    const at = cell * cells.value.cellBytes;
    engine()
      .extentAt(card.image, at)
      .then(
        (found) => {
          extent.value = found;
        },
        () => {
          extent.value = null;
        },
      )
      .finally(() => {
        asking.current = false;
        if (place.value !== cell) look(place.value);
      });
  };

  const map = cells.value;
  return (
    <section class="block-map" aria-label={`Blocks of ${card.name}`}>
      {owners.length > 0 && <OwnerBar card={card} numbers={owners} />}
      <canvas
        ref={canvas}
        role="img"
        aria-label={`Block map of ${card.name}: ${describe(card)}`}
        onPointerMove={(event) => look(picture.current?.cellAt(event.offsetX, event.offsetY) ?? null)}
      />
      {failed.value && <p class="hint">The map could not be drawn: part of the image's tables cannot be read.</p>}
      {map !== null && map.data.length > 0 && (
        <>
          <input
            type="range"
            class="scrubber"
            aria-label="Place on the disk"
            aria-valuetext={readout(card, map, place.value, extent.value)}
            min={0}
            max={map.data.length - 1}
            value={place.value ?? 0}
            onInput={(event) => look(event.currentTarget.valueAsNumber)}
          />
          <p class="readout">{readout(card, map, place.value, extent.value)}</p>
          <Legend card={card} isOwned={owners.length > 0} faulty={faults.value.length > 0} />
          <MapTable map={map} owners={card.owners.map(({ name }) => name)} />
        </>
      )}
    </section>
  );
}

/** Who owns how much of the data, the base first; the colours are those of the layers' cards. */
function OwnerBar({ card, numbers }: { readonly card: ImageCard; readonly numbers: readonly number[] }) {
  const owned = card.owners.map(({ name, bytes: amount }, i) => ({ name, amount, colour: ownerColour(numbers[i] ?? 0) })).toReversed();
  const all = owned.reduce((sum, { amount }) => sum + amount, 0);
  if (all === 0) return null;
  let at = 0;
  return (
    <svg
      class="owner-bar"
      role="img"
      aria-label={`Who owns how much: ${owned.map((one) => `${one.name} ${bytes(one.amount)}`).join(", ")}`}
    >
      {owned.map(({ name, amount, colour }, i) => {
        const x = `${(at / all) * 100}%`;
        at += amount;
        return (
          <rect key={i} class={colour} x={x} width={`${(amount / all) * 100}%`} height="100%">
            <title>{`${name}: ${bytes(amount)}, ${share(amount / all)} of the data`}</title>
          </rect>
        );
      })}
    </svg>
  );
}

/** Of a chain the layers' cards are the legend of the colours: here stands only what else the picture says. */
function Legend({ card, isOwned, faulty }: { readonly card: ImageCard; readonly isOwned: boolean; readonly faulty: boolean }) {
  const amounts: readonly (readonly [Kind, string, number])[] = [
    ["data", "Data", card.dataBytes],
    ["packed", "Compressed", card.packedBytes],
    ["zero", "Zeros or unallocated", card.zeroBytes],
  ];
  return (
    <ul class="legend">
      {amounts
        .filter(([, , amount]) => amount > 0)
        .map(([kind, label, amount]) => (
          <li key={kind}>
            <span class={isOwned && kind !== "zero" ? `swatch ${kind} plain` : `swatch ${kind}`} aria-hidden="true" />
            {label} <b>{bytes(amount)}</b>
          </li>
        ))}
      {faulty && (
        <li>
          <span class="swatch fault" aria-hidden="true" />
          Faults that the check found
        </li>
      )}
    </ul>
  );
}

interface TableProps {
  readonly map: CellMap;
  /** Names of the layers that `map.owners` sums up. */
  readonly owners: readonly string[];
}

function MapTable({ map, owners }: TableProps) {
  const open = useSignal(false);
  return (
    <details onToggle={(event) => (open.value = event.currentTarget.open)}>
      <summary>Block map as a table</summary>
      {open.value && <MapRows map={map} owners={owners} />}
    </details>
  );
}

function MapRows({ map, owners }: TableProps) {
  const rows = summarise(map, owners);
  return (
    <Scroller label="Block map table">
      <table>
        <caption>
          {rows.length > MAX_ROWS ? `The first ${MAX_ROWS} of ${rows.length} ranges` : "All ranges"}, in steps of {bytes(map.cellBytes)}
        </caption>
        <thead>
          <tr>
            <th scope="col">From</th>
            <th scope="col">Length</th>
            <th scope="col">Holds</th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, MAX_ROWS).map((row) => (
            <tr key={row.start}>
              <td class="number">{offset(row.start)}</td>
              <td class="number">{bytes(row.length)}</td>
              <td>{row.holds}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroller>
  );
}

function describe(card: ImageCard): string {
  const part = (amount: number) => share(card.size === 0 ? 0 : amount / card.size);
  return `${part(card.dataBytes)} data, ${part(card.packedBytes)} compressed data, ${part(card.zeroBytes)} zeros or unallocated`;
}

function readout(card: ImageCard, map: CellMap, cell: number | null, extent: ExtentCard | null): string {
  if (cell === null) return "Point at the map, or move the slider, to see what lies where.";
  const at = cell * map.cellBytes;
  const start = `${offset(at)} (${bytes(at)})`;
  if (extent === null || at < extent.start || at >= extent.start + extent.length) return start;
  const where = extent.file === null ? "" : ` in ${extent.file}${extent.at === null ? "" : ` at ${offset(extent.at)}`}`;
  const owner = card.owners.length > 1 && extent.owner !== null ? card.owners[extent.owner] : undefined;
  const owned = owner === undefined ? "" : `, owned by ${owner.name}`;
  return `${start}: ${bytes(Math.min(extent.length, card.size - extent.start))} ${KINDS[extent.kind]}${where}${owned}`;
}

/** Neighbouring cells of the same make-up in one row. */
function summarise(map: CellMap, owners: readonly string[]): { start: number; length: number; holds: string }[] {
  const rows: { start: number; length: number; holds: string }[] = [];
  for (let i = 0; i < map.data.length; i++) {
    const amounts = makeUp(map, owners, i).filter(([, amount]) => amount > 0);
    const length = amounts.reduce((sum, [, amount]) => sum + amount, 0);
    const holds = amounts.length === 1 && amounts[0] ? amounts[0][0] : amounts.map(([what, n]) => `${bytes(n)} ${what}`).join(", ");
    const last = rows.at(-1);
    if (last !== undefined && last.holds === holds && amounts.length === 1) last.length += length;
    else rows.push({ start: i * map.cellBytes, length, holds });
  }
  return rows;
}

/** What a cell holds in words, and how much of it; the data of a chain by its owners. */
function makeUp(map: CellMap, owners: readonly string[], i: number): readonly (readonly [string, number])[] {
  const isOwned = map.owners.length > 0;
  const plain = ORDER.filter((kind) => !isOwned || kind === "zero" || kind === "hole");
  const owned = map.owners.flatMap(({ data, packed }, owner) => [
    [`data of ${owners[owner]}`, data[i] ?? 0] as const,
    [`compressed data of ${owners[owner]}`, packed[i] ?? 0] as const,
  ]);
  return [...owned, ...plain.map((kind) => [KINDS[kind], map[kind][i] ?? 0] as const)];
}
