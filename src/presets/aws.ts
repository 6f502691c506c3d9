import { blocker, bootLosses, firmwareFor, hasLocked, isMbr, warning } from "./boot.ts";
import type { Preset } from "./model.ts";
import { plainStem, shellWord, stemOf } from "./naming.ts";
import { GIB, TIB, tooLarge, wholeSteps } from "./sizes.ts";

const FORMATS =
  "VM Import/Export User Guide: System requirements, Image formats, https://docs.aws.amazon.com/vm-import/latest/userguide/prerequisites.html";
const LIMITS =
  "VM Import/Export User Guide: Limitations for resources being imported, https://docs.aws.amazon.com/vm-import/latest/userguide/limitations-image-importing.html";
const VOLUMES =
  "Amazon EBS User Guide: Constraints on the size and configuration of an EBS volume, https://docs.aws.amazon.com/ebs/latest/userguide/volume_constraints.html";
const EBS_GIB =
  "Amazon EC2 API Reference: CreateVolume, Size, https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVolume.html";
const BOOT = "Amazon EC2 API Reference: ImportImage, BootMode, https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ImportImage.html";
const KEYS =
  "Amazon S3 User Guide: Naming objects, Safe characters, https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html";

const MOST = 64 * TIB;
const MOST_MBR = 2 * TIB;

export const aws: Preset = {
  id: "aws",
  label: "Amazon Web Services",
  help: "A stream-optimized VMDK of whole GiB, for VM Import.",
  format: "vmdk",
  options: { subformat: "streamOptimized" },
  largeSectors: null,
  size: wholeSteps(GIB),
  losses(facts) {
    const size = aws.size(facts.size);
    const found = [
      ...tooLarge(
        size,
        isMbr(facts) ? MOST_MBR : MOST,
        isMbr(facts) ? "With an MBR an EBS volume ends at 2 TiB" : "An EBS volume ends at 64 TiB",
      ),
      ...bootLosses(facts, "EC2"),
    ];
    if (hasLocked(facts)) found.push(blocker("The disk is encrypted", "VM Import does not take encrypted volumes."));
    if (facts.partitions?.kind === "none")
      found.push(
        warning(
          "There is no partition table",
          "VM Import takes machines from partitions; without one, only import-snapshot takes the disk.",
        ),
      );
    return found;
  },
  naming: { pattern: /^[A-Za-z0-9._-]+\.vmdk$/, says: "names of letters, digits, hyphens, points and underscores that end with .vmdk" },
  fileName: (stem) => `${plainStem(stem, "A-Za-z0-9._-", 200)}.vmdk`,
  rules: [
    { text: "Of VMDKs only stream-optimized ones are taken (besides OVA, VHD, VHDX and raw).", source: FORMATS },
    { text: "EBS volumes are sized in whole GiB; a disk that fills one has its second GPT where it belongs.", source: EBS_GIB },
    { text: "At most 64 TiB, and 2 TiB with an MBR.", source: VOLUMES },
    { text: "Encrypted volumes are not taken.", source: LIMITS },
    { text: "The boot mode is legacy-bios or uefi; uefi-preferred is not for imports.", source: BOOT },
    { text: "Object names in S3 have letters, digits, hyphens, points and underscores.", source: KEYS },
  ],
  steps(fileName, facts) {
    const key = shellWord(fileName);
    const mode = firmwareFor(facts) === "uefi" ? "uefi" : "legacy-bios";
    const container = shellWord(`Format=VMDK,UserBucket={S3Bucket=BUCKET,S3Key=${fileName}}`);
    return [
      {
        text: "Beforehand: DHCP on the first network card, no VMware Tools, SSH or Remote Desktop on, 250 MiB free (Windows: 6 GiB).",
        commands: [],
      },
      {
        text: "Upload the file; the account needs the role vmimport, as the user guide describes.",
        commands: [`aws s3 cp ${key} s3://BUCKET/`],
      },
      {
        text: `Import it as an AMI with boot mode ${mode}, and ask how far it is.`,
        commands: [
          `aws ec2 import-image --description ${shellWord(stemOf(fileName))} --boot-mode ${mode} --disk-containers ${container}`,
          "aws ec2 describe-import-image-tasks --import-task-ids TASK",
        ],
      },
      {
        text: "A system that VM Import does not know: import the snapshot and register it. ENA and NVMe drivers must be in the initramfs.",
        commands: [
          `aws ec2 import-snapshot --disk-container ${container}`,
          `aws ec2 register-image --name ${shellWord(stemOf(fileName))} --architecture x86_64 --virtualization-type hvm --ena-support --boot-mode ${mode} --root-device-name /dev/xvda --block-device-mappings "DeviceName=/dev/xvda,Ebs={SnapshotId=SNAPSHOT}"`,
        ],
      },
    ];
  },
};
