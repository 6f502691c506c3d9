import { describe, expect, it } from "vitest";
import { DiskError } from "../../core/errors.ts";
import { choicesOf, explain, kindOf, unpacksTooFar } from "./failures.ts";

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

  it("names a missing file in the title", () => {
    expect(explain(new DiskError("missing-file", "x", { needs: "disk-flat.vmdk" }), "open").title).toBe(
      "The file “disk-flat.vmdk” is missing",
    );
  });
});
