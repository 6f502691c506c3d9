import type { Range } from "../core/model.ts";
import type { CellMap } from "../workers/engine-api.ts";
import { isDotted, ownerColour } from "./owners.ts";
import type { Fill } from "./state/entry.ts";

const MIN_CELL = 6;
const MAX_CELL = 20;
const GAP = 1;

type Paint = Readonly<Record<"data" | "packed" | "zero" | "hole" | "done" | "mark" | "fault", string>>;
type Style = string | CanvasPattern;
/** How the data and the packed data of one layer are painted. */
interface OwnerPaint {
  readonly data: Style;
  readonly packed: Style;
}

/**
 * Draws a disk as a grid of cells, row by row from its first byte. Within a cell the kinds are stacked from the bottom
 * by how much of it they fill: plain data solid, compressed data striped, zeros pale, unallocated only outlined, so
 * that the kinds differ without their colours.
 */
export class BlockMapPicture {
  readonly #canvas: HTMLCanvasElement;
  #cells: CellMap | null = null;
  #owners: readonly number[] = [];
  #fill: Fill | null = null;
  #mark: number | null = null;
  #faults: readonly Range[] = [];
  #cell = MAX_CELL;
  #columns = 1;
  #frame = 0;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
  }

  /** `owners`: the numbers by which the map's owners have their colours; none for an image of one layer. */
  show(cells: CellMap, owners: readonly number[]): void {
    this.#cells = cells;
    this.#owners = owners;
    this.resize();
  }

  /** How far a job has come: blocks not yet written are faint, blocks read back get a bar below. */
  fill(fill: Fill | null): void {
    this.#fill = fill;
    this.#schedule();
  }

  /** What a check found at fault is framed. */
  faults(ranges: readonly Range[]): void {
    this.#faults = ranges;
    this.#schedule();
  }

  mark(cell: number | null): void {
    this.#mark = cell;
    this.#schedule();
  }

  /** Fits the grid to the width that the stylesheet gives the canvas, in device pixels for sharpness. */
  resize(): void {
    const cells = this.#cells;
    const width = this.#canvas.clientWidth;
    if (cells === null || width === 0) return;
    const count = cells.data.length;
    const height = width > 560 ? 160 : 200;
    this.#cell = Math.max(MIN_CELL, Math.min(MAX_CELL, Math.floor(Math.sqrt((width * height) / count))));
    this.#columns = Math.max(1, Math.floor(width / this.#cell));
    const rows = Math.ceil(count / this.#columns);
    const scale = devicePixelRatio;
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(rows * this.#cell * scale);
    this.#canvas.style.height = `${rows * this.#cell}px`;
    this.#schedule();
  }

  /** The cell at a place of the canvas, in CSS pixels; null outside the grid. */
  cellAt(x: number, y: number): number | null {
    const column = Math.floor(x / this.#cell);
    const cell = Math.floor(y / this.#cell) * this.#columns + column;
    return column >= 0 && column < this.#columns && cell >= 0 && cell < (this.#cells?.data.length ?? 0) ? cell : null;
  }

  repaint(): void {
    this.#schedule();
  }

  stop(): void {
    cancelAnimationFrame(this.#frame);
  }

  #schedule(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#draw());
  }

  #draw(): void {
    const context = this.#canvas.getContext("2d");
    const cells = this.#cells;
    if (context === null || cells === null) return;
    const paint = readPaint(this.#canvas);
    const one = { data: paint.data, packed: makeStripes(context, paint.packed) };
    const owners = this.#owners.map((owner) => {
      const own = colourOf(this.#canvas, ownerColour(owner));
      const data = isDotted(owner) ? makeDots(context, own, colourOf(this.#canvas, "surface")) : own;
      return { data, packed: makeStripes(context, own) };
    });
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    for (let i = 0; i < cells.data.length; i++) this.#drawCell(context, cells, i, paint, one, owners);
    for (const cell of this.#faultyCells(cells)) this.#frameCell(context, cell, paint.fault);
    if (this.#mark !== null) this.#frameCell(context, this.#mark, paint.mark);
  }

  #faultyCells({ cellBytes, data }: CellMap): ReadonlySet<number> {
    const found = new Set<number>();
    for (const { start, length } of this.#faults) {
      const last = Math.min(data.length - 1, Math.floor((start + length - 1) / cellBytes));
      for (let cell = Math.floor(start / cellBytes); cell <= last; cell++) found.add(cell);
    }
    return found;
  }

  #frameCell(context: CanvasRenderingContext2D, cell: number, colour: string): void {
    const { x, y } = this.#place(cell);
    context.globalAlpha = 1;
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.strokeRect(x + 1, y + 1, this.#cell - GAP - 2, this.#cell - GAP - 2);
  }

  #drawCell(
    context: CanvasRenderingContext2D,
    cells: CellMap,
    i: number,
    paint: Paint,
    one: OwnerPaint,
    owners: readonly OwnerPaint[],
  ): void {
    const { x, y } = this.#place(i);
    const side = this.#cell - GAP;
    const data = cells.data[i] ?? 0;
    const packed = cells.packed[i] ?? 0;
    const zero = cells.zero[i] ?? 0;
    const total = data + packed + zero + (cells.hole[i] ?? 0);
    if (total === 0) return;
    context.globalAlpha = 1;
    context.lineWidth = 1;
    context.strokeStyle = paint.hole;
    context.strokeRect(x + 0.5, y + 0.5, side - 1, side - 1);
    const reached = this.#reached(cells, i);
    context.globalAlpha = this.#fill?.phase === "read" && !reached ? 0.22 : 1;
    let bottom = y + side;
    const stack = (bytes: number, style: Style) => {
      if (bytes === 0) return;
      // Anything at all is at least one pixel high: a used cell never looks empty.
      const height = Math.max(1, (bytes / total) * side);
      context.fillStyle = style;
      context.fillRect(x, bottom - height, side, height);
      bottom -= height;
    };
    let owned = 0;
    // The base at the bottom, as it lies.
    for (let owner = owners.length - 1; owner >= 0; owner--) {
      const sums = cells.owners[owner];
      const { data: plain, packed: striped } = owners[owner] as OwnerPaint;
      stack(sums?.data[i] ?? 0, plain);
      stack(sums?.packed[i] ?? 0, striped);
      owned += (sums?.data[i] ?? 0) + (sums?.packed[i] ?? 0);
    }
    if (owners.length === 0) {
      stack(data, one.data);
      stack(packed, one.packed);
      // What damaged tables hide is nobody's.
    } else stack(Math.max(0, data + packed - owned), one.data);
    stack(zero, paint.zero);
    if (this.#fill !== null && this.#fill.phase !== "read" && reached && data + packed > 0) {
      context.globalAlpha = 1;
      context.fillStyle = paint.done;
      context.fillRect(x, y + side - 2, side, 2);
    }
  }

  #reached(cells: CellMap, i: number): boolean {
    return this.#fill !== null && i * cells.cellBytes < this.#fill.position;
  }

  #place(i: number): { readonly x: number; readonly y: number } {
    return { x: (i % this.#columns) * this.#cell, y: Math.floor(i / this.#columns) * this.#cell };
  }
}

const colourOf = (canvas: HTMLCanvasElement, name: string): string => getComputedStyle(canvas).getPropertyValue(`--${name}`).trim();

function readPaint(canvas: HTMLCanvasElement): Paint {
  const style = getComputedStyle(canvas);
  const colour = (name: string) => style.getPropertyValue(`--map-${name}`).trim();
  return {
    data: colour("data"),
    packed: colour("packed"),
    zero: colour("zero"),
    hole: colour("hole"),
    done: colour("done"),
    mark: colour("mark"),
    fault: colour("fault"),
  };
}

/** Diagonal stripes of the colour on a lighter ground of the same colour. */
function makeStripes(context: CanvasRenderingContext2D, colour: string): CanvasPattern | string {
  const tile = document.createElement("canvas");
  tile.width = 4;
  tile.height = 4;
  const on = tile.getContext("2d");
  if (on === null) return colour;
  on.fillStyle = colour;
  on.globalAlpha = 0.35;
  on.fillRect(0, 0, 4, 4);
  on.globalAlpha = 1;
  on.strokeStyle = colour;
  on.lineWidth = 1.4;
  on.beginPath();
  for (const shift of [-4, 0, 4]) {
    on.moveTo(shift, 4);
    on.lineTo(shift + 4, 0);
  }
  on.stroke();
  return context.createPattern(tile, "repeat") ?? colour;
}

/** The colour with dots of the ground in it. */
function makeDots(context: CanvasRenderingContext2D, colour: string, ground: string): CanvasPattern | string {
  const tile = document.createElement("canvas");
  tile.width = 6;
  tile.height = 6;
  const on = tile.getContext("2d");
  if (on === null) return colour;
  on.fillStyle = colour;
  on.fillRect(0, 0, 6, 6);
  on.fillStyle = ground;
  on.fillRect(2, 2, 2, 2);
  return context.createPattern(tile, "repeat") ?? colour;
}
