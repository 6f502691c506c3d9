import { bootLosses, firmwareFor, hasFileSystem, hasType, isMbr, note, warning } from "./boot.ts";
import type { DiskFacts, Preset } from "./model.ts";
import { plainStem, shellWord, stemOf } from "./naming.ts";
import { GIB, MIB, tooLarge, wholeSteps } from "./sizes.ts";

const IMAGING =
  "Microsoft Learn, Prepare Linux for imaging in Azure: General Linux installation notes, Resize VHDs, https://learn.microsoft.com/azure/virtual-machines/linux/create-upload-generic";
const UPLOAD =
  "Microsoft Learn, DiskCreationData.UploadSizeBytes, https://learn.microsoft.com/dotnet/api/azure.resourcemanager.compute.models.diskcreationdata.uploadsizebytes";
const HOW_TO_UPLOAD =
  "Microsoft Learn, Upload a VHD to Azure - Azure CLI, https://learn.microsoft.com/azure/virtual-machines/linux/disks-upload-vhd-to-managed-disk-cli";
const VHD = "Microsoft, Virtual Hard Disk Image Format Specification 1.0 (MS-VHD)";
const NAMES =
  "Microsoft Learn, Naming rules and restrictions for Azure resources: Microsoft.Compute, disks, https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules";

const LEAST = 20 * MIB;
/** What the format ends at; Azure itself goes to 32 TiB. */
const MOST = 2040 * GIB;
const MOST_OF_GUIDE = 1023 * GIB;
const LETTERS = "A-Za-z0-9_-";

export const azure: Preset = {
  id: "azure",
  label: "Microsoft Azure",
  help: "A fixed VHD of whole MiB, for a managed disk.",
  format: "vpc",
  options: { subformat: "fixed" },
  largeSectors: null,
  size: wholeSteps(MIB, LEAST),
  losses(facts) {
    const size = azure.size(facts.size);
    const found = [
      ...tooLarge(size, MOST, "Azure takes VHDs only, and a VHD ends at 2040 GiB"),
      ...bootLosses(facts, "Azure"),
      note("The file is as large as the disk", "Azure takes fixed VHDs only; AzCopy leaves out the zeros when it uploads."),
    ];
    if (size > MOST_OF_GUIDE && size <= MOST)
      found.push(
        warning(
          "The disk is larger than 1023 GiB",
          "Microsoft's guide for Linux images names 1,023 GB as the largest; uploads go to 32 TiB.",
        ),
      );
    if (hasType(facts, "Linux swap") || hasFileSystem(facts, "swap"))
      found.push(
        warning("There is a swap partition", "Azure wants none on the system disk: let the Linux agent keep swap on the temporary disk."),
      );
    if (hasFileSystem(facts, "lvm2"))
      found.push(
        note("The disk uses LVM", "Azure recommends plain partitions, so that volume names never clash when it is attached elsewhere."),
      );
    if (hasFileSystem(facts, "bitlocker"))
      found.push(warning("BitLocker is on", "Azure has no TPM that knows this disk: switch BitLocker off before converting."));
    return found;
  },
  naming: {
    pattern: /^[A-Za-z0-9][A-Za-z0-9_-]{0,79}\.vhd$/,
    says: "names of up to 80 letters, digits, hyphens and underscores that end with .vhd",
  },
  fileName: (stem) => `${plainStem(stem, LETTERS, 80)}.vhd`,
  rules: [
    { text: "A fixed VHD: neither dynamic nor VHDX.", source: IMAGING },
    { text: "The virtual size is a whole number of MiB; the file has 512 bytes more, its footer.", source: IMAGING },
    { text: "At least 20 MiB.", source: UPLOAD },
    { text: "At most 2040 GiB, where the VHD format ends.", source: VHD },
    { text: "The footer states the exact size, whatever the geometry rounds to.", source: VHD },
    { text: "Generation 1 starts by BIOS, generation 2 by UEFI, from an EFI system partition.", source: IMAGING },
    { text: "No swap partition on the system disk; plain partitions rather than LVM.", source: IMAGING },
    { text: "Disk names have up to 80 letters, digits, hyphens and underscores.", source: NAMES },
    { text: "The upload size that is announced is that of the file, footer included.", source: HOW_TO_UPLOAD },
  ],
  steps(fileName, facts) {
    const name = shellWord(stemOf(fileName));
    const bytes = azure.size(facts.size) + 512;
    const generation = generationOf(facts);
    const os = hasFileSystem(facts, "ntfs") ? "Windows" : "Linux";
    return [
      {
        text: "Make sure that the machine has Hyper-V's drivers (hv_vmbus, hv_storvsc, hv_netvsc) in its initramfs, and the Azure Linux Agent or cloud-init; Windows has the drivers.",
        commands: [],
      },
      {
        text: `Create an empty managed disk of the file's size, generation ${generation.slice(1)}.`,
        commands: [
          `az disk create --resource-group GROUP --location REGION --name ${name} --os-type ${os} --hyper-v-generation ${generation} --for-upload --upload-size-bytes ${bytes} --sku standard_lrs`,
          `az disk grant-access --resource-group GROUP --name ${name} --access-level Write --duration-in-seconds 86400`,
        ],
      },
      {
        text: "Upload the file to the address that this returned (accessSas), then end the access.",
        commands: [
          `azcopy copy ${shellWord(fileName)} "ACCESS_SAS" --blob-type PageBlob`,
          `az disk revoke-access --resource-group GROUP --name ${name}`,
        ],
      },
      {
        text: "Create the machine from the disk; its size must be one that offers this generation.",
        commands: [`az vm create --resource-group GROUP --name ${name} --attach-os-disk ${name} --os-type ${os.toLowerCase()}`],
      },
    ];
  },
};

const generationOf = (facts: DiskFacts): "V1" | "V2" => (firmwareFor(facts) === "uefi" && !isMbr(facts) ? "V2" : "V1");
