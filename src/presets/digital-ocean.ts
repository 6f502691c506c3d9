import { blocker, bootLosses, guestOf, hasFileSystem, hasLinuxFileSystem, warning } from "./boot.ts";
import type { Preset } from "./model.ts";
import { ending, plainStem, shellWord, stemOf } from "./naming.ts";
import { GIB, tooLarge, wholeSectors } from "./sizes.ts";

const API = "DigitalOcean API, Create a Custom Image, https://docs.digitalocean.com/reference/pydo/reference/images/create_custom";
const REQUIREMENTS = "DigitalOcean, Custom Images: image requirements, https://www.digitalocean.com/docs/images/custom-images/";
const LIMITS = "DigitalOcean, Custom Images Limits, https://docs.digitalocean.com/products/custom-images/details/limits/";

/** “Smaller than 100 GB”: of the two readings the larger one is certainly refused, between them it may be. */
const MOST = 100 * GIB - 512;
const SURE = 100e9 - 1;

export const digitalOcean: Preset = {
  id: "digitalocean",
  label: "DigitalOcean",
  help: "A packed qcow2 for a custom image.",
  format: "qcow2",
  options: { compression: "deflate" },
  largeSectors: null,
  size: wholeSectors,
  losses(facts) {
    const size = digitalOcean.size(facts.size);
    const found = [...tooLarge(size, MOST, "Custom images are smaller than 100 GB when unpacked"), ...bootLosses(facts, "DigitalOcean")];
    if (size > SURE && size <= MOST)
      found.push(warning("The disk is close to the limit", "DigitalOcean says 100 GB, which may mean 100 GiB or 100,000,000,000 bytes."));
    if (guestOf(facts) === "windows") found.push(blocker("This looks like Windows", "DigitalOcean takes Unix-like systems only."));
    if (facts.partitions?.kind === "none")
      found.push(blocker("There is no partition table", "DigitalOcean starts machines from an MBR or a GPT."));
    if (hasLinuxFileSystem(facts) && !hasFileSystem(facts, "ext3", "ext4"))
      found.push(warning("There is no ext3 or ext4 file system", "DigitalOcean supports no other for the root file system."));
    return found;
  },
  naming: ending("qcow2", "img"),
  fileName: (stem) => `${plainStem(stem, "A-Za-z0-9._-", 200)}.qcow2`,
  rules: [
    { text: "Raw, qcow2, VHDX, VDI or VMDK, plain or packed with gzip or bzip2 (not xz).", source: API },
    { text: "Smaller than 100 GB when unpacked.", source: LIMITS },
    { text: "No Windows; machines are reached by SSH key, and passwords are off.", source: LIMITS },
    { text: "A Unix-like system with an MBR or GPT, ext3 or ext4, cloud-init 0.7.7 or later, and SSH.", source: REQUIREMENTS },
  ],
  steps: (fileName) => [
    {
      text: "Beforehand: cloud-init (0.7.7 or later), where the data source ConfigDrive comes before NoCloud; an SSH server that starts with the system; DHCP; virtio drivers in the initramfs.",
      commands: [],
    },
    { text: "In the control panel: Backups & Snapshots › Custom Images › Upload Image, and choose the file.", commands: [] },
    {
      text: "Or have it fetched from a web address.",
      commands: [
        `doctl compute image create ${shellWord(stemOf(fileName))} --image-url https://HOST/${encodeURIComponent(fileName)} --region REGION`,
      ],
    },
    { text: "Custom Images › More › Start a Droplet. Passwords do not work there: choose an SSH key.", commands: [] },
  ],
};
