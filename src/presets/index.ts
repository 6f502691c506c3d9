import { DiskError } from "../core/errors.ts";
import { aws } from "./aws.ts";
import { azure } from "./azure.ts";
import { parallels, utm, virtualBox } from "./desktops.ts";
import { digitalOcean } from "./digital-ocean.ts";
import { gce } from "./gce.ts";
import { hyperV1, hyperV2 } from "./hyper-v.ts";
import { glance, libvirt, proxmox } from "./kvm.ts";
import type { Preset } from "./model.ts";
import { esxi, workstation } from "./vmware.ts";

export type { DiskFacts, EntryFacts, Preset, Step } from "./model.ts";

/** Where disks are taken to, in the order in which they are offered. A new target is one line here. */
export const PRESETS: readonly Preset[] = [
  azure,
  aws,
  gce,
  digitalOcean,
  glance,
  esxi,
  workstation,
  hyperV1,
  hyperV2,
  virtualBox,
  proxmox,
  libvirt,
  utm,
  parallels,
];

/** A `usage` error when there is none. */
export function presetById(id: string): Preset {
  const preset = PRESETS.find((row) => row.id === id);
  if (preset !== undefined) return preset;
  throw new DiskError("usage", `There is no preset “${id}”; there are ${PRESETS.map((row) => row.id).join(", ")}.`);
}
