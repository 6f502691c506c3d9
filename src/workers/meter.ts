import type { Progress } from "./engine-api.ts";

const REPORT_EVERY = 100;
/** Rates are taken over this long; no time left is told before so much of a phase has passed. */
const WINDOW = 3000;

type Step = Pick<Progress, "phase" | "done" | "total" | "position">;

/** Thins a job's steps to ten reports a second and adds the rate and the time left. Ends of phases always pass. */
export function createMeter(report: (progress: Progress) => void): (step: Step) => void {
  let phase: Step["phase"] | null = null;
  let last = 0;
  let samples: { readonly time: number; readonly done: number }[] = [];
  return (step) => {
    const time = performance.now();
    const entered = step.phase !== phase;
    if (entered) {
      phase = step.phase;
      samples = [{ time, done: step.done }];
    } else if (time - last < REPORT_EVERY && step.done < step.total) return;
    last = time;
    samples.push({ time, done: step.done });
    while (samples.length > 2 && time - (samples[1] as { time: number }).time > WINDOW) samples.shift();
    const first = samples[0] as { time: number; done: number };
    const rate = time > first.time ? ((step.done - first.done) / (time - first.time)) * 1000 : 0;
    const known = rate > 0 && time - first.time >= WINDOW / 2;
    report({ ...step, rate, secondsLeft: known ? (step.total - step.done) / rate : null });
  };
}
