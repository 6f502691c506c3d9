import type { Loss, TargetOption, TargetSpec } from "../../core/target.ts";
import { sectorLosses } from "../../core/whole-sectors.ts";
import { DESCRIPTOR_NAME, MOST_ENTRIES } from "./spec.ts";

const CLUSTER_BYTES: Readonly<Record<string, number>> = {
  "64k": 1 << 16,
  "128k": 1 << 17,
  "256k": 1 << 18,
  "512k": 1 << 19,
  "1M": 1 << 20,
  "2M": 1 << 21,
};

export const OPTIONS: readonly TargetOption[] = [
  {
    name: "cluster_size",
    label: "Cluster size",
    help: "What is stored at a time. 1 MiB is what Parallels itself uses.",
    choices: Object.keys(CLUSTER_BYTES).map((value) => ({ value, label: value.replace("k", " KiB").replace("M", " MiB") })),
    initial: "1M",
  },
  {
    name: "bundle",
    label: "Bundle",
    help: `Writes ${DESCRIPTOR_NAME} beside the image: put both into a folder named NAME.hdd for Parallels to open.`,
    choices: [
      { value: "off", label: "The image alone" },
      { value: "on", label: `With ${DESCRIPTOR_NAME}` },
    ],
    initial: "off",
  },
];

/** `options` must hold choices of OPTIONS. */
export const clusterBytes = (options: TargetSpec["options"]): number => CLUSTER_BYTES[options["cluster_size"] as string] as number;

export function lossesOf({ size, name, options }: TargetSpec): readonly Loss[] {
  const unit = clusterBytes(options);
  if (Math.ceil(size / unit) > MOST_ENTRIES)
    return [
      {
        what: "The disk is too large",
        why: `A Parallels image has at most ${MOST_ENTRIES} clusters: with ${unit} bytes each, ${MOST_ENTRIES * unit} bytes.`,
        severity: "blocker",
      },
    ];
  const growth = sectorLosses(size, "Parallels disk");
  if (options["bundle"] !== "on") return growth;
  if (name === DESCRIPTOR_NAME)
    return [{ what: "The name is taken", why: `${DESCRIPTOR_NAME} is the name of the bundle's descriptor.`, severity: "blocker" }];
  const why = `${DESCRIPTOR_NAME} is written beside the image. Where another bundle has its own already, this one is refused: give each a folder of its own.`;
  return [...growth, { what: "A second file with a fixed name", why, severity: "note" }];
}
