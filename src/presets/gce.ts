import { blocker, bootLosses, firmwareOf, isMbr, warning } from "./boot.ts";
import type { Preset } from "./model.ts";
import { plainStem, shellWord, stemOf } from "./naming.ts";
import { GIB, TIB, tooLarge, wholeSteps } from "./sizes.ts";

const IMPORT =
  "Google Cloud, Manually import boot disks: Create and compress the image file, https://cloud.google.com/compute/docs/import/import-existing-image";
const PRACTICES =
  "Google Cloud, Image management best practices: Understanding images, https://cloud.google.com/compute/docs/images/image-management-best-practices";
const NAMES = "Google Cloud, Naming resources: Resource names (RFC 1035), https://cloud.google.com/compute/docs/naming-resources";
const DISKS = "Google Cloud, About Persistent Disk: size limits, https://cloud.google.com/compute/docs/disks/persistent-disks";
const FEATURES =
  "Google Cloud SDK, gcloud compute images create: --guest-os-features, https://cloud.google.com/sdk/gcloud/reference/compute/images/create";

const MOST = 64 * TIB;
const MOST_MBR = 2 * TIB;

export const gce: Preset = {
  id: "gce",
  label: "Google Compute Engine",
  help: "disk.raw of whole GiB in an old-GNU tar archive, packed with gzip.",
  format: "raw",
  options: { packaging: "gce" },
  largeSectors: null,
  size: wholeSteps(GIB),
  losses(facts) {
    const found = [
      ...tooLarge(
        gce.size(facts.size),
        isMbr(facts) ? MOST_MBR : MOST,
        isMbr(facts) ? "An MBR reaches 2 TiB" : "A persistent disk ends at 64 TiB",
      ),
      ...bootLosses(facts, "Compute Engine"),
    ];
    if (facts.partitions?.kind === "none")
      found.push(blocker("There is no partition table", "Compute Engine starts images from an MBR or a GPT."));
    if (firmwareOf(facts).includes("uefi") === false && facts.partitions?.kind === "GPT")
      found.push(warning("There is no EFI system partition", "Shielded machines and Arm machines start under UEFI only."));
    return found;
  },
  naming: {
    pattern: /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?\.tar\.gz$/,
    says: "names of up to 63 lower-case letters, digits and hyphens, a letter first, that end with .tar.gz",
  },
  fileName: (stem) => `${imageName(stem)}.tar.gz`,
  rules: [
    { text: "The disk is a file disk.raw, alone in a tar archive.", source: IMPORT },
    { text: "The archive is of the old GNU format (tar --format=oldgnu), packed with gzip and named .tar.gz.", source: IMPORT },
    { text: "The disk has whole GiB.", source: IMPORT },
    { text: "At most 64 TiB, and 2 TiB with an MBR.", source: DISKS },
    { text: "It has a partition table, MBR or GPT.", source: PRACTICES },
    { text: "Images with an EFI system partition are marked UEFI_COMPATIBLE.", source: FEATURES },
    { text: "Image names have up to 63 lower-case letters, digits and hyphens, a letter first.", source: NAMES },
  ],
  steps(fileName, facts) {
    const features = [...(firmwareOf(facts).includes("uefi") ? ["UEFI_COMPATIBLE"] : []), "VIRTIO_SCSI_MULTIQUEUE", "GVNIC"].join(",");
    return [
      {
        text: "Beforehand: virtio_scsi, virtio_net (or gve) and nvme in the initramfs, DHCP on the first network card, the Google guest environment or cloud-init.",
        commands: [],
      },
      {
        text: "Upload the archive as it is; it is not to be unpacked.",
        commands: [`gcloud storage cp ${shellWord(fileName)} gs://BUCKET/`],
      },
      {
        text: "Create the image. Leave out the features that the system has no drivers for.",
        commands: [
          `gcloud compute images create ${imageName(stemOf(fileName))} --source-uri=${shellWord(`gs://BUCKET/${fileName}`)} --guest-os-features=${features}`,
        ],
      },
      {
        text: "Start a machine from it, and read its serial console while it starts.",
        commands: [
          `gcloud compute instances create NAME --zone=ZONE --image=${imageName(stemOf(fileName))}`,
          "gcloud compute instances get-serial-port-output NAME --zone=ZONE",
        ],
      },
    ];
  },
};

/** RFC 1035: a letter first, no hyphen last. */
function imageName(stem: string): string {
  const plain = plainStem(stem.toLowerCase(), "a-z0-9-", 63);
  return /^[a-z]/.test(plain) ? plain : plainStem(`disk-${plain}`, "a-z0-9-", 63);
}
