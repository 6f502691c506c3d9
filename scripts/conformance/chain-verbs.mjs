/** Rows of the chains section: the verbs and options for chains, sizes and free space, as a user types them. */
import { copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clearErrorFault, remarksOf, successFault } from "./verdicts.mjs";
import { identicalFault } from "./written.mjs";

const MIB = 1 << 20;

export async function checkChainVerbs({ section, spindle, judges, work }) {
  const folder = join(work, "chain-verbs");
  mkdirSync(join(folder, "elsewhere"), { recursive: true });
  const run = { cwd: folder };
  const [qemuImg, qemuIo] = [judges["qemu-img"], judges["qemu-io"]];
  await qemuImg.must(["create", "-q", "-f", "qcow2", "base.qcow2", "64M"], run);
  await qemuIo.must(["-c", "write -P 1 0 8M", "base.qcow2"], run);
  await qemuImg.must(["create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "s1.qcow2"], run);
  await qemuIo.must(["-c", "write -P 2 4M 1M", "-c", "write -z 0 1M", "s1.qcow2"], run);
  await qemuImg.must(["create", "-q", "-f", "qcow2", "-b", "s1.qcow2", "-F", "qcow2", "s2.qcow2"], run);
  await qemuIo.must(["-c", "write -P 3 20M 1M", "s2.qcow2"], run);
  await qemuImg.must(["convert", "-O", "raw", "s2.qcow2", "s2.raw"], run);
  const same = (format, image) => identicalFault(qemuImg, ["-f", format, "-F", "raw", image, "s2.raw"], folder);

  await section.row("info --backing-chain tells every layer", async () => {
    const result = await spindle(["info", "--backing-chain", "--output=json", "s2.qcow2"], run);
    if (result.code !== 0) return successFault(result);
    const theirs = JSON.parse(await qemuImg.must(["info", "--backing-chain", "--output=json", "s2.qcow2"], run));
    const facts = (layers) =>
      layers.map((layer) => [layer.filename, layer.format, layer["virtual-size"], layer["backing-filename"] ?? ""].join(" "));
    const [a, b] = [facts(JSON.parse(result.stdout)), facts(theirs)];
    return a.join("; ") === b.join("; ") ? "" : `${a.join("; ")}, qemu-img: ${b.join("; ")}`;
  });
  await section.row("--look-in finds a parent in another folder, and nothing else does", async () => {
    copyFileSync(join(folder, "s1.qcow2"), join(folder, "elsewhere", "top.qcow2"));
    const alone = await spindle(["convert", "-O", "raw", "top.qcow2", "x.raw"], { cwd: join(folder, "elsewhere") });
    const refused = clearErrorFault(alone, join(folder, "elsewhere", "top.qcow2"), "base.qcow2");
    if (refused !== "") return refused;
    const result = await spindle(["convert", "--look-in", "..", "-O", "raw", "top.qcow2", "x.raw"], { cwd: join(folder, "elsewhere") });
    if (result.code !== 0) return successFault(result);
    return identicalFault(qemuImg, ["-f", "raw", "-F", "qcow2", join("elsewhere", "x.raw"), "s1.qcow2"], folder);
  });
  await section.row("a changed parent is refused, and accepted with a warning when told to", async () => {
    await qemuImg.must(["create", "-q", "-f", "vmdk", "b.vmdk", "8M"], run);
    await qemuIo.must(["-f", "vmdk", "-c", "write -P 5 0 1M", "b.vmdk"], run);
    await qemuImg.must(["create", "-q", "-f", "vmdk", "-b", "b.vmdk", "-F", "vmdk", "t.vmdk"], run);
    const bytes = readFileSync(join(folder, "b.vmdk"));
    const at = bytes.indexOf("\nCID=") + 5;
    bytes.write(bytes.toString("latin1", at, at + 8) === "12345678" ? "87654321" : "12345678", at, "latin1");
    writeFileSync(join(folder, "b.vmdk"), bytes);
    const alone = await spindle(["convert", "-O", "raw", "t.vmdk", "t.raw"], run);
    const refused = clearErrorFault(alone, join(folder, "t.vmdk"), "b.vmdk");
    if (refused !== "") return refused;
    const result = await spindle(["convert", "--accept-changed-parents", "-O", "raw", "t.vmdk", "t.raw"], run);
    if (result.code !== 0) return successFault(result);
    if (!remarksOf(result).some((line) => line.includes("warning"))) return "no warning";
    return readFileSync(join(folder, "t.raw")).equals(Buffer.concat([Buffer.alloc(MIB, 5), Buffer.alloc(7 * MIB)])) ? "" : "other bytes";
  });
  await section.row("-B over a layer of the chain, and over an unrelated disk", async () => {
    const faults = [];
    await qemuImg.must(["create", "-q", "-f", "raw", "other.raw", "64M"], run);
    await qemuIo.must(["-f", "raw", "-c", "write -P 9 4M 8M", "other.raw"], run);
    for (const base of ["base.qcow2", "other.raw"]) {
      const result = await spindle(["convert", "-O", "qcow2", "-B", base, "s2.qcow2", "over.qcow2"], run);
      faults.push(result.code === 0 ? await same("qcow2", "over.qcow2") : successFault(result));
      const info = JSON.parse(await qemuImg.must(["info", "--output=json", "over.qcow2"], run));
      if (info["backing-filename"] !== base) faults.push(`its base is ${info["backing-filename"]}`);
    }
    return faults;
  });
  await section.row("rebase writes a new file over the new base and leaves the old one", async () => {
    const before = readFileSync(join(folder, "s2.qcow2"));
    const result = await spindle(["rebase", "-b", "other.raw", "s2.qcow2", "rebased.qcow2"], run);
    if (result.code !== 0) return successFault(result);
    const fault = await same("qcow2", "rebased.qcow2");
    return readFileSync(join(folder, "s2.qcow2")).equals(before) ? fault : "the source was changed";
  });
  for (const format of ["qcow2", "qed", "vmdk"])
    await section.row(`--keep-chain in ${format}`, async () => {
      const result = await spindle(["convert", "--keep-chain", "-O", format, "s2.qcow2", `kept.${format}`], run);
      return result.code === 0 ? same(format, `kept.${format}`) : successFault(result);
    });
  if (judges.sgdisk === null || judges["mkfs.ext4"] === null)
    return section.skip("--size and --slim", "sgdisk or mkfs.ext4 is not installed");
  await section.row("--size grows a GPT disk, and refuses to cut its partition", async () => {
    writeFileSync(join(folder, "gpt.raw"), "");
    await qemuImg.must(["resize", "-q", "-f", "raw", "gpt.raw", "64M"], run);
    await judges.sgdisk.must(["-n", "1:2048:+40M", "gpt.raw"], run);
    const grown = await spindle(["convert", "--size", "96M", "-O", "raw", "gpt.raw", "grown.raw"], run);
    if (grown.code !== 0) return successFault(grown);
    const verdict = await judges.sgdisk.must(["-v", "grown.raw"], run);
    const faults = [
      verdict.includes("No problems found") ? "" : verdict,
      statSync(join(folder, "grown.raw")).size === 96 * MIB ? "" : "not 96 MiB",
    ];
    const cut = await spindle(["convert", "--size", "32M", "-O", "raw", "gpt.raw", "cut.raw"], run);
    return [...faults, clearErrorFault(cut, join(folder, "gpt.raw"), "smallest")];
  });
  await section.row("--slim leaves out deleted files, and nothing else", async () => {
    await judges["mkfs.ext4"].must(["-q", "-F", "fs.raw", "32M"], run);
    await judges.debugfs.must(["-w", "-R", "write s2.raw big", "fs.raw"], { ...run, seconds: 60 }).catch(() => {});
    writeFileSync(join(folder, "kept.bin"), Buffer.alloc(3 * MIB, 0x6b));
    await judges.debugfs.must(["-w", "-R", "rm big", "fs.raw"], run);
    await judges.debugfs.must(["-w", "-R", "write kept.bin kept", "fs.raw"], run);
    const result = await spindle(["convert", "--slim", "-O", "raw", "fs.raw", "slim.raw"], run);
    if (result.code !== 0) return successFault(result);
    const said = remarksOf(result).some((line) => /less: free space of ext4/.test(line)) ? "" : "the saving is not told";
    await judges.e2fsck.must(["-fn", "slim.raw"], run);
    await judges.debugfs.must(["-R", "dump kept kept.out", "slim.raw"], run);
    const kept = readFileSync(join(folder, "kept.out")).equals(readFileSync(join(folder, "kept.bin"))) ? "" : "a file changed";
    return [said, kept, readFileSync(join(folder, "slim.raw")).includes(Buffer.alloc(4096, 3)) ? "deleted data is still there" : ""];
  });
}
