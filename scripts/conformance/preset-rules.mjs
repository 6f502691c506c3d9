/**
 * The rules of every target, asked of the bytes of a result; none of them comes from the product. Whatever the target, the disk inside is
 * still the source's.
 */
import { statSync } from "node:fs";
import { aws, azure, digitalocean, gce } from "./preset-clouds.mjs";
import { esxi, hyperV1, hyperV2, kvm, parallels, proxmox, virtualbox, workstation } from "./preset-machines.mjs";
import * as read from "./preset-readers.mjs";
import { diskRule, GIB, unless } from "./preset-rule.mjs";

/** By the preset's name: the file to write, qemu-img's driver for it, and the rules. */
export const TARGETS = {
  azure: { file: "web.vhd", driver: "vpc", rules: azure },
  aws: { file: "web.vmdk", driver: "vmdk", rules: aws },
  gce: { file: "web.tar.gz", driver: null, rules: gce },
  digitalocean: { file: "web.qcow2", driver: "qcow2", rules: digitalocean },
  openstack: { file: "web.qcow2", driver: "qcow2", rules: kvm },
  esxi: { file: "web.vmdk", driver: "vmdk", rules: esxi },
  workstation: { file: "web.vmdk", driver: "vmdk", rules: workstation },
  "hyper-v-gen1": { file: "web.vhdx", driver: "vhdx", rules: hyperV1 },
  "hyper-v-gen2": { file: "web.vhdx", driver: "vhdx", rules: hyperV2 },
  virtualbox: { file: "web.vdi", driver: "vdi", rules: virtualbox },
  proxmox: { file: "web.qcow2", driver: "qcow2", rules: proxmox },
  libvirt: { file: "web.qcow2", driver: "qcow2", rules: kvm },
  utm: { file: "web.qcow2", driver: "qcow2", rules: kvm },
  parallels: { file: "web.hds", driver: "parallels", rules: parallels },
};

/** What is true of the disk in every result, whose source is the raw disk `source`. */
export function diskRules(source) {
  const { kind, partitions } = read.partitionsOf(source);
  const [first] = partitions;
  const same = [
    diskRule(
      "every partition has the source's bytes in the source's place",
      ({ disk }) => {
        const here = read.partitionsOf(disk);
        if (JSON.stringify(here.partitions) !== JSON.stringify(partitions)) return "other partitions";
        const differs = partitions.find(
          ({ start, length }) => !read.bytesAt(source, start, length).equals(read.bytesAt(disk, start, length)),
        );
        return unless(differs === undefined, `the partition at ${differs?.start} differs`);
      },
      ({ disk }) => read.patch(disk, first.start + 1000, Buffer.from("spoilt")),
    ),
    diskRule(
      "the disk is no smaller",
      ({ disk }) => unless(statSync(disk).size >= statSync(source).size, "it is smaller"),
      ({ disk }) => read.resize(disk, statSync(source).size - 512),
    ),
  ];
  if (kind !== "GPT") return same;
  const second = diskRule(
    "the second GPT is at the end of the disk",
    ({ disk }) => unless(read.partitionsOf(disk).secondHeaderIsLast, "the last sector is no GPT header"),
    ({ disk }) => read.resize(disk, statSync(disk).size + GIB),
  );
  return [...same, second];
}
