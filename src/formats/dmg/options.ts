import { EFFORT_OPTION } from "../../core/effort-option.ts";
import { DiskError } from "../../core/errors.ts";
import type { Compute } from "../../core/ports.ts";
import type { ImageWriter, Loss, TargetFormat, TargetSpec } from "../../core/target.ts";
import { uuidBytes, uuidFrom } from "../../core/uuid.ts";
import { SECTOR } from "./spec.ts";
import { CHUNK_BYTES, DmgWriter, MOST_CHUNKS, MOST_QEMU_CHUNKS } from "./writer.ts";

export const target: TargetFormat = {
  options: [
    EFFORT_OPTION,
    {
      name: "id",
      label: "Segment id",
      help: "The UUID that the trailer states; empty: derived from the content.",
      choices: null,
      initial: "",
    },
  ],
  losses,
  create: createDmg,
  qemuArguments: () => null,
};

function createDmg(spec: TargetSpec, compute: Compute): ImageWriter {
  if (spec.size % SECTOR !== 0) throw new DiskError("limit", `dmg: a disk of ${spec.size} bytes is not one of whole sectors of ${SECTOR}`);
  const id = segmentId(spec);
  if (id === null) throw new DiskError("usage", `dmg: id is "${spec.options["id"]}", expected a UUID`);
  return new DmgWriter(spec, id, compute);
}

/** The given UUID, or one from the seed; null: the given one is none. */
function segmentId({ options, identity }: TargetSpec): Uint8Array | null {
  const text = (options["id"] ?? "").trim();
  return text === "" ? uuidFrom(identity) : uuidBytes(text);
}

function losses(spec: TargetSpec): readonly Loss[] {
  const { size, options } = spec;
  const list: Loss[] = [];
  if (segmentId(spec) === null)
    list.push({
      what: "This is no UUID",
      why: `id is "${options["id"]}", expected a UUID such as 01234567-89ab-4cde-8f01-23456789abcd.`,
      severity: "blocker",
    });
  if (size % SECTOR !== 0)
    list.push({ what: "The disk does not end with a whole sector", why: `A DMG counts sectors of ${SECTOR} bytes.`, severity: "blocker" });
  if (size / CHUNK_BYTES > MOST_QEMU_CHUNKS)
    list.push({
      what: "Too much data for qemu-img to read",
      why: `qemu-img reads block tables of up to ${MOST_QEMU_CHUNKS} chunks of 1 MiB; zeros do not count.`,
      severity: "warning",
    });
  if (size / CHUNK_BYTES > MOST_CHUNKS)
    list.push({
      what: "The data may not fit",
      why: `Tables are written for up to ${MOST_CHUNKS} chunks of 1 MiB; zeros do not count. Writing stops with an error beyond that.`,
      severity: "warning",
    });
  return list;
}
