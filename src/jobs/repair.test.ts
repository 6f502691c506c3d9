import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../core/bytes.ts";
import { formatById, openImage } from "../formats/registry.ts";
import { diskBytes, noise, type TestDisk } from "../testing/disks.ts";
import { contextOf, specFor, testCompute, writeImage } from "../testing/image-harness.ts";
import { judge } from "../testing/judges.ts";
import { localPool } from "../testing/local-pool.ts";
import { luksImage } from "../testing/luks-image.ts";
import { memorySink } from "../testing/memory-sink.ts";
import { checkImage } from "./check.ts";
import { planConvert, runConvert } from "./convert.ts";
import { planRepair } from "./repair.ts";
import { optionsLike } from "./target.ts";

const folder = mkdtempSync(join(tmpdir(), "repair-"));
afterAll(() => rmSync(folder, { recursive: true }));
const pool = localPool(2);
const { signal } = new AbortController();
const quiet = () => {};
const DISK: TestDisk = {
  size: 4 << 20,
  pieces: [
    { start: 0, bytes: noise(100_000, 1) },
    { start: 3 << 20, bytes: new TextEncoder().encode("spindle ".repeat(20_000)) },
  ],
};
const bytesOf = async (format: string, options: Readonly<Record<string, string>> = {}): Promise<Uint8Array> => {
  const target = formatById(format).target!;
  const image = await writeImage(target.create(specFor(target, DISK.size, `d.${format}`, options), testCompute()), DISK);
  return image.files[0]!.read(0, image.files[0]!.size);
};
const gzip = (bytes: Uint8Array): Uint8Array => new Uint8Array(gzipSync(bytes));
const check = (name: string, bytes: Uint8Array) => checkImage(memorySource(name, bytes), contextOf(), undefined, pool, quiet, signal);

describe("checking", () => {
  test("packed blocks are unpacked: damage in them is told by its place on the disk", async () => {
    const bytes = await bytesOf("qcow2", { compression: "deflate" });
    expect((await check("d.qcow2", bytes))?.report).toMatchObject({ corruptions: 0, findings: [] });
    const extents = await (await openImage(memorySource("d.qcow2", bytes), contextOf())).extents(3 << 20, 65_536);
    const extent = extents[0]!;
    if (extent.kind !== "packed") throw new Error("the sample is packed");
    bytes[extent.at + 20] = (bytes[extent.at + 20] as number) ^ 0xff;
    const report = (await check("d.qcow2", bytes))!.report;
    expect(report.corruptions).toBeGreaterThan(0);
    expect(report.findings.some(({ guest }) => guest !== null && guest.start <= 3 << 20 && guest.start + guest.length > 3 << 20)).toBe(
      true,
    );
  });

  test("an image in a wrapping is checked inside it; a bare disk has nothing to check", async () => {
    const place = join(folder, "d.qcow2");
    writeFileSync(place, await bytesOf("qcow2"));
    execFileSync("gzip", ["-kf", place]);
    expect(await check("d.qcow2.gz", new Uint8Array(readFileSync(`${place}.gz`)))).toMatchObject({
      format: "qcow2",
      report: { corruptions: 0 },
    });
    expect(await check("d.raw", diskBytes(DISK))).toBeNull();
  });

  test("encrypted data without a passphrase is not called right", async () => {
    const plain = diskBytes(DISK);
    const luks = luksImage({ cipher: "xts-plain64", hash: "sha256", keyBytes: 32, passphrases: ["secret"], stripes: 8 }, plain);
    await expect(check("d.luks", luks)).rejects.toMatchObject({ code: "passphrase" });
    await expect(check("d.luks.gz", gzip(luks))).rejects.toMatchObject({ code: "passphrase" });
    const context = { ...contextOf(), passphrase: "secret" };
    const open = checkImage(memorySource("d.luks.gz", gzip(luks)), context, undefined, pool, quiet, signal);
    expect((await open)?.report).toMatchObject({ corruptions: 0, leaks: 0 });
  });

  test("tables of an image with features that are not read are checked, and it is said that the data was not", async () => {
    const bytes = await bytesOf("qcow2");
    new DataView(bytes.buffer).setUint32(32, 1); // crypt_method: AES
    const report = (await check("d.qcow2", bytes))?.report;
    expect(report).toMatchObject({ corruptions: 0, findings: [{ severity: "warning", text: expect.stringContaining("not checked") }] });
  });

  test("a damaged wrapping is damage; a missing choice, an archive without a disk and a wrong format are not", async () => {
    const packed = gzip(await bytesOf("qcow2"));
    expect((await check("d.qcow2.gz", packed.subarray(0, packed.length - 9)))?.report).toMatchObject({ corruptions: 1 });
    packed[packed.length - 6] = (packed[packed.length - 6] as number) ^ 1;
    const report = (await check("d.qcow2.gz", packed))?.report;
    expect(report).toMatchObject({ corruptions: 1, findings: [{ severity: "corruption", text: expect.stringContaining("CRC32") }] });
    expect((await check("d.raw.gz", gzip(diskBytes(DISK))))?.report).toMatchObject({ corruptions: 0, findings: [] });
    const trailing = Buffer.concat([gzip(diskBytes(DISK)), Buffer.from("more")]);
    expect((await check("d.raw.gz", trailing))?.report).toMatchObject({ corruptions: 0, findings: [{ severity: "warning" }] });
    const none = checkImage(memorySource("d.raw", diskBytes(DISK)), contextOf(), "ewf", pool, quiet, signal);
    await expect(none.then((result) => result?.report.corruptions)).resolves.toBe(1);
    await expect(checkImage(memorySource("d.raw", diskBytes(DISK)), contextOf(), "wim", pool, quiet, signal)).rejects.toMatchObject({
      code: "unsupported",
    });
  });

  test("packed blocks are counted for formats without tables of their own", async () => {
    const bytes = await bytesOf("android-sparse");
    expect((await check("d.simg", bytes))?.report).toMatchObject({ corruptions: 0, compressedClusters: 0, totalClusters: 1024 });
  });

  test("sums over the whole image count", async () => {
    const bytes = await bytesOf("xva");
    expect((await check("d.xva", bytes))?.report).toMatchObject({ corruptions: 0 });
    const at = Buffer.from(bytes).indexOf(Buffer.from(noise(100_000, 1).subarray(500, 600)));
    bytes[at] = (bytes[at] as number) ^ 1;
    expect((await check("d.xva", bytes))?.report).toMatchObject({ corruptions: 1, findings: [{ guest: { start: 0 } }] });
  });
});

describe("repairing", () => {
  const qemu = judge("qemu-img");
  test.skipIf(qemu === null)("a qcow2 with leaks becomes one without, of the same kind and content", async () => {
    const bytes = await bytesOf("qcow2", { cluster_size: "4k", refcount_bits: "32" });
    const leaking = new Uint8Array(bytes.length + 4096 * 3);
    leaking.set(bytes);
    // A reference count for a cluster behind the end, which nothing uses.
    const view = new DataView(leaking.buffer);
    const table = Number(view.getBigUint64(48));
    const block = Number(view.getBigUint64(table));
    view.setUint32(block + (bytes.length / 4096) * 4, 1);
    const file = memorySource("d.qcow2", leaking);
    const repair = await planRepair(file, contextOf(), undefined, pool, quiet, signal);
    expect(repair.check?.report.leaks).toBe(1);
    expect(repair).toMatchObject({ format: "qcow2", options: { cluster_size: "4k", refcount_bits: "32" }, losses: [] });
    const request = { format: repair.format, options: repair.options, name: "r.qcow2", salvage: false, verify: true, checkSource: false };
    const ports = {
      pool,
      compute: testCompute(),
      createSink: async (names: readonly string[]) => (sink = memorySink(names)),
    };
    let sink = memorySink([]);
    await runConvert(await planConvert(repair.disk, request, ports, signal), ports, quiet, signal);
    const path = join(folder, "r.qcow2");
    sink.files[0]!.save(path);
    writeFileSync(join(folder, "expected"), diskBytes(DISK));
    expect(qemu!.run(["check", path]).status).toBe(0);
    expect(qemu!.must(["compare", "-F", "raw", path, join(folder, "expected")])).toContain("identical");
    expect(JSON.parse(qemu!.must(["info", "--output=json", path]))).toMatchObject({ "cluster-size": 4096 });
  });

  test.each([
    ["vdi", { static: "on" }],
    ["vpc", { subformat: "fixed" }],
    ["vmdk", { subformat: "streamOptimized" }],
    ["qed", { cluster_size: "4k" }],
    ["parallels", { cluster_size: "64k" }],
  ])("%s %o is written again alike", async (format, options) => {
    const volume = await openImage(memorySource(`d.${format}`, await bytesOf(format, options)), contextOf());
    expect(optionsLike(formatById(format).target!, volume)).toMatchObject(options);
  });

  test("what the copy does not carry is said", async () => {
    const vdi = memorySource("d.vdi.gz", gzip(await bytesOf("vdi")));
    const { losses } = await planRepair(vdi, contextOf(), undefined, pool, quiet, signal);
    expect(losses.map(({ what }) => what)).toEqual(["The wrapping", "The image's id"]);
  });

  test.skipIf(qemu === null)("what cannot be repaired is said", async () => {
    const plan = (name: string, bytes: Uint8Array) => planRepair(memorySource(name, bytes), contextOf(), undefined, pool, quiet, signal);
    const place = join(folder, "d.qcow");
    writeFileSync(join(folder, "in.raw"), diskBytes(DISK));
    qemu!.must(["convert", "-f", "raw", "-O", "qcow", join(folder, "in.raw"), place]);
    await expect(plan("d.qcow", new Uint8Array(readFileSync(place)))).rejects.toMatchObject({ code: "unsupported" });
  });
});
