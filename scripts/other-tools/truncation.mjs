/** Images cut off after six tenths, as a broken download or a full drive leaves them. */
import { MIB, noise } from "./images.mjs";
import { holds, number } from "./laboratory.mjs";

const KINDS = [
  { title: "qcow2", format: "qcow2", salvaged: true },
  { title: "qcow (version 1)", format: "qcow" },
  { title: "VMDK monolithicSparse", format: "vmdk" },
  { title: "VMDK monolithicFlat, its extent cut", format: "vmdk", options: "subformat=monolithicFlat", cut: "disk-flat.vmdk" },
  { title: "VMDK streamOptimized", format: "vmdk", options: "subformat=streamOptimized" },
  { title: "VHD dynamic", format: "vpc", file: "disk.vhd" },
  { title: "VHD fixed", format: "vpc", options: "subformat=fixed", file: "disk.vhd" },
  { title: "VHDX", format: "vhdx" },
  { title: "VDI dynamic", format: "vdi" },
  { title: "VDI static", format: "vdi", options: "static=on" },
  { title: "Parallels", format: "parallels", file: "disk.hdd" },
  { title: "QED", format: "qed" },
];

const CHECKS = { 0: "no errors", 1: "error", 2: "errors", 63: "none for it" };

export const truncation = KINDS.map(({ title, format, options, file = `disk.${format}`, cut = file, salvaged = false }) => ({
  title,
  tools: ["qemu-img", "7zz"],
  async run(lab) {
    const disk = noise(8 * MIB, 60);
    lab.write("disk.raw", disk);
    await lab.must("qemu-img", ["convert", "-f", "raw", "-O", format, ...(options ? ["-o", options] : []), "disk.raw", file]);
    const whole = lab.read(cut);
    lab.write(cut, whole.subarray(0, Math.floor((whole.length * 6) / 10 / 512) * 512));
    const seen = await lab.converts("qemu-img", file, disk);
    holds(!seen.right, "qemu-img", seen);
    const checked = await lab.run("qemu-img", ["check", file]);
    const unpacked = await lab.converts("7zz", file, disk);
    holds(unpacked.code !== 0, "7zz", unpacked);
    await lab.spindleRefuses(file, "");
    if (salvaged) await salvage(lab, file, disk);
    const found = await lab.run("spindle", ["check", file]);
    holds(found.code === 1 || found.code === 2, "spindle", found);
    return {
      converted: outcome(seen, disk),
      checked: CHECKS[checked.code] ?? `exit code ${checked.code}`,
      other: unpacked.length > 0 ? "error, part left" : "error",
      spindle: "error, nothing left",
      silent: seen.code === 0,
    };
  },
}));

/** What the page says of `--salvage`. */
async function salvage(lab, file, disk) {
  const done = await lab.must("spindle", ["convert", "--salvage", "-O", "raw", file, "saved.raw"]);
  const saved = lab.read("saved.raw");
  const kept = saved.findLastIndex((byte) => byte !== 0) + 1;
  const listed = done.text.includes("1 range could not be read") && lab.exists("saved.raw.salvage.txt");
  holds(listed && kept > 0 && saved.subarray(0, kept).equals(disk.subarray(0, kept)), "spindle", done);
}

/** How many of them pass in silence. */
export function summary(outcomes) {
  const silent = outcomes.filter((outcome) => outcome.silent);
  const unseen = silent.filter(({ checked }) => checked === CHECKS[0]);
  return `qemu-img converts ${silent.length} of these ${outcomes.length} with exit code 0; of those, \`check\` finds nothing wrong with ${unseen.length}. 7-Zip and Spindle end each with an error.`;
}

function outcome({ code, left, length, bytes }, disk) {
  if (code !== 0) return left ? "error, file left" : "error";
  if (length !== disk.length) return `**exit 0**, ${number(length)} bytes: taken for raw`;
  const from = bytes.findLastIndex((byte) => byte !== 0) + 1;
  const zeros = disk.length - from;
  const kept = bytes.subarray(0, from).equals(disk.subarray(0, from));
  return kept ? `**exit 0**, the last ${number(zeros)} bytes are zeros` : "**exit 0**, other content";
}
