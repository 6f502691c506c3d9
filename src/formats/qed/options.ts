import { backingLosses, backingName } from "../../core/backing-file.ts";
import type { Base, Loss, TargetOption, TargetSpec } from "../../core/target.ts";
import { sectorLosses, wholeSectors } from "../../core/whole-sectors.ts";
import { LONGEST_NAME, mostBytes, tableEntries } from "./spec.ts";

/** 4 KiB to 2 MiB, the largest block that writers are given; the format goes to 64 MiB. */
const CLUSTER_BYTES: Readonly<Record<string, number>> = Object.fromEntries(
  ["4k", "8k", "16k", "32k", "64k", "128k", "256k", "512k", "1M", "2M"].map((value, i) => [value, 4096 << i]),
);

export const OPTIONS: readonly TargetOption[] = [
  {
    name: "cluster_size",
    label: "Cluster size",
    help: "What is stored at a time. Small clusters make small files, large clusters are faster for very large disks.",
    choices: Object.keys(CLUSTER_BYTES).map((value) => ({ value, label: value.replace("k", " KiB").replace("M", " MiB") })),
    initial: "64k",
  },
  {
    name: "table_size",
    label: "Table size",
    help: "Clusters per L1 and L2 table; larger tables allow larger disks.",
    // qemu opens no image with tables of one cluster, not even its own: it takes their end for an overflow.
    choices: ["2", "4", "8", "16"].map((value) => ({ value, label: value })),
    initial: "4",
  },
];

export interface Layout {
  /** Bytes per cluster. */
  readonly unit: number;
  /** Clusters per table. */
  readonly tableSize: number;
  /** Entries per table. */
  readonly entries: number;
}

/** `options` must hold choices of OPTIONS. */
export function layoutOf(options: TargetSpec["options"]): Layout {
  const unit = CLUSTER_BYTES[options["cluster_size"] as string] as number;
  const tableSize = Number(options["table_size"]);
  return { unit, tableSize, entries: tableEntries(unit, tableSize) };
}

export function lossesOf({ size, options }: TargetSpec): readonly Loss[] {
  const { unit, tableSize } = layoutOf(options);
  const most = mostBytes(unit, tableSize);
  if (most >= 2n ** 64n)
    return [
      {
        what: "Nothing opens such an image",
        why: "QEMU counts the reach of its tables in 64 bits: take smaller ones.",
        severity: "blocker",
      },
    ];
  if (BigInt(wholeSectors(size)) <= most) return sectorLosses(size, "QED disk");
  const why = `Clusters of ${unit} bytes and tables of ${tableSize} clusters reach ${most} bytes; take larger ones.`;
  return [{ what: "The disk is too large", why, severity: "blocker" }];
}

export function baseLosses(base: Base): readonly Loss[] {
  const unread = backingLosses(base);
  const length = new TextEncoder().encode(backingName(base)).length;
  if (unread.length > 0 || length <= LONGEST_NAME) return unread;
  return [{ what: "The base's name is too long", why: `it has ${length} bytes; QEMU reads up to ${LONGEST_NAME}`, severity: "blocker" }];
}
