/** Starts the program under test and the independent programs that judge it, two at a time whoever asks. */
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { which } from "../executables.mjs";

const PRELOAD = join(import.meta.dirname, "peak-memory.cjs");

/** Rows of all sections are under way at once; what a program takes is measured beside one other, whatever the machine. */
const MOST_PROGRAMS = 2;
let running = 0;
const waiting = [];

/** Runs `action`, which starts one program and resolves when that has ended, as soon as there is room for it. */
export async function inTurn(action) {
  if (running < MOST_PROGRAMS) running++;
  else await new Promise((resolve) => waiting.push(resolve));
  try {
    return await action();
  } finally {
    const next = waiting.shift();
    if (next === undefined) running--;
    else next();
  }
}

/**
 * Runs a program to its end; never rejects. `late`: it was killed after `seconds`. `peakKib` only for programs that report it.
 * `onStart` is given the child. `output`: the file that takes the standard output, which is not collected then.
 */
export const runProgram = (command, args, options = {}) => inTurn(() => runNow(command, args, options));

function runNow(command, args, { cwd, seconds = 60, env = {}, input, output, onStart = () => {} }) {
  return new Promise((resolve) => {
    const started = performance.now();
    const taken = output === undefined ? null : openSync(output, "w");
    const stdio = [input === undefined ? "ignore" : "pipe", taken ?? "pipe", "pipe", "pipe"];
    const child = spawn(command, args, { cwd, env: { ...process.env, LC_ALL: "C", ...env }, stdio });
    if (taken !== null) closeSync(taken);
    child.stdin?.end(input);
    const text = { stdout: "", stderr: "", peak: "" };
    const collect = (stream, name) => stream?.setEncoding("utf8").on("data", (chunk) => (text[name] += chunk));
    collect(child.stdout, "stdout");
    collect(child.stderr, "stderr");
    collect(child.stdio[3], "peak");
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, seconds * 1000);
    const settle = (code, signal) => {
      clearTimeout(timer);
      const { stdout, stderr, peak } = text;
      resolve({ code, signal, late, stdout, stderr, peakKib: Number(peak), seconds: (performance.now() - started) / 1000 });
    };
    child.on("error", (error) => {
      text.stderr += error.message;
      settle(127, null);
    });
    child.on("close", settle);
    onStart(child);
  });
}

/** The program under test as a function of its words. */
export const programAt = (path) => (args, options) => runProgram(process.execPath, ["--require", PRELOAD, path, ...args], options);

/** What Node itself takes before it does anything. */
export const baselineKib = async () => (await runProgram(process.execPath, ["--require", PRELOAD, "-e", "0"])).peakKib;

/** qemu-img times the derivation of a LUKS key and gives up when the kernel says that it took none; chance alone decides. */
const CLOCK_REFUSED = "Unable to get accurate CPU usage";
const CLOCK_TRIES = 100;

/** An independent program, or null when it is not installed. `must` throws unless it ends with 0. */
export function judge(name) {
  const path = which(name);
  if (path === null) return null;
  const run = async (args, options) => {
    let result = await runProgram(path, args, options);
    for (let tries = 1; tries < CLOCK_TRIES && result.stderr.includes(CLOCK_REFUSED); tries++)
      result = await runProgram(path, args, options);
    return result;
  };
  const must = async (args, options) => {
    const result = await run(args, options);
    if (result.code !== 0)
      throw new Error(`${name} ${args.join(" ")} ended with ${ending(result)}: ${oneLine(result.stderr + result.stdout)}`);
    return result.stdout;
  };
  return { name, path, run, must };
}

export const ending = ({ code, signal, late, seconds }) =>
  late ? `no end after ${seconds.toFixed(1)} s` : (signal ?? `exit code ${code}`);

export const oneLine = (text) =>
  text
    .trim()
    .replaceAll(/\s*\n\s*/g, " | ")
    .slice(0, 400);
