/** Section "behaviour": what the program promises beside right bytes. Nothing of a failed job stays, nothing of a source changes. */
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileHash } from "./content-hash.mjs";
import { makeDisk, noise, text } from "./disks.mjs";
import { checkMemory } from "./memory.mjs";
import { ending, oneLine, runProgram } from "./programs.mjs";
import { forEachOf } from "./report.mjs";
import { REPRESENTATIVES } from "./targets.mjs";
import { clearErrorFault, leftoverFault, refusalFaults, successFault } from "./verdicts.mjs";

const MIB = 1 << 20;

export async function checkBehaviour(section, context) {
  const work = join(context.work, "behaviour");
  mkdirSync(work, { recursive: true });
  let number = 0;
  const folder = () => {
    const path = join(work, String(number++));
    mkdirSync(path);
    return path;
  };
  const disk = join(work, "disk.raw");
  await makeDisk("odd", disk, context.judges);
  const all = { ...context, section, folder, disk };
  const parts = [
    checkSources,
    checkTargets,
    checkFullDisk,
    checkInterrupts,
    checkTruncation,
    checkReproducible,
    checkMemory,
    checkAddresses,
    checkVersion,
  ];
  await Promise.all(parts.map((check) => check(all)));
}

/** An image of each format, made by the program itself from the given disk. */
async function images({ spindle, folder }, disk, words = REPRESENTATIVES.map((target) => target.words.slice(1))) {
  const made = [];
  for (const [format, ...rest] of words) {
    const path = join(folder(), `source.${format}`);
    const result = await spindle(["convert", "-O", format, ...rest, disk, path]);
    if (result.code !== 0) throw new Error(`making a ${format}: ${successFault(result)}`);
    made.push({ format, path });
  }
  return made;
}

/** Systems may limit addresses, of which an engine sets aside far more than it uses: for the program, its workers, a worker's codec. */
async function checkAddresses({ section, program, disk, folder }) {
  const zstd = ["-c", "-O", "qcow2", "-o", "compression_type=zstd"];
  for (const [gigabytes, verb, ...options] of [
    [3, "info"],
    [20, "convert", "-O", "qcow2"],
    [30, "convert", ...zstd],
  ])
    await section.row(`${verb} ${options.join(" ")} with ${gigabytes} GB of addresses: told in one line, or done`, async () => {
      const out = folder();
      const target = verb === "convert" ? [join(out, "out.qcow2")] : [];
      const words = ["-c", `ulimit -v ${gigabytes}000000; exec node "$@"`, "bash", program, verb, ...options, disk, ...target];
      const { code, stderr } = await runProgram("bash", words);
      if (code === 0 && gigabytes > 3) return "";
      const isTold = code === 1 && /^spindle: [^|\n]*no memory[^|\n]*\n$/.test(stderr);
      return [isTold ? "" : `exit ${code}: ${stderr}`, leftoverFault(out)];
    });
}

async function checkVersion({ section, spindle }) {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"));
  for (const word of ["--version", "-V"])
    await section.row(`${word} says which program this is`, async () => {
      const { code, stdout } = await spindle([word]);
      return code === 0 && `${stdout}` === `spindle version ${version}\n` ? "" : `exit ${code}: ${stdout}`;
    });
}

const stateOf = async (path) => `${statSync(path).mtimeMs} ${statSync(path).size} ${await fileHash(path)}`;

async function checkSources(context) {
  const { section, spindle, folder, disk } = context;
  await section.row("no verb changes its source", async () => {
    const sources = [{ format: "raw", path: disk }, ...(await images(context, disk))];
    const faults = [];
    await forEachOf(sources, async ({ format, path }) => {
      const before = await stateOf(path);
      const out = folder();
      const runs = [
        ["convert", "-O", "qcow2", path, join(out, "out.qcow2")],
        ["repair", path, join(out, "repaired")],
        ["info", path],
        ["map", path],
        ["check", path],
      ];
      for (const words of [...runs, ["compare", path, disk], ["measure", "-O", "qcow2", path]]) await spindle(words);
      if ((await stateOf(path)) !== before) faults.push(`a ${format} source has changed`);
    });
    return faults;
  });
  await section.row("a size that is no whole number of sectors is padded, and said", async () => {
    const out = folder();
    const source = join(out, "short.raw");
    writeFileSync(source, noise(100_000, 9));
    const result = await spindle(["convert", "-O", "raw", source, join(out, "out.raw")]);
    if (result.code !== 0) return successFault(result);
    const padded = Buffer.concat([noise(100_000, 9), Buffer.alloc(512 - (100_000 % 512))]);
    if (!readFileSync(join(out, "out.raw")).equals(padded)) return "not the source's bytes followed by zeros";
    return result.stderr.includes("512") ? "" : "not a word about it";
  });
}

async function checkTargets(context) {
  const { section, spindle, folder, disk } = context;
  for (const [name, place] of [
    ["itself", (source) => source],
    ["a symbolic link to itself", (source) => link(symlinkSync, source, `${source}.soft`)],
    ["a hard link to itself", (source) => link(linkSync, source, `${source}.hard`)],
  ])
    await section.row(`a target that is ${name}`, async () => {
      const [{ path }] = await images(context, disk, [["qcow2"]]);
      const target = place(path);
      const before = await stateOf(path);
      const result = await spindle(["convert", "-O", "qcow2", path, target]);
      const faults = [clearErrorFault(result, path)];
      return [...faults, (await stateOf(path)) === before ? "" : "the source has changed"];
    });
  await section.row("a target that is the source's base", async () => {
    const { "qemu-img": qemuImg } = context.judges;
    if (qemuImg === null) throw new Error("qemu-img is not installed, which makes the chain");
    const out = folder();
    copyFileSync(disk, join(out, "base.raw"));
    await qemuImg.must(["create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "top.qcow2"], { cwd: out });
    const before = await stateOf(join(out, "base.raw"));
    const result = await spindle(["convert", "-O", "raw", join(out, "top.qcow2"), join(out, "base.raw")]);
    return [
      clearErrorFault(result, join(out, "top.qcow2")),
      (await stateOf(join(out, "base.raw"))) === before ? "" : "the base has changed",
    ];
  });
  await section.row("a target in a folder that is not there", async () => {
    const out = folder();
    const source = join(out, "disk.raw");
    copyFileSync(disk, source);
    const result = await spindle(["convert", "-O", "qcow2", source, join(out, "nowhere", "out.qcow2")]);
    const left = readdirSync(out).join();
    return [
      result.code === 0 ? "exit code 0" : "",
      /out\.qcow2|nowhere/.test(result.stderr) ? "" : oneLine(result.stderr),
      left === "disk.raw" ? "" : left,
    ];
  });
  await section.row("an existing target stays when the job fails", async () => {
    const out = folder();
    const [{ path }] = await images(context, disk, [["qcow2"]]);
    truncateSync(path, Math.floor(statSync(path).size / 2));
    writeFileSync(join(out, "out.raw"), "precious");
    const result = await spindle(["convert", "-O", "raw", path, join(out, "out.raw")]);
    const kept = readdirSync(out).join() === "out.raw" && readFileSync(join(out, "out.raw"), "latin1") === "precious";
    return [clearErrorFault(result, path), kept ? "" : "it was changed"];
  });
}

function link(make, source, target) {
  make(source, target);
  return target;
}

async function checkFullDisk({ section, spindle, folder, disk, judges }) {
  const name = "a full disk";
  if (!REPRESENTATIVES.some((target) => section.wants(`${name}: ${target.name}`))) return;
  const { mount, umount } = judges;
  const small = folder();
  if (mount === null || umount === null || process.getuid?.() !== 0) return section.skip(name, "only root can mount a small file system");
  const mounted = await mount.run(["-t", "tmpfs", "-o", "size=256k", "tmpfs", small]);
  if (mounted.code !== 0) return section.skip(name, `no small file system can be mounted here: ${oneLine(mounted.stderr)}`);
  try {
    for (const { name: target, format, words } of REPRESENTATIVES)
      await section.row(`${name}: ${target}`, async () => {
        const result = await spindle(["convert", ...words, disk, join(small, `out.${format}`)]);
        const faults = [clearErrorFault(result, join(small, `out.${format}`), "out-flat.vmdk", "disk.data"), leftoverFault(small)];
        if (!/full|space/i.test(result.stderr)) faults.push(`not a word about the full disk: ${oneLine(result.stderr)}`);
        // The message names the output; leftovers would make the next row lie.
        for (const left of readdirSync(small)) rmSync(join(small, left));
        return faults;
      });
  } finally {
    await umount.run([small]);
  }
}

/** A job that takes long enough to be interrupted in its middle: 384 MiB to compress. */
async function checkInterrupts({ section, spindle, folder }) {
  const signals = ["SIGINT", "SIGTERM"].filter((signal) => section.wants(`${signal} in mid-job`));
  if (signals.length === 0) return;
  const source = join(folder(), "large.raw");
  const piece = Buffer.concat([text(24 * MIB, 1), noise(8 * MIB, 2)]);
  writeFileSync(source, Buffer.concat(Array.from({ length: 12 }, () => piece)));
  for (const signal of signals)
    await section.row(`${signal} in mid-job`, async () => {
      const out = folder();
      const target = join(out, "out.qcow2");
      let sent = false;
      const interrupt = async (child) => {
        while (child.exitCode === null && !sent) {
          await pause(5);
          const [part] = readdirSync(out);
          if (part === undefined || statSync(join(out, part), { throwIfNoEntry: false })?.blocks === 0) continue;
          sent = child.kill(signal);
        }
      };
      const result = await spindle(["convert", "-c", "-O", "qcow2", source, target], { onStart: interrupt, seconds: 120 });
      const faults = [sent ? "" : "ended before it could be interrupted", leftoverFault(out)];
      if (result.code !== 130 && result.signal !== signal) faults.push(`ended with ${ending(result)}`);
      return faults;
    });
  rmSync(source);
}

async function checkTruncation(context) {
  const { section, spindle, folder, disk } = context;
  const sources = [
    ["qcow2"],
    ["qcow2", "-c"],
    ["vmdk"],
    ["vmdk", "-o", "subformat=streamOptimized"],
    ["vdi"],
    ["vdi", "-o", "static=on"],
    ["vpc"],
    ["vhdx"],
    ["vhdx", "-o", "subformat=fixed"],
    ["parallels"],
    ["qed"],
    ["android-sparse"],
    ["xva"],
    ["ova"],
    ["raw", "-o", "packaging=gzip"],
    ["raw", "-o", "packaging=zstd"],
  ];
  // These can be opened without their end.
  const salvageable = ["vmdk", "vdi", "vpc", "vhdx", "parallels", "qed"];
  for (const words of sources) {
    await section.row(`a truncated ${words.join(" ")} says where`, async () => {
      const [{ path }] = await images(context, disk, [words]);
      truncateSync(path, Math.floor(statSync(path).size * 0.6));
      const out = folder();
      const result = await spindle(["convert", "-O", "raw", path, join(out, "out.raw")]);
      const faults = refusalFaults(result, path, out);
      return /@ \d+\]|\bbyte \d+|offset \d+|0x[0-9a-f]+/.test(result.stderr)
        ? faults
        : [...faults, `names no offset: ${oneLine(result.stderr)}`];
    });
    // The directory of a stream stands at its end: without it nothing can be found.
    if (words.includes("subformat=streamOptimized") || !salvageable.includes(words[0])) continue;
    await section.row(`--salvage of a truncated ${words.join(" ")}`, async () => {
      const [{ path }] = await images(context, disk, [words]);
      truncateSync(path, Math.floor(statSync(path).size * 0.6));
      return salvageFaults(context, path, disk, statSync(disk).size * 0.6);
    });
  }
  await section.row("--salvage of a qcow2 with damaged packed clusters", async () => {
    const [{ path }] = await images(context, disk, [["qcow2", "-c", "-o", "cluster_size=4k"]]);
    const bytes = readFileSync(path);
    bytes.fill(0xff, 4096 + 1000, 4096 + 2000);
    writeFileSync(path, bytes);
    return salvageFaults(context, path, disk, 64 << 10);
  });
}

/** What the list names is zero in the target, all else is right, and the list is not longer than it must be. */
async function salvageFaults({ spindle, folder }, path, disk, most) {
  const out = folder();
  const result = await spindle(["convert", "--salvage", "-O", "raw", path, join(out, "out.raw")]);
  if (result.code !== 0) return successFault(result);
  const names = readdirSync(out).sort().join();
  if (names !== "out.raw,out.raw.salvage.txt") return `left ${names}`;
  const lines = readFileSync(join(out, "out.raw.salvage.txt"), "utf8").split("\n");
  const ranges = lines.map((line) => /^(\d+)\t(\d+)\t./.exec(line)).filter((match) => match !== null);
  const expected = readFileSync(disk);
  const lost = ranges.reduce((sum, [, , length]) => sum + Number(length), 0);
  for (const [, start, length] of ranges) expected.fill(0, Number(start), Number(start) + Number(length));
  const faults = [];
  if (ranges.length === 0) faults.push("the list is empty");
  if (lost > most) faults.push(`${lost} bytes given up, at most ${most} are damaged`);
  if (!readFileSync(join(out, "out.raw")).equals(expected))
    faults.push("what the list does not name is wrong, or what it names is not zero");
  return faults;
}

/** The same input and options give the same bytes, whatever the number of workers. */
async function checkReproducible({ section, spindle, folder, disk, judges, program }) {
  const bytesOf = async (out) => {
    const names = readdirSync(out).sort();
    return (await Promise.all(names.map(async (name) => `${name} ${await fileHash(join(out, name))}`))).join("\n");
  };
  const { taskset } = judges;
  const oneCore = "the same bytes with one worker as with two";
  const canLimit = taskset !== null && availableParallelism() > 1;
  if (!canLimit) section.skip(oneCore, taskset === null ? "taskset is not installed" : "this machine has one core");
  for (const { name, format, words } of REPRESENTATIVES) {
    const outputs = await Promise.all(
      [0, 1].map(async () => {
        const out = folder();
        const result = await spindle(["convert", ...words, disk, join(out, `out.${format}`)]);
        return result.code === 0 ? bytesOf(out) : successFault(result);
      }),
    );
    await section.row(`the same bytes twice: ${name}`, async () => (outputs[0] === outputs[1] ? "" : `${outputs[0]} | ${outputs[1]}`));
    if (!canLimit) continue;
    await section.row(`${oneCore}: ${name}`, async () => {
      const out = folder();
      const result = await runProgram(taskset.path, [
        "-c",
        "0",
        process.execPath,
        program,
        "convert",
        ...words,
        disk,
        join(out, `out.${format}`),
      ]);
      if (result.code !== 0) return successFault(result);
      return (await bytesOf(out)) === outputs[0] ? "" : "the bytes differ";
    });
  }
}
