/** What a rule of a target is made of, and how its negative control spoils an image. */
import { readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { partitionsOf, patch } from "./preset-readers.mjs";

export const MIB = 2 ** 20;
export const GIB = 2 ** 30;
export const TIB = 2 ** 40;

/**
 * `says`: the rule. `check(result)` tells what is wrong ("" when nothing is). `broken(result)` spoils a copy so that the rule must refuse
 * it. `result`: `path` of the image, its `folder` and `name`, and `disk`, the raw disk that an independent program sees in it.
 */
export const rule = (says, check, broken) => ({ says, check, broken, spoils: "image" });
/** One about the disk inside, which is spoilt instead. */
export const diskRule = (says, check, broken) => ({ says, check, broken, spoils: "disk" });
export const unless = (isRight, fault) => (isRight ? "" : fault);

export const u32 = (value, endian = "LE") => {
  const bytes = Buffer.alloc(4);
  bytes[`writeUInt32${endian}`](value);
  return bytes;
};
export const u64 = (value, endian = "LE") => {
  const bytes = Buffer.alloc(8);
  bytes[`writeBigUInt64${endian}`](BigInt(value));
  return bytes;
};
/** A text of the same length in the place of another in the image's first 64 KiB. */
export function replaceText(path, from, to) {
  const head = readFileSync(path).subarray(0, 64 << 10);
  const at = head.indexOf(from);
  if (at < 0 || from.length !== to.length) throw new TypeError(`cannot replace ${from} by ${to}`);
  patch(path, at, Buffer.from(to));
}
export const named = (pattern, wrong) =>
  rule(
    `the name matches ${pattern}`,
    ({ name }) => unless(pattern.test(name), `the name is ${name}`),
    (result) => {
      renameSync(result.path, join(result.folder, wrong));
      return { name: wrong, path: join(result.folder, wrong) };
    },
  );

export const hasTable = diskRule(
  "it has a partition table",
  ({ disk }) => unless(partitionsOf(disk).kind !== "none", "no partition table"),
  ({ disk }) => patch(disk, 510, Buffer.alloc(2)),
);
