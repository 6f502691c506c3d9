import { childNamed, type Element, localName } from "../core/xml.ts";
import type { DescribedDisk, Description } from "./description.ts";

/**
 * The settings that Hyper-V wrote up to Windows Server 2012 R2; later ones are binary (.vmcx) and not read. A snapshot's settings are
 * a file of the same kind, in a folder of its own.
 */
export function readHyperV(root: Element, isSnapshot: boolean): Description | null {
  if (localName(root.name) !== "configuration") return null;
  const properties = childNamed(root, "properties");
  const disks = [...drivesBelow(root, "")];
  if (properties === undefined && disks.length === 0) return null;
  const name = (properties && childNamed(properties, "name")?.text) ?? null;
  if (!isSnapshot) return { kind: "hyper-v", machine: name, disks, snapshots: [], media: [] };
  return { kind: "hyper-v", machine: null, disks: null, snapshots: [{ name: name ?? "", disks }], media: [] };
}

/** `controller0` and `drive1` are elements of their own; a drive has a `pathname` and a `type`. */
function* drivesBelow(element: Element, controller: string): Generator<DescribedDisk> {
  for (const child of element.children) {
    const [, number] = /^controller(\d+)$/.exec(child.name) ?? [];
    const [, drive] = /^drive(\d+)$/.exec(child.name) ?? [];
    const path = childNamed(child, "pathname")?.text ?? "";
    if (drive !== undefined && path !== "" && /^vhd/i.test(childNamed(child, "type")?.text ?? ""))
      yield { name: path, slot: `controller ${controller}:${drive}` };
    else yield* drivesBelow(child, number ?? controller);
  }
}
