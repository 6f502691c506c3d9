/** Rows of the matrix: exit codes and words of `check` and `compare` beside qemu-img's. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clearErrorFault } from "./verdicts.mjs";

export async function checkExitCodes(context) {
  const folder = join(context.work, "exit-codes");
  mkdirSync(folder);
  const path = (name) => join(folder, name);
  await makeImages(context, path);
  const both = { ...context, path };
  for (const [name, code] of [
    ["clean.qcow2", 0],
    ["leaked.qcow2", 3],
    ["corrupt.qcow2", 2],
    ["both.qcow2", 2],
    ["clean.vmdk", 0],
    ["clean.vdi", 0],
    ["corrupt.vdi", 2],
    ["odd.raw", 63],
    ["absent.qcow2", 1],
    ["cut.qcow2", 1],
  ])
    await checkRow(both, name, code);
  for (const [a, b, code] of [
    ["odd.raw", "clean.qcow2", 0],
    ["clean.qcow2", "clean.vmdk", 0],
    ["clean.vmdk", "clean.vdi", 0],
    ["odd.raw", "changed.raw", 1],
    ["clean.qcow2", "changed.raw", 1],
    ["odd.raw", "longer.raw", 0],
    ["longer.raw", "clean.qcow2", 0],
    ["odd.raw", "absent.raw", 2],
    ["cut.qcow2", "odd.raw", 2],
  ])
    await compareRow(both, a, b, code);
  await compareRow(both, "odd.raw", "longer.raw", 1, ["-s"]);
}

async function makeImages({ qemuImg, disks }, path) {
  const raw = join(disks, "odd.raw");
  copyFileSync(raw, path("odd.raw"));
  for (const format of ["qcow2", "vmdk", "vdi"]) await qemuImg.must(["convert", "-f", "raw", "-O", format, raw, path(`clean.${format}`)]);
  const clean = readFileSync(path("clean.qcow2"));
  const table = Number(clean.readBigUInt64BE(48));
  const block = Number(clean.readBigUInt64BE(table));
  const used = clean.length >> 16;
  const counted = (name, edits) => {
    const image = Buffer.concat([clean, Buffer.alloc(4 << 16)]); // the leaked cluster lies inside the file
    for (const [cluster, count] of edits) image.writeUInt16BE(count, block + cluster * 2);
    writeFileSync(path(name), image);
  };
  // A count on a cluster that nothing refers to is a leak; none on one that is in use, a corruption.
  counted("leaked.qcow2", [[used + 3, 1]]);
  counted("corrupt.qcow2", [[used - 2, 0]]);
  counted("both.qcow2", [
    [used + 3, 1],
    [used - 2, 0],
  ]);
  writeFileSync(path("cut.qcow2"), clean.subarray(0, 60));
  const vdi = readFileSync(path("clean.vdi"));
  vdi.copy(vdi, vdi.readUInt32LE(0x154) + 12, vdi.readUInt32LE(0x154), vdi.readUInt32LE(0x154) + 4); // two entries share a block
  writeFileSync(path("corrupt.vdi"), vdi);
  const changed = readFileSync(raw);
  changed[8 << 20] ^= 1;
  writeFileSync(path("changed.raw"), changed);
  writeFileSync(path("longer.raw"), Buffer.concat([readFileSync(raw), Buffer.alloc(65536)]));
}

async function checkRow({ section, spindle, qemuImg, path }, name, code) {
  await section.row(`check ${name}`, async () => {
    const ours = await spindle(["check", path(name)]);
    const faults = ours.code === code ? [] : [`exit code ${ours.code}, not ${code}: ${ours.stderr}`];
    if (code === 1) faults.push(clearErrorFault(ours, path(name)));
    const theirs = await qemuImg.run(["check", path(name)]);
    if (theirs.code !== code) faults.push(`qemu-img itself ends with ${theirs.code}: the row is wrong`);
    return faults;
  });
}

async function compareRow({ section, spindle, qemuImg, path }, a, b, code, words = []) {
  await section.row(`compare ${[...words, a, b].join(" ")}`, async () => {
    const ours = await spindle(["compare", ...words, path(a), path(b)]);
    const theirs = await qemuImg.run(["compare", ...words, path(a), path(b)]);
    const faults = ours.code === code ? [] : [`exit code ${ours.code}, not ${code}: ${ours.stderr}`];
    if (theirs.code !== code && a !== "cut.qcow2") faults.push(`qemu-img itself ends with ${theirs.code}: the row is wrong`);
    // Where they differ, Spindle adds a line about the place.
    const said = code === 1 ? ours.stdout.replace(/^That is .*\n$/m, "") : ours.stdout;
    if (code < 2 && said !== theirs.stdout) faults.push(`says ${JSON.stringify(ours.stdout)}, qemu-img ${JSON.stringify(theirs.stdout)}`);
    if (code === 2) faults.push(clearErrorFault(ours, path(a === "cut.qcow2" ? a : b)));
    return faults;
  });
}
