import { DiskError } from "../core/errors.ts";
import { type OptionSpecs, splitOnce } from "./arguments.ts";

/** Options of the verbs that write an image, or say what one would take. */
export const TARGET = {
  to: { names: ["-O", "--target-format"], kind: "value", value: "FMT", help: "format to write; raw when none is given" },
  options: {
    names: ["-o", "--options"],
    kind: "list",
    value: "NAME=VALUE,…",
    help: "options of that format; -o help lists them",
  },
  compress: { names: ["-c", "--compress"], kind: "flag", help: "compress the target" },
  snapshot: { names: ["-l", "--snapshot"], kind: "value", value: "SNAPSHOT", help: "read this internal snapshot, by id or name" },
} as const satisfies OptionSpecs;

/** `-o a=b,c=d`; a comma inside a value is doubled, as for qemu-img. */
function parseCreationOptions(lists: readonly string[]): Record<string, string> {
  const options: Record<string, string> = {};
  for (const pair of lists.flatMap((list) => list.replaceAll(",,", "\0").split(","))) {
    const [name, value] = splitOnce(pair.replaceAll("\0", ","), "=");
    if (name === "") continue;
    options[name] = value ?? "on";
  }
  return options;
}

/** The target's options from `-o` and `-c`: compression is an option of qcow2 and a subformat of VMDK. */
export function creationOptions(format: string, lists: readonly string[], compress: boolean): Record<string, string> {
  const options = parseCreationOptions(lists);
  if (format === "qcow2") {
    const { compression_type: type, ...rest } = options;
    if (type !== undefined && !["zlib", "zstd"].includes(type))
      throw new DiskError("usage", `compression_type is zlib or zstd, not “${type}”`);
    return compress ? { ...rest, compression: type === "zstd" ? "zstd" : "deflate" } : rest;
  }
  if (compress && format === "vmdk") {
    if ((options["subformat"] ?? "streamOptimized") !== "streamOptimized")
      throw new DiskError("usage", "-c: of the VMDK subformats only streamOptimized is compressed");
    return { ...options, subformat: "streamOptimized" };
  }
  if (compress && format === "raw") return { packaging: "gzip", ...options };
  if (compress) throw new DiskError("usage", `-c: ${format} has no compression`);
  return options;
}
