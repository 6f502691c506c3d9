import { DiskError } from "../core/errors.ts";
import type { DiskFormat, Json, Volume } from "../core/model.ts";
import type { Compute } from "../core/ports.ts";
import type { Base, Encoding, ImageWriter, Loss, TargetFormat, TargetOption, TargetSpec } from "../core/target.ts";

export function targetOf(format: DiskFormat): TargetFormat {
  if (format.target === undefined) throw new DiskError("usage", `${format.label} can be read but not written`);
  return format.target;
}

/** Every option of a target: the given values checked, the rest at their defaults. */
export function readOptions(target: TargetFormat, given: Readonly<Record<string, string>>): Record<string, string> {
  for (const name of Object.keys(given)) {
    if (!target.options.some((option) => option.name === name)) {
      const known = target.options.map((option) => option.name).join(", ") || "none";
      throw new DiskError("usage", `the target format has no option “${name}”; it has: ${known}`);
    }
  }
  return Object.fromEntries(target.options.map((option) => [option.name, readOption(option, given[option.name])]));
}

function readOption(option: TargetOption, given: string | undefined): string {
  if (given === undefined || option.choices === null) return given ?? option.initial;
  const match = option.choices.find(({ value }) => value === given) ?? option.choices.find(({ value }) => sameSize(value, given));
  if (match === undefined)
    throw new DiskError("usage", `${option.name} cannot be “${given}”; choices: ${option.choices.map(({ value }) => value).join(", ")}`);
  return match.value;
}

/**
 * The options with which the target would write an image like this one, as far as its facts bear the options' names (or are its
 * variant, or the size of its units); the rest stay at their defaults.
 */
export function optionsLike(target: TargetFormat, volume: Volume): Record<string, string> {
  const facts: Readonly<Record<string, Json | undefined>> = {
    ...Object.fromEntries(Object.entries(volume.details).map(([name, value]) => [name.replaceAll("-", "_"), value])),
    subformat: volume.details["create-type"] ?? volume.variant,
    static: volume.variant.startsWith("static"),
    cluster_size: volume.unit,
    block_size: volume.unit,
  };
  const found: Record<string, string> = {};
  for (const { name, choices } of target.options) {
    const fact = facts[name];
    const value = typeof fact === "boolean" ? (fact ? "on" : "off") : String(fact ?? "");
    const match = choices?.find((choice) => sameSize(choice.value, value));
    if (match !== undefined) found[name] = match.value;
  }
  return found;
}

/** `64k`, `64K` and `65536` are one value, as for qemu-img. */
function sameSize(a: string, b: string): boolean {
  const bytes = sizeOf(a);
  return (bytes !== null && bytes === sizeOf(b)) || a.toLowerCase() === b.toLowerCase();
}

function sizeOf(text: string): number | null {
  const match = /^(\d+)([kmgt]?)$/i.exec(text);
  return match === null ? null : Number(match[1]) * 1024 ** " kmgt".indexOf((match[2] as string).toLowerCase() || " ");
}

/** For writers whose writes are only counted: checksums cost time and change no size. */
export const withoutSums = (compute: Compute): Compute => ({
  ...compute,
  crc32: () => 0,
  crc32c: () => 0,
  adler32: () => 1,
  hash: (name) => ({ update() {}, digest: () => new Uint8Array(name === "sha1" ? 20 : 32) }),
});

/** What an image would take if every unit of data were stored. Units must be told in ascending order. */
export interface Measure {
  add(start: number, length: number): void;
  /** File sizes, largest possible; `required` adds up what would be written (holes cost nothing). */
  finish(): { readonly sizes: readonly number[]; readonly written: number };
}

/** Runs the writer itself without data, so that the answer is what it would really do. */
export function createMeasure(writer: ImageWriter): Measure {
  const { unit, encoding } = writer;
  const packed = encoding !== null && encoding.keep === "always";
  const block = packed
    ? ({ kind: "packed", bytes: new Uint8Array(unit + largestGrowth(unit, encoding)) } as const)
    : ({ kind: "data", bytes: new Uint8Array(unit) } as const);
  let next = 0;
  let written = 0;
  return {
    add(start, length) {
      const end = Math.ceil((start + length) / unit);
      for (let index = Math.max(next, Math.floor(start / unit)); index < end; index++) {
        for (const write of writer.put(index, block)) written += write.bytes.length;
      }
      next = Math.max(next, end);
    },
    finish() {
      const { writes, sizes } = writer.end();
      for (const write of writes) written += write.bytes.length;
      return { sizes, written };
    },
  };
}

/** Units after which a fully allocated image is taken to grow evenly. */
const EVEN_AFTER = 2 ** 20;
/** The same in bytes, for large units. */
const EVEN_BYTES = 2 ** 36;

/** Sum of the file sizes of an image in which every unit is stored; extrapolated (to about a table's size) for huge disks. */
export function fullyAllocatedSize(target: TargetFormat, spec: TargetSpec, compute: Compute): number {
  const sumless = withoutSums(compute);
  const { unit } = target.create(spec, sumless);
  const upTo = (bytes: number): number => {
    const measure = createMeasure(target.create(spec, sumless));
    measure.add(0, bytes);
    return measure.finish().sizes.reduce((sum, size) => sum + size, 0);
  };
  const even = Math.min(EVEN_AFTER * unit, EVEN_BYTES);
  if (spec.size <= even) return upTo(spec.size);
  const [half, whole] = [upTo(even / 2), upTo(even)];
  return Math.ceil(whole + ((whole - half) / (even / 2)) * (spec.size - even));
}

/** DEFLATE never grows data by more than a stored block's header per 65,535 bytes (RFC 1951 §3.2.4), plus a zlib frame or the end of a part and its sum. */
function largestGrowth(unit: number, encoding: Encoding): number {
  return encoding.codec === "zstd" ? 64 : Math.ceil(unit / 65535) * 5 + 16;
}

/** A writer's losses plus what no format carries. */
export function lossesOf(target: TargetFormat, spec: TargetSpec): ReturnType<TargetFormat["losses"]> {
  const empty = { what: "The disk is empty", why: "it has a virtual size of 0 bytes", severity: "blocker" } as const;
  if (spec.size === 0) return [empty];
  return spec.base === undefined ? target.losses(spec) : [...target.losses(spec), ...deltaLosses(target, spec, spec.base)];
}

function deltaLosses(target: TargetFormat, spec: TargetSpec, base: Base): readonly Loss[] {
  // The layer finds its base in its own folder, where some file systems take both names for one.
  if (spec.name.toLowerCase() === base.name.toLowerCase())
    return [{ what: `“${spec.name}” is the name of the base`, why: "the layer needs another one beside it", severity: "blocker" }];
  if (target.overBase !== undefined) return target.overBase(base, spec);
  return [{ what: "This format has no layers", why: `an image over “${base.name}” cannot be written in it`, severity: "blocker" }];
}
