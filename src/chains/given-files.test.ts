import fc from "fast-check";
import { expect, test } from "vitest";
import { memorySource } from "../core/bytes.ts";
import { GivenFiles } from "./given-files.ts";

const source = memorySource("x", new Uint8Array(1));
const over = (...paths: string[]) => new GivenFiles(paths.map((path) => ({ source, path })));
/** What a name stated by the first file may mean. */
function best(name: string, ...paths: string[]): string[] {
  const files = over(...paths);
  return files.find(name, 0).best.map((file) => files.paths[file] as string);
}

test.each<[name: string, paths: string[], expected: string[]]>([
  ["b", ["a", "b"], ["b"]],
  ["./b", ["a", "b"], ["b"]],
  ["../x/b", ["y/a", "x/b", "z/b"], ["x/b"]],
  ["sub\\b", ["y/a", "y/sub/b", "y/b"], ["y/sub/b"]],
  // Out of what was given: the name alone counts.
  ["../../../b", ["y/a", "y/b", "b"], ["y/b"]],
  // The same end of the path, then the same folder.
  ["/srv/z/b", ["y/a", "y/b", "z/b"], ["z/b"]],
  ["C:\\vms\\b", ["y/a", "y/b", "z/b"], ["y/b"]],
  ["file:///srv/z/b", ["y/a", "y/b", "z/b"], ["z/b"]],
  ["/srv/b", ["y/a", "x/b", "z/b"], ["x/b", "z/b"]],
  // Itself only when nothing else can be meant, or when the place is exact.
  ["/srv/base/a", ["y/a", "x/a"], ["x/a"]],
  ["/srv/base/a", ["y/a"], ["y/a"]],
  ["a", ["y/a", "x/a"], ["y/a"]],
  // Folders of Windows: any case, where no file has the stated one.
  ["B.VHD", ["a", "b.vhd"], ["b.vhd"]],
  ["B.VHD", ["a", "b.vhd", "B.VHD"], ["B.VHD"]],
  ["b", ["a"], []],
  ["x/", ["a", "x"], []],
  ["", ["a", ""], []],
])("%j among %j", (name, paths, expected) => {
  expect(best(name, ...paths)).toEqual(expected);
});

test("whatever is stated, the answers are given files", () => {
  const part = fc.constantFrom("..", ".", "", "a", "b", "/", "\\", "C:", "json:{", "__proto__", "constructor");
  const name = fc.array(part, { maxLength: 6 }).map((parts) => parts.join("/"));
  fc.assert(
    fc.property(name, fc.array(name, { minLength: 1, maxLength: 5 }), (stated, paths) => {
      const { all, best: likely } = over(...paths).find(stated, 0);
      expect(new Set(all).size).toBe(all.length);
      for (const file of all) expect(file).toBeLessThan(paths.length);
      expect(all.slice(0, likely.length)).toEqual(likely);
    }),
  );
});
