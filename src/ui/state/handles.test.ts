import { expect, it } from "vitest";
import { currentFile } from "./handles.ts";

const handle = (getFile: () => Promise<File>) => ({ kind: "file", name: "web.qcow2", getFile }) as FileSystemFileHandle;
const refused = (name: string) => handle(async () => Promise.reject(new DOMException("A requested file could not be found", name)));

it("gives the file that a handle leads to", async () => {
  const file = new File(["x"], "web.qcow2");
  expect((await currentFile(handle(async () => file))).file).toBe(file);
});

it.each([
  ["NotFoundError", "file-changed", "web.qcow2 is not there any more: it was moved, renamed or removed"],
  ["NotAllowedError", "permission", "web.qcow2 cannot be read: the browser does not allow it"],
])("says a %s in plain words, with the file's name", async (name, reason, message) => {
  await expect(currentFile(refused(name))).rejects.toMatchObject({ code: "io", reason, message, file: "web.qcow2" });
});

it("passes on what it does not know", async () => {
  await expect(currentFile(refused("DataError"))).rejects.toMatchObject({ name: "DataError" });
});
