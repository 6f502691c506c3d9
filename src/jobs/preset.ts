import type { Loss } from "../core/target.ts";
import { DISK_FORMATS, formatById } from "../formats/registry.ts";
import { type DiskFacts, type Preset, presetById, type Step } from "../presets/index.ts";
import type { ConvertRequest } from "./convert.ts";
import { readOptions, targetOf } from "./target.ts";

/** A conversion as a target wants it. */
export interface PresetPlan {
  readonly preset: Preset;
  readonly request: Pick<ConvertRequest, "format" | "options" | "name">;
  /** The virtual size that the disk is to be given before it is written: never smaller than it is. */
  readonly size: number;
  /** What the target does not take or carry; a blocker is its refusal. The writer's own losses come with the plan of the conversion. */
  readonly losses: readonly Loss[];
  readonly steps: readonly Step[];
}

/**
 * What a conversion for the target `id` is to be. `facts.size` is the disk's virtual size, or the one that the user wants it to have.
 * `name`: of the main output file, when it is given already; the target's rule for names then applies to it. `options`: of the format, as
 * the user wants them; they count, and where the preset has others that is told. A `usage` error when there is no such target.
 */
export function applyPreset(id: string, facts: DiskFacts, name?: string, options: Readonly<Record<string, string>> = {}): PresetPlan {
  const preset = presetById(id);
  const isLarge = facts.sector > SECTOR;
  const size = Math.ceil(preset.size(facts.size) / facts.sector) * facts.sector;
  const fileName = name ?? suggestedName(preset, facts.name);
  const own = { ...preset.options, ...(isLarge ? preset.largeSectors : {}) };
  return {
    preset,
    request: { format: preset.format, options: { ...own, ...options }, name: fileName },
    size,
    losses: [
      ...nameLosses(preset, fileName),
      ...optionLosses(preset, own, options),
      ...sectorLosses(preset, facts),
      ...sizeLosses(preset, facts.size, size),
      ...preset.losses(facts),
    ],
    steps: preset.steps(fileName, facts),
  };
}

const SECTOR = 512;

/** After the source, but never by the source's own name. */
function suggestedName(preset: Preset, source: string): string {
  const stem = withoutExtensions(source);
  const name = preset.fileName(stem);
  return name.toLowerCase() === source.toLowerCase() ? preset.fileName(`${stem}-${preset.id}`) : name;
}

/** "web.img.gz" → "web": behind the extension of a wrapping may stand that of what it wraps. */
function withoutExtensions(name: string): string {
  const dot = name.lastIndexOf(".");
  const extension = name.slice(dot + 1).toLowerCase();
  const format = dot > 0 ? DISK_FORMATS.find(({ extensions }) => extensions.includes(extension)) : undefined;
  if (format === undefined) return name;
  const stem = name.slice(0, dot);
  return format.wraps ? withoutExtensions(stem) : stem;
}

function nameLosses({ label, naming }: Preset, name: string): readonly Loss[] {
  if (naming.pattern.test(name)) return [];
  return [{ what: `The name “${name}”`, why: `${label} takes ${naming.says}.`, severity: "blocker" }];
}

function optionLosses(
  { label, format }: Preset,
  own: Readonly<Record<string, string>>,
  given: Readonly<Record<string, string>>,
): readonly Loss[] {
  const target = targetOf(formatById(format));
  const chosen = readOptions(target, given);
  return Object.entries(readOptions(target, own)).flatMap(([name, value]) =>
    name in own && name in given && chosen[name] !== value
      ? [
          {
            what: `${name} is ${chosen[name]}`,
            why: `${label} is prepared for with ${name}=${value}; whether it takes this is not known.`,
            severity: "warning",
          } as const,
        ]
      : [],
  );
}

function sectorLosses({ label, largeSectors }: Preset, { sector }: DiskFacts): readonly Loss[] {
  if (sector <= SECTOR || largeSectors !== null) return [];
  const why = `Its partition table counts sectors of ${sector} bytes. ${label} shows disks with sectors of ${SECTOR} bytes, on which no partition would be found.`;
  return [{ what: `The disk has sectors of ${sector} bytes`, why, severity: "blocker" }];
}

function sizeLosses({ label }: Preset, from: number, to: number): readonly Loss[] {
  if (to === from) return [];
  return [{ what: "The size becomes another", why: `${label} takes ${to} bytes, the next size after ${from} bytes.`, severity: "note" }];
}
