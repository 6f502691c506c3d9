/** Results of the benches → the text of docs/benchmarks.md. */
import { spread } from "./pairs.mjs";

const seconds = (values) => {
  const { median, min, max } = spread(values);
  return `${median.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`;
};
const row = (...cells) => `| ${cells.join(" | ")} |`;
const table = (head, rows) =>
  [row(...head), row(...head.map((_, i) => (i === 0 ? "---" : "---:"))), ...rows.map((cells) => row(...cells))].join("\n");
const verdict = (ratio, target) =>
  target === undefined || target === null ? "" : ratio <= target ? `≤ ${target} ✓` : `≤ ${target} **missed**`;
const setting = ({ date, processor, versions, commit }) => `${date}, commit ${commit}; ${processor}; ${versions.join("; ")}.`;

function terminal({ machine, pairs, results }) {
  const rows = results.map(({ name, flags, ours, theirs, ratio, target, mib, sizeRatio }) => [
    name,
    seconds(ours),
    `${seconds(theirs)}${flags.length > 0 ? ` \`${flags.join(" ")}\`` : ""}`,
    ratio.toFixed(2),
    verdict(ratio, target),
    sizeRatio === null ? "" : `${((sizeRatio - 1) * 100).toFixed(1)} %`,
    mib.ours.toFixed(0),
  ]);
  return `## Terminal against qemu-img

Whole processes, wall seconds: median (least–most) of ${pairs} runs, run alternately after one that does not count; the ratio is the median of the ratios pair by pair, below 1 is faster than qemu-img. qemu-img runs with or without \`-W -m 16\`, whichever was faster here. Files lie in memory, so that no drive is measured. Spindle runs with \`--no-verify\`, as qemu-img verifies nothing; the last row is what it does when nothing is said: it hashes the disk, reads the result back and compares. Every output of both programs was compared with the source by \`qemu-img compare\`. Size: Spindle's output against qemu-img's.

${table(["conversion", "Spindle, s", "qemu-img, s", "ratio", "target", "size", "peak MiB"], rows)}

\`npm run bench -- --only=terminal\` · ${setting(machine)}`;
}

function growth({ machine, results: { sizes, fragmented, memory, cores } }) {
  const first = (target) => sizes.find((each) => each.target === target);
  return `## Growth

Time follows the data: megabytes a second of allocated data, and against the smallest disk.

${table(
  ["disk", "to", "s", "MB/s", "of 1 GiB's"],
  sizes.map(({ gib, target, seconds: s, rate }) => [
    `${gib} GiB`,
    target,
    s.toFixed(2),
    rate.toFixed(0),
    (rate / first(target).rate).toFixed(2),
  ]),
)}

A qcow2 of 1 TiB in 1,048,576 pieces: \`info\` ${fragmented.info.median.toFixed(2)} s, \`map --output=json\` ${fragmented.map.median.toFixed(2)} s with at most ${fragmented.mib.toFixed(0)} MiB (target: together ≤ 1 s); \`qemu-img map\` ${fragmented.rival.median.toFixed(2)} s.

Peak memory of the process, the same data in a larger virtual disk (target: ≤ 300 MiB):

${table(
  ["virtual size", "to", "MiB", "s"],
  memory.map(({ size, target, mib, wall }) => [`${size}iB`, target, mib.toFixed(0), wall.toFixed(2)]),
)}

One processor core against two (\`taskset\`; target: ≥ 1.8 ×):

${table(
  ["raw →", "1 core, s", "2 cores, s", "×"],
  cores.map(({ target, one, two }) => [target, one.toFixed(2), two.toFixed(2), (one / two).toFixed(2)]),
)}

\`npm run bench -- --only=growth\` · ${setting(machine)}`;
}

function scaling({ machine, results }) {
  const counts = results[0].speedups.map(({ workers }) => workers);
  return `## More cores, simulated

From a profile of the real program (busy milliseconds an order of 8 MiB, of the workers and of the main thread), the pool was simulated with each thread on a core of its own: times as fast as one worker. What remains is the main thread, which puts the blocks in order, lays out the format and hands out the writes; the last column is what it allows however many workers there are. The program itself stops at five workers, for its memory (300 MiB).

${table(
  ["conversion", "worker, ms", "main, ms", ...counts.map((n) => `${n} workers`), "most"],
  results.map(({ name, work, merge, speedups, limit }) => [
    name,
    (work * 1e3).toFixed(1),
    (merge * 1e3).toFixed(2),
    ...speedups.map(({ speedup }) => speedup.toFixed(1)),
    limit.toFixed(0),
  ]),
)}

\`npm run bench -- --only=scaling\` · ${setting(machine)}`;
}

function kernels({ machine, results }) {
  const rate = (values) => spread(values).median.toFixed(0);
  return `## Kernels

One thread, megabytes (10^6 bytes) of unpacked data a processor second, on units of 64 KiB of the same input, in turns in one run.

${table(
  ["kernel", "Spindle", "rival", "its MB/s", "ratio", "target"],
  results.map(({ name, ours, rival, theirs, ratio, target, size }) => [
    name + (size === undefined || size === null ? "" : ` (${size})`),
    rate(ours),
    rival ?? "",
    theirs.length > 0 ? rate(theirs) : "",
    ratio === null ? "" : ratio.toFixed(2),
    target === undefined || target === null ? "" : ratio >= target ? `≥ ${target} ✓` : `≥ ${target} **missed**`,
  ]),
)}

\`npm run bench -- --only=kernels\` · ${setting(machine)}`;
}

function page({ machine, pairs, results: { mib, rows, closing: closings, loads, tasks, processor, counted, whole } }) {
  const closing = ({ handle, close, floorClose }) =>
    handle === "picked" ? `${spread(close).median.toFixed(2)} / ${spread(floorClose).median.toFixed(2)}` : "";
  return `## The page in Chromium

${mib === 2048 ? "The input" : `The first ${mib} MiB of the input`}, read from memory, written to a drive; ${pairs} pairs. The floor is what the browser takes to read and write as many bytes in the best way through the same kind of handle, with nothing computed. Spindle looks through every block for zeros, but hashes nothing and reads nothing back here; a VMDK is hashed, because its content ID is made of the whole disk. Closing a picked file stands apart (Spindle's, the floor's): the browser hashes the whole file then, whoever wrote it. \`download\`: saving the private file as a download takes so much more, and as much space again. Where the processor is the limit there is no target against the floor; the share of all cores that was busy is what counts. Every output was compared with its source by \`qemu-img compare\`.

${table(
  ["conversion", "handle", "Spindle, s", "floor, s", "ratio", "target", "cores busy", "close, s", "download, s"],
  rows.map((each) => [
    each.name,
    each.handle,
    seconds(each.ours),
    seconds(each.floor),
    each.ratio.toFixed(2),
    verdict(each.ratio, each.target),
    `${(each.busy * 100).toFixed(0)} %`,
    closing(each),
    each.download === null ? "" : each.download.toFixed(2),
  ]),
)}

${closings == null ? "" : `${closingText(closings)}\n\n`}The built page: first load until “Open files” answers, nothing cached, main thread slowed down 4 ×: ${seconds(loads)} s (target: ≤ 1 s). While it converts (deflate, read back): ${tasks.length === 0 ? "no task of the main thread took over 50 ms" : `tasks of the main thread over 50 ms by the clock: ${tasks.map((ms) => `${ms.toFixed(0)} ms`).join(", ")}`}, the most processor time of one was ${processor.toFixed(1)} ms; memory at most ${counted.toFixed(0)} MiB as the browser counts it, ${whole.toFixed(0)} MiB in the page's process.

\`npm run bench -- --only=page\` · ${setting(machine)}`;
}

/** What several files cost to close. */
function closingText(ways) {
  const told = ways.map(
    ({ count, together, seconds: taken }) =>
      `${count === 1 ? "as one file" : `as ${count} files ${together ? "all at once" : "one after another"}`} ${seconds(taken)} s`,
  );
  return `Closing the same bytes as picked files: ${told.join(", ")}.`;
}

/** The README's table: conversions in the terminal, as seconds and as a ratio. */
export function shortTable({ terminal: part }) {
  if (part === undefined) return null;
  const rows = part.results.map(({ name, ours, theirs, ratio }) => [
    name,
    spread(ours).median.toFixed(1),
    spread(theirs).median.toFixed(1),
    ratio.toFixed(2),
  ]);
  return table(["2 GiB disk, 2 cores", "Spindle, s", "qemu-img, s", "ratio"], rows);
}

const SECTIONS = { terminal, growth, scaling, kernels, page };

export function report(parts) {
  const sections = Object.entries(SECTIONS).flatMap(([name, section]) => (parts[name] === undefined ? [] : [section(parts[name])]));
  return `# Benchmarks

Written by \`npm run bench\`; nothing here is typed by hand. The input is a disk of 2 GiB, two fifths of it empty, the rest files of published packages; \`bench/input.mjs\` makes it, the same bytes everywhere. What misses its target is explained in \`docs/performance.md\`.

${sections.join("\n\n")}
`;
}
