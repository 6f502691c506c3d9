import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { formatById } from "../formats/registry.ts";
import { diskOf, noise } from "../testing/disks.ts";
import { specFor, testCompute, writeImage } from "../testing/image-harness.ts";
import { createSession } from "./session.ts";
import { VERBS } from "./verbs.ts";

const folder = mkdtempSync(join(tmpdir(), "verbs-"));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => void vi.restoreAllMocks());
const at = (name: string): string => join(folder, name);
const MIB = 1 << 20;

const disk = noise(64 << 10, 1);
disk.set([0x55, 0xaa], 510);
writeFileSync(at("disk.raw"), disk);
writeFileSync(at("notes.txt"), "nothing of interest\n");
for (const [archive, ...members] of [
  ["one.tar", "disk.raw"],
  ["notes.tar", "notes.txt"],
  ["both.tar", "disk.raw", "notes.txt"],
] as const)
  execFileSync("tar", ["-cf", archive, ...members], { cwd: folder });

/** Runs a verb; its exit code and what it printed. */
async function run(name: string, ...words: readonly string[]) {
  const said: string[] = [];
  vi.spyOn(process.stdout, "write").mockImplementation((text) => said.push(String(text)) > 0);
  const session = createSession(new AbortController().signal);
  try {
    return { code: await VERBS[name]!.run(words, session), said: said.join("") };
  } finally {
    await session.end();
  }
}

describe("--member", () => {
  test.each([
    ["info", at("disk.raw")],
    ["map", at("disk.raw")],
    ["check", at("disk.raw")],
    ["convert", at("disk.raw"), at("out.raw")],
    ["measure", at("disk.raw")],
    ["compare", at("disk.raw"), at("disk.raw")],
  ])("%s of a file that is no archive is refused", async (name, ...operands) => {
    const refusal = { code: "usage", message: expect.stringContaining("--member disk.raw: disk.raw is no archive") };
    await expect(run(name, "--member", "disk.raw", ...operands)).rejects.toMatchObject(refusal);
  });

  test("nor is it taken without any file", async () => {
    await expect(run("measure", "--member", "x", "--size", "1M")).rejects.toMatchObject({ code: "usage" });
  });

  test("chooses in an archive, also when only one of two files is one", async () => {
    expect((await run("info", "--member", "disk.raw", at("both.tar"))).said).toContain("wrapped in: tar");
    expect((await run("info", "--member", "notes.txt", at("notes.tar"))).said).toContain("virtual size: 512 B");
    await expect(run("info", at("notes.tar"))).rejects.toMatchObject({ code: "wrong-format" });
  });
});

test("--snapshot of a format that has none is refused, not passed over", async () => {
  const refusal = { code: "usage", message: expect.stringContaining("disk.raw has no internal snapshots") };
  await expect(run("convert", "--snapshot", "S", at("disk.raw"), at("out.raw"))).rejects.toMatchObject(refusal);
  await expect(run("convert", "--snapshot", "S", at("one.tar"), at("out.raw"))).rejects.toMatchObject({ code: "usage" });
});

describe("-O", () => {
  test("an unknown or read-only format names those that are written", async () => {
    for (const [format, reason] of [
      ["bogus", "no format"],
      ["bochs", "can be read but not written"],
    ] as const) {
      const error = await run("convert", "-O", format, at("disk.raw"), at("out")).catch((reason: Error) => reason);
      expect(error).toMatchObject({ code: "usage", message: expect.stringContaining(reason) });
      expect(error).toMatchObject({ message: expect.stringMatching(/written: (?!.*\b(bochs|zip|7z)\b).*\bqcow2\b/) });
    }
  });

  test("other names are taken, and -o help needs no files", async () => {
    expect((await run("measure", "-O", "vhd", "--size", "1M", "--output=json")).said).toBe(
      (await run("measure", "-O", "vpc", "--size", "1M", "--output=json")).said,
    );
    const { code, said } = await run("convert", "-O", "vhd", "-o", "help");
    expect([code, said]).toEqual([0, expect.stringContaining("subformat")]);
  });
});

describe("the parent of a VDI", () => {
  const vdi = formatById("vdi").target!;
  const UUIDS = { base: "11111111-2222-4333-8444-555555555555", child: "99999999-2222-4333-8444-555555555555" };
  async function imageOf(id: string): Promise<Uint8Array> {
    const spec = specFor(vdi, 2 * MIB, "d.vdi", { id });
    const image = await writeImage(vdi.create(spec, testCompute()), diskOf(2 * MIB, MIB, new Map([[0, new Uint8Array(MIB).fill(7)]])));
    return image.files[0]!.read(0, image.sizes[0]!);
  }
  const UUID_AT = 0x188;
  const PARENT_AT = 0x1a8;
  const TYPE_AT = 0x4c;

  test("is found under any name, and asked for by its UUID", async () => {
    mkdirSync(at("vdi"));
    const [base, child] = [await imageOf(UUIDS.base), await imageOf(UUIDS.child)];
    child[TYPE_AT] = 4;
    child.set(base.subarray(UUID_AT, UUID_AT + 16), PARENT_AT);
    writeFileSync(at("vdi/snapshot.vdi"), child);
    writeFileSync(at("vdi/other.vdi"), await imageOf("77777777-2222-4333-8444-555555555555"));
    writeFileSync(at("vdi/broken.vdi"), "not a VDI");
    const refusal = {
      code: "missing-file",
      needs: `{${UUIDS.base}}.vdi`,
      message: `snapshot.vdi is a layer over the VDI whose UUID is ${UUIDS.base} (its file may have any name), which was not given`,
    };
    await expect(run("map", at("vdi/snapshot.vdi"))).rejects.toMatchObject(refusal);
    writeFileSync(at("vdi/web server.vdi"), base);
    expect((await run("map", at("vdi/snapshot.vdi"))).code).toBe(0);
    const { said } = await run("info", at("vdi/snapshot.vdi"));
    expect(said).toContain(`the VDI with the UUID ${UUIDS.base}`);
    expect(said).not.toContain("under that one");
  });
});
