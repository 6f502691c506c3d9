import { DiskError } from "../../core/errors.ts";
import type { ImageWriter, Loss, TargetFormat, TargetSpec } from "../../core/model.ts";
import type { Compute } from "../../core/ports.ts";
import { SECTOR } from "./spec.ts";
import { CHUNK_BYTES, DmgWriter, MOST_CHUNKS, MOST_QEMU_CHUNKS } from "./writer.ts";

export const target: TargetFormat = {
  options: [
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
  return new DmgWriter(spec, segmentId(spec), compute);
}

/** The 16 bytes of the given UUID, or a version 4 one (RFC 9562) from the seed. */
function segmentId({ options, identity }: TargetSpec): Uint8Array {
  const text = (options["id"] ?? "").trim();
  if (text === "") {
    const id = identity.slice(0, 16);
    id[6] = ((id[6] as number) & 0x0f) | 0x40;
    id[8] = ((id[8] as number) & 0x3f) | 0x80;
    return id;
  }
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) throw new DiskError("usage", `dmg: id "${text}" is not a UUID`);
  const digits = text.replaceAll("-", "");
  return Uint8Array.from({ length: 16 }, (_, i) => Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16));
}

function losses({ size }: TargetSpec): readonly Loss[] {
  const list: Loss[] = [];
  if (size % SECTOR !== 0)
    list.push({ what: "The disk does not end with a whole sector", why: `A DMG counts sectors of ${SECTOR} bytes.`, severity: "blocker" });
  else if (size % CHUNK_BYTES !== 0)
    list.push({
      what: "Some tools may show zeros past the end of the disk",
      why: `The size is not a multiple of ${CHUNK_BYTES} bytes, so the last chunk may be longer than the disk. The stated size is exact.`,
      severity: "note",
    });
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
