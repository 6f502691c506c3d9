import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, expect, test, vi } from "vitest";
import { formatById } from "../formats/registry.ts";
import { diskOf } from "../testing/disks.ts";
import { specFor, testCompute, writeImage } from "../testing/image-harness.ts";
import { lookBeside } from "./beside.ts";
import { createSession } from "./session.ts";
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

/** A qcow2 whose first cluster is full of one byte; over `parent`, that holds nothing of its own. */
async function image(path: string, content: { byte: number } | { parent: string }, size = MIB): Promise<void> {
  const target = formatById("qcow2").target!;
  const held = "byte" in content ? new Map([[0, new Uint8Array(CLUSTER).fill(content.byte)]]) : new Map();
  const below = "parent" in content ? { name: content.parent, format: "qcow2", size: MIB, identity: null, details: {} } : undefined;
  const spec = { ...specFor(target, size, "d.qcow2"), base: below };
  const { files, sizes } = await writeImage(target.create(spec, testCompute()), diskOf(size, CLUSTER, held));
  writeFileSync(at(path), await files[0]!.read(0, sizes[0]!));
}

async function run(name: string, ...words: readonly string[]): Promise<number> {
  const session = createSession(new AbortController().signal);
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
    (await lookBeside(at("top/t.qcow2"), lookIn, open)).resolve({ name, role: "parent", id: null, format: "qcow2" });
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
