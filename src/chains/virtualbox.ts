import { attributeOf, childNamed, type Element, elementsNamed, localName } from "../core/xml.ts";
import type { DescribedDisk, DescribedSnapshot, Description, Medium } from "./description.ts";

const idOf = (text: string | undefined): string => (text ?? "").toLowerCase().replace(/[{}]/g, "");

/** A .vbox file, or the VirtualBox.xml of versions that registered all media there. */
export function readVirtualBox(root: Element): Description | null {
  if (localName(root.name) !== "VirtualBox") return null;
  const media: Medium[] = [...elementsNamed(root, "HardDisk")].flatMap((disk) => {
    const [id, name] = [idOf(attributeOf(disk, "uuid")), attributeOf(disk, "location") ?? ""];
    return id === "" || name === "" ? [] : [{ id, name }];
  });
  const names = new Map(media.map(({ id, name }) => [id, name]));
  const machine = childNamed(root, "Machine");
  if (machine === undefined) return { kind: "virtualbox", machine: null, disks: null, snapshots: [], media };
  const snapshots = [...elementsNamed(machine, "Snapshot")].map(
    (snapshot): DescribedSnapshot => ({ name: attributeOf(snapshot, "name") ?? "", disks: attachedTo(snapshot, names) }),
  );
  return { kind: "virtualbox", machine: attributeOf(machine, "name") ?? null, disks: attachedTo(machine, names), snapshots, media };
}

/** The disks of a machine's present state or of one snapshot: `StorageControllers` lies directly below it or in its `Hardware`. */
function attachedTo(state: Element, names: ReadonlyMap<string, string>): DescribedDisk[] {
  const controllers = [state, childNamed(state, "Hardware")].flatMap((place) => place && (childNamed(place, "StorageControllers") ?? []));
  const disks: DescribedDisk[] = [];
  for (const controller of controllers.flatMap((element) => element?.children ?? [])) {
    for (const device of controller.children) {
      if (attributeOf(device, "type") !== "HardDisk") continue;
      const image = childNamed(device, "Image");
      const id = idOf(image && attributeOf(image, "uuid"));
      if (id === "") continue;
      const slot = `${attributeOf(controller, "name") ?? "controller"} ${attributeOf(device, "port") ?? "0"}:${attributeOf(device, "device") ?? "0"}`;
      // A medium that is registered elsewhere is known by its id, as its file is when it is a snapshot's.
      disks.push({ name: names.get(id) ?? `{${id}}.vdi`, slot });
    }
  }
  return disks;
}
