import { describe, expect, it } from "vitest";
import { DiskError } from "../../core/errors.ts";
import { choicesOf, explain, kindOf, membersOf, namelessParent, unpacksTooFar } from "./failures.ts";

describe("failures", () => {
  it.each([
    [new DiskError("corrupt", "vdi: blockSize is 3"), "corrupt"],
    [new DiskError("missing-file", "vmdk: extent is missing", { needs: "a-flat.vmdk" }), "missing-file"],
    [new DiskError("passphrase", "wrong"), "passphrase"],
    [new DiskError("choice", "two disks", { choices: ["a", "b"] }), "choice"],
    [new DiskError("io", "cannot be written", { reason: "disk-full" }), "disk-full"],
    [new DiskError("io", "cannot be read", { reason: "file-changed" }), "file-changed"],
    [new DiskError("io", "the drive answered with an error"), "io"],
    // A damaged field may speak of permissions: the format's own code wins.
    [new DiskError("corrupt", "permission bits are set"), "corrupt"],
    [new DOMException("x", "AbortError"), "aborted"],
    [new DOMException("x", "QuotaExceededError"), "disk-full"],
    [new DOMException("x", "NotAllowedError"), "permission"],
    [new DOMException("x", "NotFoundError"), "file-changed"],
    [new RangeError("x"), "unexpected"],
    ["text", "unexpected"],
    [null, "unexpected"],
  ])("tells the kind of %s", (failure, kind) => expect(kindOf(failure)).toBe(kind));

  it("names file, offset and the part of the disk", () => {
    const failure = new DiskError("corrupt", "bad", { file: "a.vdi", at: 512, guest: { start: 65536, length: 1024 } });
    expect(explain(failure, "open").place?.replaceAll("\u00a0", " ")).toBe("a.vdi, offset 0x200; affects 1 KiB of the disk from 0x10000");
  });

  it("leaves out what is for the terminal", () => {
    const failure = new DiskError("limit", "a.gz unpacks to more than 2: it is followed only when asked for (--any-size)");
    expect(explain(failure, "open").what).toBe("a.gz unpacks to more than 2: it is followed only when asked for");
    expect(unpacksTooFar(failure)).toBe(true);
    expect(unpacksTooFar(new DiskError("limit", "too large"))).toBe(false);
  });

  it("knows the disks of an archive", () => {
    expect(choicesOf(new DiskError("choice", "x", { choices: ["a", "b"] }))).toEqual(["a", "b"]);
    expect(choicesOf(new DiskError("corrupt", "x"))).toBe(null);
  });

  it("says what is safe, and does not promise more than is known", () => {
    const failure = new DiskError("io", "write failed");
    expect(explain(failure, "open").safe).toContain("nothing was written");
    expect(explain(failure, "run").safe).toContain("No partial file is left");
    expect(explain(failure, "run", true).safe).toContain("may still exist");
  });

  it("has words of its own for what browsers say", () => {
    for (const name of ["NotFoundError", "NotReadableError", "NotAllowedError", "QuotaExceededError"]) {
      const { what } = explain(new DOMException("An operation that depends on state cached in an interface object", name), "open");
      expect(what).toMatch(/^[A-Z].*\.$/);
      expect(what).not.toContain("interface object");
    }
  });

  it("advises to carry on over damage only where that can be done", () => {
    const failure = new DiskError("corrupt", "bad");
    expect(explain(failure, "open").advice).not.toContain("Carry on");
    expect(explain(failure, "run", false, true).advice).toContain("Carry on");
    expect(explain(new DiskError("io", "bad"), "run", false, true).advice).not.toContain("Carry on");
  });

  it("tells an archive without a disk, whose files can be chosen all the same", () => {
    const failure = new DiskError("wrong-format", "a.tar holds one file; name it (--member NAME)", { choices: ["readme.txt"] });
    expect(explain(failure, "open")).toMatchObject({ kind: "wrong-format", what: "a.tar holds one file; name it" });
    expect(explain(failure, "open").title).toContain("archive");
    expect([choicesOf(failure), membersOf(failure)]).toEqual([null, ["readme.txt"]]);
    expect(membersOf(new DiskError("wrong-format", "x"))).toBe(null);
  });

  it("asks for a parent without a name by its UUID", () => {
    const uuid = "11111111-2222-4333-8444-555555555555";
    const failure = new DiskError("missing-file", "x", { needs: `{${uuid}}.vdi` });
    expect(explain(failure, "open").title).toBe(`The VDI whose UUID is ${uuid} is missing`);
    expect(explain(failure, "open").advice).toContain("whatever the name");
    expect([namelessParent(failure), namelessParent(new DiskError("missing-file", "x", { needs: "base.vdi" }))]).toEqual([uuid, null]);
  });

  it("names a missing file in the title", () => {
    expect(explain(new DiskError("missing-file", "x", { needs: "disk-flat.vmdk" }), "open").title).toBe(
      "The file “disk-flat.vmdk” is missing",
    );
  });
});
