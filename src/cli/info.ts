import { basename } from "node:path";
import { DiskError } from "../core/errors.ts";
import type { Volume } from "../core/model.ts";
import { openImage } from "../formats/registry.ts";
import { type Arguments, parseArguments } from "./arguments.ts";
import { type Opening, readOpening, requireMember, SOURCE } from "./opening.ts";
import { humanSize, isJson, OUTPUT, printJson, printLine } from "./output.ts";
import type { Session } from "./session.ts";
import type { Verb } from "./verb.ts";

const OPTIONS = {
  ...SOURCE,
  chain: { names: ["--backing-chain"], kind: "flag", help: "describe every parent too, the newest first" },
  output: OUTPUT,
} as const;

/** Describes an image by its headers; works for images whose data cannot be read here. */
export const info: Verb = {
  summary: "Describes an image by its headers, also one whose data cannot be read here.",
  options: OPTIONS,
  operands: "FILE",
  exits: { 0: "done", 1: "error" },
  failure: 1,
  async run(words, session) {
    const given = parseArguments(words, OPTIONS);
    const [path, ...more] = given.operands;
    if (path === undefined || more.length > 0) throw new DiskError("usage", "info takes one file");
    const file = await session.openFile(path);
    const opening = await readOpening(given);
    const volume = await openImage(file, await session.context(path, opening), given.value("from"));
    requireMember(opening, [volume]);
    // As qemu-img counts: the extents of a VMDK belong to the image, an external data file does not.
    const allocated = volume.format === "vmdk" ? session.allocated() : file.allocated;
    const top = { volume, facts: factsOf(path, allocated, volume) };
    const layers = given.has("chain") ? [top, ...(await layersBelow(path, opening, given, session))] : [top];
    if (isJson(given)) printJson(given.has("chain") ? layers.map(({ facts }) => facts) : top.facts);
    else
      for (const [i, layer] of layers.entries()) {
        if (i > 0) printLine();
        printHuman(layer.facts, layer.volume);
      }
    return 0;
  },
};

/** Every parent, the newest first. */
async function layersBelow(path: string, opening: Opening, given: Arguments, session: Session) {
  const { chain } = await session.openDisk(path, given.value("from"), opening);
  const layers = [];
  for (const volume of chain.slice(1)) {
    const [main] = volume.files;
    const place = main?.origin?.handle;
    const file = typeof place === "string" ? await session.openFile(place) : null;
    layers.push({ volume, facts: factsOf(typeof place === "string" ? place : (main?.name ?? ""), file?.allocated ?? 0, volume) });
  }
  return layers;
}

function factsOf(path: string, allocated: number, volume: Volume) {
  const { parent, snapshots, details } = volume;
  return {
    "virtual-size": volume.size,
    filename: path,
    ...(volume.unit > 0 && { "cluster-size": volume.unit }),
    format: volume.format,
    "actual-size": allocated,
    ...(volume.encrypted && { encrypted: true }),
    ...(volume.wrapping !== undefined && { wrapping: volume.wrapping }),
    ...(parent !== null && {
      "backing-filename": parent.name,
      ...(parent.format !== null && { "backing-filename-format": parent.format }),
    }),
    ...(snapshots.length > 0 && {
      snapshots: snapshots.map((s) => ({
        id: s.id,
        name: s.name,
        "vm-state-size": s.vmStateSize,
        "date-sec": s.dateSeconds,
        "date-nsec": s.dateNanoseconds,
        "vm-clock-sec": Math.floor(s.vmClockNanoseconds / 1e9),
        "vm-clock-nsec": s.vmClockNanoseconds % 1e9,
      })),
    }),
    ...(Object.keys(details).length > 0 && { "format-specific": { type: volume.format, data: details } }),
    "dirty-flag": details["dirty"] === true,
    ...(volume.unsupported.length > 0 && { unsupported: volume.unsupported }),
    ...(volume.notes.length > 0 && { notes: volume.notes.map((note) => note.text) }),
  };
}

function printHuman(facts: ReturnType<typeof factsOf>, volume: Volume): void {
  printLine(`image: ${facts.filename}`);
  printLine(`file format: ${volume.format}${volume.variant && ` (${volume.variant})`}`);
  if (volume.wrapping !== undefined) printLine(`wrapped in: ${volume.wrapping.join(", ")}`);
  printLine(`virtual size: ${humanSize(volume.size)} (${volume.size} bytes)`);
  printLine(`disk size: ${humanSize(facts["actual-size"])}`);
  if (volume.unit > 0) printLine(`cluster_size: ${volume.unit}`);
  if (volume.encrypted) printLine("encrypted: yes");
  if (volume.parent !== null) printLine(`backing file: ${volume.parent.name}`);
  if (volume.snapshots.length > 0) {
    printLine("Snapshot list:");
    for (const { id, name, dateSeconds } of volume.snapshots)
      printLine(`    ${id}  ${name}  ${new Date(dateSeconds * 1000).toISOString()}`);
  }
  const details = Object.entries(volume.details);
  if (details.length > 0) printLine("Format specific information:");
  for (const [name, value] of details) printLine(`    ${name}: ${typeof value === "object" ? JSON.stringify(value) : value}`);
  const names = [...new Set(volume.files.map((file) => file.name))];
  if (names.length > 1 || names[0] !== basename(facts.filename)) printLine(`files: ${names.join(", ")}`);
  for (const feature of volume.unsupported) printLine(`cannot be read here: ${feature}`);
  for (const note of volume.notes) printLine(`${note.severity === "warning" ? "warning" : "note"}: ${note.text}`);
}
