import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, expect, test, vi } from "vitest";
import type { ByteSource } from "../core/model.ts";
import { formatById } from "../formats/registry.ts";
import { diskOf } from "../testing/disks.ts";
import { specFor, testCompute, writeImage } from "../testing/image-harness.ts";
import { judge } from "../testing/judges.ts";
import { localPool } from "../testing/local-pool.ts";
import { lookBeside } from "./beside.ts";
import { createSession, type Session } from "./session.ts";
import { VERBS } from "./verbs.ts";

const folder = mkdtempSync(join(tmpdir(), "chains-"));
const at = (name: string): string => join(folder, name);
const MIB = 1 << 20;
const CLUSTER = 64 << 10;

beforeEach(() => {
  rmSync(folder, { recursive: true });
  for (const name of ["", "base", "top"]) mkdirSync(at(name));
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
});
afterEach(() => void vi.restoreAllMocks());
afterAll(() => rmSync(folder, { recursive: true }));

/** What a verb prints on standard output, as JSON. */
async function told(name: string, ...words: readonly string[]) {
  const said: string[] = [];
  const spy = vi.spyOn(process.stdout, "write").mockImplementation((text) => said.push(String(text)) > 0);
  try {
    await run(name, "--output=json", ...words);
  } finally {
    spy.mockRestore();
  }
  return JSON.parse(said.join(""));
}

/** A qcow2 whose first cluster is full of one byte; over `parent`, that holds nothing of its own. */
async function image(path: string, content: { byte: number } | { parent: string }, size = MIB): Promise<void> {
  const target = formatById("qcow2").target!;
  const held = "byte" in content ? new Map([[0, new Uint8Array(CLUSTER).fill(content.byte)]]) : new Map();
  const below = "parent" in content ? { name: content.parent, format: "qcow2", size: MIB, identity: null, details: {} } : undefined;
  const spec = { ...specFor(target, size, "d.qcow2"), base: below };
  const { files, sizes } = await writeImage(target.create(spec, testCompute()), diskOf(size, CLUSTER, held));
  writeFileSync(at(path), await files[0]!.read(0, sizes[0]!));
}

/** The built worker is not there: this thread does its work, and is handed the files' bytes. */
function poolHere(): Session["pool"] {
  const pool = localPool(2);
  const { attach } = pool;
  return Object.assign(pool, { attach: (source: ByteSource) => attach({ ...source, origin: null }) });
}

async function run(name: string, ...words: readonly string[]): Promise<number> {
  const session = createSession(new AbortController().signal);
  Object.defineProperty(session, "pool", { value: poolHere() });
  try {
    return await VERBS[name]!.run(words, session);
  } finally {
    await session.end();
  }
}

test("the folder that a layer states comes before its own, when it is among those to look in", async () => {
  await image("base/b.qcow2", { byte: 1 });
  await image("top/b.qcow2", { byte: 2 });
  const open = async (path: string) => ({ path }) as never;
  const named = async (name: string, lookIn: readonly string[]) =>
    (await lookBeside(at("top/t.qcow2"), lookIn, open, () => {})).resolve({ name, role: "parent", id: null, format: "qcow2" });
  for (const stated of ["../base/b.qcow2", at("base/b.qcow2")]) {
    expect(await named(stated, [at("base")])).toEqual({ path: at("base/b.qcow2") });
    expect(await named(stated, [])).toEqual({ path: at("top/b.qcow2") });
  }
  expect(await named("b.qcow2", [at("base")])).toEqual({ path: at("top/b.qcow2") });
});

test("--keep-chain writes over no file that was not named", async () => {
  await image("b.qcow2", { byte: 1 });
  await image("t.qcow2", { parent: "b.qcow2" });
  writeFileSync(at("out-1.qcow2"), "precious");
  const order = ["--keep-chain", "-O", "qcow2", at("t.qcow2"), at("out.qcow2")] as const;
  await expect(run("convert", ...order)).rejects.toMatchObject({ code: "usage", message: expect.stringContaining("out-1.qcow2 exists") });
  expect(readFileSync(at("out-1.qcow2"), "utf8")).toBe("precious");
});

test("--keep-chain leaves nothing where its newest layer would replace the source, or cannot be a layer", async () => {
  await image("b.qcow2", { byte: 1 });
  await image("t.qcow2", { parent: "b.qcow2" });
  await image("larger.qcow2", { parent: "b.qcow2" }, 2 * MIB);
  await expect(run("convert", "--keep-chain", "-O", "qcow2", at("t.qcow2"), at("t.qcow2"))).rejects.toMatchObject({ code: "usage" });
  expect(existsSync(at("t-1.qcow2"))).toBe(false);
  const refusal = { code: "limit", message: expect.stringContaining("the same size") };
  for (const format of ["vhd", "vdi"]) {
    await expect(run("convert", "--keep-chain", "-O", format, at("larger.qcow2"), at(`o.${format}`))).rejects.toMatchObject(refusal);
    expect(existsSync(at(`o-1.${format}`))).toBe(false);
  }
});

test("a preset makes no layer", async () => {
  await image("b.qcow2", { byte: 1 });
  await image("t.qcow2", { parent: "b.qcow2" });
  const order = ["--preset", "openstack", "-B", at("b.qcow2"), at("t.qcow2"), at("o.qcow2")] as const;
  await expect(run("convert", ...order)).rejects.toMatchObject({ code: "usage", message: expect.stringContaining("--preset") });
});

test("--keep-chain takes nothing that changes the layers, before any file is opened", async () => {
  for (const words of [["--size", "1G"], ["--slim"], ["--preset", "utm"], ["-B", "b.qcow2"]])
    await expect(run("convert", "--keep-chain", ...words, at("gone"), at("o"))).rejects.toMatchObject({
      code: "usage",
      message: expect.stringContaining("--keep-chain"),
    });
});

test("what the result may suffer from stands in it", async () => {
  await image("b.qcow2", { byte: 1 });
  await image("t.qcow2", { parent: "/elsewhere/b.qcow2" });
  const warning = `t.qcow2 names “/elsewhere/b.qcow2”; “b.qcow2” in ${folder} is used`;
  expect(await told("convert", "-O", "raw", at("t.qcow2"), at("o.raw"))).toMatchObject({ verified: true, warnings: [warning] });
  expect(await told("convert", "-p", "-O", "raw", at("b.qcow2"), at("p.raw"))).toMatchObject({ verified: true, warnings: [] });
  const kept = await told("convert", "--keep-chain", "-O", "qcow2", at("t.qcow2"), at("o.qcow2"));
  expect(kept).toMatchObject({ layers: [{ lost: [] }, { lost: [] }], warnings: [warning] });
});

test("an output that there is not is refused before anything is written", async () => {
  await image("b.qcow2", { byte: 1 });
  await expect(run("convert", "--output=xml", at("b.qcow2"), at("o.raw"))).rejects.toMatchObject({ code: "usage" });
  expect(existsSync(at("o.raw"))).toBe(false);
});

test("a link is written through, one that leads nowhere is refused", async () => {
  await image("b.qcow2", { byte: 1 });
  await image("t.qcow2", { parent: "b.qcow2" });
  symlinkSync(at("base/nothing.raw"), at("dangling"));
  for (const words of [[], ["--keep-chain", "-O", "qcow2"]])
    await expect(run("convert", ...words, at("t.qcow2"), at("dangling"))).rejects.toMatchObject({
      code: "usage",
      message: expect.stringContaining("leads nowhere"),
    });
  expect([lstatSync(at("dangling")).isSymbolicLink(), existsSync(at("base/nothing.raw"))]).toEqual([true, false]);
  writeFileSync(at("base/o.qcow2"), "old");
  symlinkSync(at("base/o.qcow2"), at("link.qcow2"));
  await run("convert", "--keep-chain", "-O", "qcow2", at("t.qcow2"), at("link.qcow2"));
  expect([lstatSync(at("link.qcow2")).isSymbolicLink(), existsSync(at("base/o-1.qcow2"))]).toEqual([true, true]);
  expect(await told("compare", at("base/o.qcow2"), at("t.qcow2"))).toMatchObject({ identical: true });
});

test("what --keep-chain --salvage had to leave out is listed for each layer", async () => {
  await image("b.qcow2", { byte: 1 });
  await image("t.qcow2", { parent: "b.qcow2" });
  const bytes = readFileSync(at("b.qcow2"));
  const l1 = Number(bytes.readBigUInt64BE(40));
  // The L2 table that the L1 table names lies past the end of the file.
  bytes.writeBigUInt64BE((1n << 63n) | (2n ** 40n), l1);
  writeFileSync(at("b.qcow2"), bytes);
  const { layers } = await told("convert", "--keep-chain", "--salvage", "-O", "qcow2", at("t.qcow2"), at("o.qcow2"));
  expect(layers[0].lost).toMatchObject([{ start: 0, length: MIB }]);
  expect(readFileSync(at("o-1.qcow2.salvage.txt"), "utf8")).toContain("could not be read");
});

test("a layer does not get its base's name, wherever it is written", async () => {
  await image("b.qcow2", { byte: 1 });
  await image("t.qcow2", { parent: "b.qcow2" });
  const order = ["-O", "qcow2", "-B", at("b.qcow2"), at("t.qcow2"), at("top/b.qcow2")] as const;
  await expect(run("convert", ...order)).rejects.toMatchObject({ code: "limit", message: expect.stringContaining("the name of the base") });
});

test("of two VMDKs with the stated content ID neither is taken for the parent, and both are named", async () => {
  await image("b.qcow2", { byte: 1 });
  await image("t.qcow2", { byte: 2 });
  await run("convert", "-O", "vmdk", at("b.qcow2"), at("base.vmdk"));
  await run("convert", "-O", "vmdk", "-B", at("base.vmdk"), at("t.qcow2"), at("t.vmdk"));
  renameSync(at("base.vmdk"), at("x.vmdk"));
  copyFileSync(at("x.vmdk"), at("y.vmdk"));
  const refusal = { code: "usage", message: expect.stringContaining("2 files are that: x.vmdk, y.vmdk") };
  await expect(run("info", "--backing-chain", at("t.vmdk"))).rejects.toMatchObject(refusal);
});

const qemu = judge("qemu-img");
test.skipIf(qemu === null).each(["vmdk", "qcow2", "qed"])("qemu-img opens a %s over a base whose name has a colon", async (format) => {
  await image("b.qcow2", { byte: 1 });
  const changed = await diskBytesOf("b.qcow2");
  changed.fill(7, CLUSTER, 2 * CLUSTER);
  writeFileSync(at("t.raw"), changed);
  await run("convert", "-O", format, at("b.qcow2"), at(`12:30.${format}`));
  await run("convert", "-O", format, "-B", at(`12:30.${format}`), at("t.raw"), at(`t.${format}`));
  expect(qemu!.must(["compare", "-f", format, "-F", "raw", `t.${format}`, "t.raw"], { cwd: folder })).toContain("identical");
  expect(await told("compare", at(`t.${format}`), at("t.raw"))).toMatchObject({ identical: true });
});

async function diskBytesOf(name: string): Promise<Buffer> {
  await run("convert", "-O", "raw", at(name), at("bytes.raw"));
  return readFileSync(at("bytes.raw"));
}
