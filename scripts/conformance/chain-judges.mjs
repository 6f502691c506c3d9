/** What libvhdi and 7-Zip see of chains of VHD and VHDX files in a folder. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runProgram } from "./programs.mjs";

const LIBVHDI_CHAIN = `
import sys, pyvhdi
files = [pyvhdi.file() for _ in sys.argv[2:]]
for file, name in zip(files, sys.argv[2:]): file.open(name)
for child, parent in zip(files[1:], files[:-1]): child.set_parent(parent)
for number, file in enumerate(files):
    with open("shown-%d.raw" % number, "rb") as disk:
        if disk.read() != file.read_buffer_at_offset(file.get_media_size(), 0): sys.exit("layer %d shows other bytes" % (number + 1))
`;

/** `files` from the base on, each over the one before it, and what each must show. */
export async function libvhdiFaults(python, files, shown, folder) {
  for (const [i, disk] of shown.entries()) writeFileSync(join(folder, `shown-${i}.raw`), disk);
  const result = await runProgram(python, ["-c", LIBVHDI_CHAIN, "-", ...files], { cwd: folder });
  return result.code === 0 ? "" : `libvhdi: ${(result.stdout + result.stderr).trim()}`;
}

/** `top` finds its parents itself. */
export async function sevenZipFaults(sevenZip, top, disk, folder) {
  await sevenZip.must(["x", "-oseen", top], { cwd: folder });
  const [name] = readdirSync(join(folder, "seen"));
  return readFileSync(join(folder, "seen", name)).equals(disk) ? "" : "shows other bytes";
}
