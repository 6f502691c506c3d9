import type { Run } from "../core/block-map.ts";
import type { Volume } from "../core/model.ts";
import { plainText } from "./output.ts";

/** What rows have in common that may be joined, where their data lie one behind the other. */
interface Kind {
  /** Data at a place that can be told. */
  readonly placed: boolean;
  /** What stands between the length and the offset, and behind that; null: such rows are not listed. */
  readonly middle: Uint8Array | null;
  readonly last: Uint8Array;
}

/** The rows of a map, printed many at a time: a fragmented disk has millions, and a text of each would take longer than finding them. */
export interface MapRows {
  /** The next runs, in order. */
  add(runs: readonly Run[]): void;
  end(): void;
}

/** Prints bytes, which are not touched before `done` is called. */
export type Print = (bytes: Uint8Array, done: () => void) => void;

/** qemu-img's JSON map, or its table of what is data. */
export function createMapRows(chain: readonly Volume[], json: boolean, print: Print): MapRows {
  const page = new Page(print);
  const kindOf = createKinds(chain, json ? describeJson : describeHuman);
  let listed = 0;
  const row = ({ placed, middle, last }: Kind, start: number, length: number, offset: number): void => {
    if (middle === null) return;
    if (json) {
      page.text(listed === 0 ? FIRST : NEXT);
      page.decimal(start);
      page.text(LENGTH);
      page.decimal(length);
      page.text(middle);
      if (placed) page.decimal(offset);
    } else {
      page.column(start);
      page.column(length);
      page.text(middle);
      if (placed) page.column(offset);
      page.text(last);
    }
    listed++;
  };
  if (!json) page.text(textOf(`${["Offset", "Length", "Mapped to"].map((head) => head.padEnd(COLUMN)).join("")}File\n`));
  /** The row that the next run may continue. */
  let open: { readonly kind: Kind; readonly start: number; readonly length: number; readonly offset: number } | null = null;
  return {
    add(runs) {
      let kind = open?.kind ?? null;
      let [start, length, offset] = open === null ? [0, 0, 0] : [open.start, open.length, open.offset];
      for (const run of runs) {
        const { extent } = run;
        const next = kindOf(run);
        const at = extent.kind === "zero" ? 0 : extent.at;
        if (next !== kind || (next.placed && at !== offset + length)) {
          if (kind !== null) row(kind, start, length, offset);
          kind = next;
          start = extent.start;
          length = 0;
          offset = at;
        }
        length += extent.length;
      }
      open = kind && { kind, start, length, offset };
    },
    end() {
      if (open !== null) row(open.kind, open.start, open.length, open.offset);
      if (json) page.text(listed === 0 ? NONE : CLOSE);
      page.flush();
    },
  };
}

/** What a run says besides its numbers, in the order of qemu-img's fields. */
interface Facts {
  readonly depth: number;
  readonly present: boolean;
  readonly zero: boolean;
  readonly data: boolean;
  readonly compressed: boolean;
  /** File that holds the data; of zeros, the image that says so. qemu-img has no such field. Undefined: no layer holds anything. */
  readonly file: string | undefined;
}

function factsOf(chain: readonly Volume[], { volume, extent }: Run): Facts {
  const depth = Math.min(volume, chain.length - 1);
  const files = chain[volume]?.files;
  if (extent.kind === "zero") {
    const file = extent.allocated ? files?.[0]?.name : undefined;
    return { depth, present: extent.allocated, zero: true, data: false, compressed: false, file };
  }
  return { depth, present: true, zero: false, data: true, file: files?.[extent.file]?.name, compressed: extent.kind === "packed" };
}

type Describe = (facts: Facts, placed: boolean) => { middle: string | null; last: string };

const describeJson: Describe = (facts, placed) => ({
  middle: `,${plainText(JSON.stringify(facts).slice(1, -1))}${placed ? ',"offset":' : ""}`,
  last: "",
});

const describeHuman: Describe = ({ data, compressed, file }, placed) => {
  if (!data) return { middle: null, last: "" };
  // Stands for the offset of data that do not lie in the file as the disk shows them.
  return { middle: placed ? "" : (compressed ? "packed" : "encrypted").padEnd(COLUMN), last: `${plainText(file ?? "")}\n` };
};

/** Of each volume, and of each of its files, the kinds are made once; the same facts are the same kind. */
function createKinds(chain: readonly Volume[], describe: Describe): (run: Run) => Kind {
  const found: Kind[][] = [];
  const same = new Map<string, Kind>();
  const make = (run: Run): Kind => {
    const facts = factsOf(chain, run);
    const placed = run.extent.kind === "raw" && chain[run.volume]?.encrypted !== true;
    const { middle, last } = describe(facts, placed);
    const key = JSON.stringify([facts, placed]);
    const kind = same.get(key) ?? { placed, middle: middle === null ? null : textOf(middle), last: textOf(last) };
    same.set(key, kind);
    return kind;
  };
  return (run) => {
    const { volume, extent } = run;
    const slot = extent.kind === "zero" ? (extent.allocated ? 1 : 0) : 2 + extent.file * 2 + (extent.kind === "packed" ? 1 : 0);
    let own = found[volume];
    if (own === undefined) found[volume] = own = [];
    let kind = own[slot];
    if (kind === undefined) own[slot] = kind = make(run);
    return kind;
  };
}
const textOf = (text: string): Uint8Array => Buffer.from(text, "utf8");

const FIRST = textOf('[{"start":');
const NEXT = textOf('}\n,{"start":');
const LENGTH = textOf(',"length":');
const CLOSE = textOf("}\n]\n");
const NONE = textOf("[]\n");
const COLUMN = 16;

const PAGE_BYTES = 256 << 10;
/** The most that a number touches: 2^53 has 16 digits, which are written by fours; a column may be wider than its number. */
const NUMBER_BYTES = COLUMN + 4;
const LOW_DIGITS = 1e8;
const [ZERO, A, SPACE, X] = [48, 97, 32, 120];

/** Of every number below 10 000 its four digits, the first in the highest byte. */
function fourDigits(): Int32Array {
  const digits = new Int32Array(10_000);
  for (let n = 0; n < digits.length; n++)
    digits[n] =
      0x30303030 + (Math.floor(n / 1000) << 24) + ((Math.floor(n / 100) % 10) << 16) + ((Math.floor(n / 10) % 10) << 8) + (n % 10);
  return digits;
}

/** Bytes on their way out. */
class Page {
  private readonly print: Print;
  private bytes = Buffer.allocUnsafeSlow(PAGE_BYTES);
  private view = new DataView(this.bytes.buffer);
  private length = 0;
  private readonly digits = fourDigits();
  /** Printed, and free again: fresh memory costs more than filling it. */
  private readonly free: Buffer<ArrayBuffer>[] = [];

  constructor(print: Print) {
    this.print = print;
  }

  flush(): void {
    if (this.length === 0) return;
    const { bytes, free } = this;
    this.print(bytes.subarray(0, this.length), () => free.push(bytes));
    this.bytes = free.pop() ?? Buffer.allocUnsafeSlow(PAGE_BYTES);
    this.view = new DataView(this.bytes.buffer);
    this.length = 0;
  }

  text(bytes: Uint8Array): void {
    if (this.length + bytes.length > PAGE_BYTES) this.flush();
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** A whole number up to 2^53. */
  decimal(value: number): void {
    if (this.length + NUMBER_BYTES > PAGE_BYTES) this.flush();
    // In two halves: whole numbers below 2^31 are quick to divide.
    const high = Math.floor(value / LOW_DIGITS);
    const low = (value - high * LOW_DIGITS) | 0;
    if (high === 0) this.leading(low);
    else {
      this.leading(high);
      const upper = (low / 10_000) | 0;
      this.four(upper);
      this.four(low - upper * 10_000);
    }
  }

  /** Without zeros in front. */
  private leading(value: number): void {
    if (value < 10_000) {
      const skip = value < 10 ? 3 : value < 100 ? 2 : value < 1000 ? 1 : 0;
      this.view.setInt32(this.length, (this.digits[value] as number) << (skip * 8));
      this.length += 4 - skip;
    } else {
      const upper = (value / 10_000) | 0;
      this.leading(upper);
      this.four(value - upper * 10_000);
    }
  }

  private four(value: number): void {
    this.view.setInt32(this.length, this.digits[value] as number);
    this.length += 4;
  }

  /** A whole number up to 2^53, hexadecimal, with blanks up to the column's end. */
  column(value: number): void {
    if (this.length + NUMBER_BYTES > PAGE_BYTES) this.flush();
    const { bytes, length } = this;
    let count = 1;
    for (let limit = 16; limit <= value; limit *= 16) count++;
    bytes[length] = ZERO;
    bytes[length + 1] = X;
    for (let rest = value, i = length + 1 + count; i > length + 1; i--) {
      const above = Math.floor(rest / 16);
      const digit = rest - above * 16;
      bytes[i] = digit < 10 ? ZERO + digit : A + digit - 10;
      rest = above;
    }
    const stop = length + Math.max(COLUMN, count + 2);
    bytes.fill(SPACE, length + 2 + count, stop);
    this.length = stop;
  }
}
