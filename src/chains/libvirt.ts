import { attributeOf, childNamed, type Element, localName } from "../core/xml.ts";
import type { DescribedDisk, Description } from "./description.ts";

/** A domain, or a snapshot's description, which holds the domain as it was then. */
export function readLibvirt(root: Element): Description | null {
  const [kind, common] = [localName(root.name), { kind: "libvirt", media: [] } as const];
  if (kind === "domain" && childNamed(root, "devices") !== undefined)
    return { ...common, machine: childNamed(root, "name")?.text ?? null, disks: disksOf(root), snapshots: [] };
  if (kind !== "domainsnapshot") return null;
  const domain = childNamed(root, "domain");
  const disks = domain === undefined ? [] : disksOf(domain);
  const snapshots = [{ name: childNamed(root, "name")?.text ?? "", disks }];
  return { ...common, machine: (domain && childNamed(domain, "name"))?.text ?? null, disks: null, snapshots };
}

function disksOf(domain: Element): DescribedDisk[] {
  const devices = (childNamed(domain, "devices")?.children ?? []).filter(({ name }) => localName(name) === "disk");
  return devices.flatMap((disk) => {
    const source = childNamed(disk, "source");
    const name = source === undefined ? undefined : attributeOf(source, "file");
    const target = childNamed(disk, "target");
    if ((attributeOf(disk, "device") ?? "disk") !== "disk" || name === undefined) return [];
    return [{ name, slot: (target && attributeOf(target, "dev")) ?? "disk" }];
  });
}
