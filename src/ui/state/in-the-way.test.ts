import { expect, test } from "vitest";
import type { OutputPlace } from "../../workers/engine-api.ts";
import type { Job } from "./entry.ts";
import { areInTheWay } from "./in-the-way.ts";

const handle = (kind: "file" | "directory", path: string) =>
  ({ kind, path, isSameEntry: async (other: { readonly path: string }) => other.path === path }) as unknown as FileSystemFileHandle;
const fileAt = (path: string): OutputPlace => ({ kind: "file", handle: handle("file", path) });
const folderAt = (path: string): OutputPlace => ({
  kind: "folder",
  handle: handle("directory", path) as unknown as FileSystemDirectoryHandle,
  replace: false,
});
const job = (source: string, format: string, place: OutputPlace, name: string, files: readonly string[] = [name]): Job =>
  ({
    entry: { given: { value: { file: { name: source, size: 1, lastModified: 2 } } } },
    request: { format, name },
    plan: { files },
    place,
  }) as unknown as Job;
const hidden: OutputPlace = { kind: "private" };
const flat = ["a.vmdk", "a-flat.vmdk"];

test.each<[string, boolean, Job, Job]>([
  ["the same work", true, job("s", "vdi", hidden, "s.vdi"), job("s", "vdi", fileAt("/s.vdi"), "s.vdi")],
  ["another source into the private store", false, job("s", "vdi", hidden, "x.vdi"), job("t", "vdi", hidden, "x.vdi")],
  ["one file", true, job("s", "vdi", fileAt("/x"), "x"), job("t", "vdi", fileAt("/x"), "x")],
  ["one name in two folders", false, job("s", "vdi", fileAt("/a/x"), "x"), job("t", "vdi", fileAt("/b/x"), "x")],
  ["two names", false, job("s", "vdi", fileAt("/x"), "x"), job("t", "vdi", fileAt("/y"), "y")],
  ["names that differ in case only", true, job("s", "vdi", fileAt("/x"), "x"), job("t", "vdi", fileAt("/X"), "X")],
  ["one folder, a file in common", true, job("s", "vmdk", folderAt("/"), "a", flat), job("t", "vmdk", folderAt("/"), "b", ["a-flat.vmdk"])],
  ["one folder, no file in common", false, job("s", "vmdk", folderAt("/"), "a", flat), job("t", "vmdk", folderAt("/"), "b", ["b.vmdk"])],
  ["two folders, a file in common", false, job("s", "vmdk", folderAt("/1"), "a", flat), job("t", "vmdk", folderAt("/2"), "a", flat)],
  ["a file that may lie in the folder", true, job("s", "vmdk", folderAt("/"), "a", flat), job("t", "raw", fileAt("/a.vmdk"), "a.vmdk")],
])("%s: %s", async (_, expected, one, other) => {
  expect(await areInTheWay(one, other)).toBe(expected);
  expect(await areInTheWay(other, one)).toBe(expected);
});
