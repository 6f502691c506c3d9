import type { TargetOption, TargetSpec } from "./target.ts";

/** The option by which a target that packs with DEFLATE is asked for a smaller output. */
export const EFFORT_OPTION: TargetOption = {
  name: "effort",
  label: "Packing with Deflate",
  help: "Small looks longer for repetitions: 2 to 3 % less output in up to two and a half times the time.",
  choices: [
    { value: "fast", label: "Fast" },
    { value: "small", label: "Small" },
  ],
  initial: "fast",
};

/** `Encoding.small`. */
export const wantsSmall = ({ options }: Pick<TargetSpec, "options">): boolean => options[EFFORT_OPTION.name] === "small";
