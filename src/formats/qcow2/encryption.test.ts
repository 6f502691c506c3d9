import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import type { DiskFormat, FormatContext } from "../../core/model.ts";
import { rowsOf } from "../../testing/corpus-images.ts";
import { noise, same } from "../../testing/disks.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { sha256 } from "../../testing/hashes.ts";
import { contextOf, readVolume } from "../../testing/image-harness.ts";
import { generatedFolder, type Judge, judge } from "../../testing/judges.ts";
import { qcow2 } from "./index.ts";

const qemuImg = judge("qemu-img") as Judge;
const qemuIo = judge("qemu-io") as Judge;
const check = qcow2.check as NonNullable<DiskFormat["check"]>;
const folder = mkdtempSync(join(tmpdir(), "spindle-qcow2-encryption-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);

const SIZE = (3 << 20) + 512;
const source = (() => {
  const bytes = new Uint8Array(SIZE);
  bytes.set(noise(300_000, 1), 70_000);
  bytes.fill(0x77, 2 << 20, (2 << 20) + 500_000);
  bytes.set(noise(512, 2), SIZE - 512);
  return bytes;
})();
writeFileSync(at("source.raw"), source);

const SECRET = ["--object", "secret,id=s,data=geheim"];
const contextFor = (passphrase?: string, snapshot?: string): FormatContext => ({
  ...contextOf(),
  passphrase,
  snapshot,
  resolve: async ({ role, name }) => (role === "data-file" ? openFileSource(at(basename(name))) : null),
});
const open = (name: string, passphrase?: string, snapshot?: string) =>
  qcow2.open(openFileSource(at(name)), contextFor(passphrase, snapshot));

const made = new Map<string, string>();
/** `luks,cipher-alg=…` and options of the format itself. */
function make(name: string, encrypt: string, ...more: string[]): void {
  const like = made.get([encrypt, ...more].join());
  if (like !== undefined) {
    copyFileSync(at(like), at(name));
    return;
  }
  made.set([encrypt, ...more].join(), `${name}.first`);
  const [format, ...options] = encrypt.split(",");
  const words = [`encrypt.format=${format}`, "encrypt.key-secret=s", ...options.map((option) => `encrypt.${option}`), ...more];
  if (format === "luks") words.push("encrypt.iter-time=10");
  const args = ["convert", ...SECRET, "-f", "raw", "-O", "qcow2", "-o", words.join(), at("source.raw"), at(`${name}.first`)];
  qemuImg.must(args);
  copyFileSync(at(`${name}.first`), at(name));
}
/** Writes into the image as a guest would. */
const write = (name: string, format: string, ...commands: string[]) =>
  qemuIo.must([
    ...SECRET,
    "--image-opts",
    `driver=qcow2,encrypt.format=${format},encrypt.key-secret=s,file.driver=file,file.filename=${at(name)}`,
    ...commands.flatMap((command) => ["-c", command]),
  ]);

const IMAGES: readonly (readonly [name: string, encrypt: string, more: readonly string[]])[] = [
  ["aes", "aes", []],
  ["aes in version 2, small clusters", "aes", ["compat=0.10", "cluster_size=512"]],
  ["luks", "luks", []],
  ["luks in version 2, small clusters", "luks", ["compat=0.10", "cluster_size=4k"]],
  ["luks with subclusters", "luks", ["extended_l2=on"]],
  ["luks aes-128-xts sha512", "luks,cipher-alg=aes-128,hash-alg=sha512", []],
  ["luks cbc essiv sha1", "luks,cipher-alg=aes-256,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256,hash-alg=sha1", []],
  ["luks cbc plain", "luks,cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=plain", []],
];

describe.skipIf(qemuImg === null || qemuIo === null)("encrypted images that qemu-img makes", () => {
  test.each(IMAGES)("%s", async (name, encrypt, more) => {
    make(name, encrypt, ...more);
    const locked = await open(name);
    expect([locked.encrypted, locked.locked, locked.unsupported, locked.size]).toEqual([true, true, [], SIZE]);
    await expect(locked.extents(0, 512)).rejects.toMatchObject({ code: "passphrase", file: name });
    const info = JSON.parse(qemuImg.must(["info", "--output=json", at(name)])) as { "format-specific": { data: object } };
    expect(locked.details).toMatchObject(info["format-specific"].data);
    const volume = await open(name, "geheim");
    expect([volume.encrypted, volume.locked, volume.notes]).toEqual([true, false, []]);
    expect(same(await readVolume(volume), source)).toBe(true);
    expect(same(await readVolume(volume, 100_001, 777), source.subarray(100_001, 100_778))).toBe(true);
    // Block workers are sent neighbouring extents in one piece, with what lies between.
    if (encrypt === "aes") expect(same((await volume.files[1]?.read(0, SIZE)) as Uint8Array, source)).toBe(true);
    const report = await check(openFileSource(at(name)), contextFor());
    expect([report.corruptions, report.leaks]).toEqual([0, 0]);
  });

  test("a wrong passphrase: LUKS refuses it, AES cannot and says so", async () => {
    make("wrong.luks", "luks");
    await expect(open("wrong.luks", "Geheim")).rejects.toMatchObject({ code: "passphrase", file: "wrong.luks" });
    make("wrong.aes", "aes");
    expect((await open("wrong.aes", "Geheim")).notes).toMatchObject([{ severity: "warning" }]);
  });

  test.each(["aes", "luks"])("%s: compressed clusters are not encrypted, zero ones stay zero", async (format) => {
    const name = `mixed.${format}`;
    make(name, format);
    write(name, format, "write -c -P 0x43 1M 64k", "write -z 2M 64k", "write -P 0x44 1200k 100k");
    const expected = source.slice();
    expected.fill(0x43, 1 << 20, (1 << 20) + 65536);
    expected.fill(0, 2 << 20, (2 << 20) + 65536);
    expected.fill(0x44, 1200 << 10, 1300 << 10);
    const volume = await open(name, "geheim");
    expect((await volume.extents(1 << 20, 65536)).map(({ kind }) => kind)).toEqual(["packed"]);
    expect(same(await readVolume(volume), expected)).toBe(true);
  });

  test.each(["aes", "luks"])("%s: internal snapshots", async (format) => {
    const name = `snapshot.${format}`;
    make(name, format);
    const image = `driver=qcow2,encrypt.format=${format},encrypt.key-secret=s,file.driver=file,file.filename=${at(name)}`;
    qemuImg.must(["snapshot", ...SECRET, "--image-opts", "-c", "before", image]);
    write(name, format, "write -P 0x55 0 1M");
    const expected = source.slice();
    expected.fill(0x55, 0, 1 << 20);
    expect(same(await readVolume(await open(name, "geheim")), expected)).toBe(true);
    expect(same(await readVolume(await open(name, "geheim", "before")), source)).toBe(true);
  });

  test("LUKS with its clusters in an external data file", async () => {
    make("outside", "luks", `data_file=${at("outside.data")}`);
    const volume = await open("outside", "geheim");
    expect(volume.files.map(({ name }) => name)).toEqual(["outside", "outside.data", "outside.data"]);
    expect(same(await readVolume(volume), source)).toBe(true);
  });

  test("damage to the LUKS header's place is refused", async () => {
    make("place", "luks");
    const whole = new Uint8Array(readFileSync(at("place")));
    const extension = Buffer.from(whole).indexOf(Buffer.from([0x05, 0x37, 0xbe, 0x77])) + 8;
    const refused = async (offset: bigint, length: bigint, text: RegExp) => {
      const bytes = whole.slice();
      new DataView(bytes.buffer).setBigUint64(extension, offset);
      new DataView(bytes.buffer).setBigUint64(extension + 8, length);
      const opened = qcow2.open(memorySource("place", bytes), contextFor("geheim"));
      await expect(opened).rejects.toMatchObject({ code: "corrupt", message: expect.stringMatching(text) });
    };
    await refused(0n, 4096n, /offset is 0x0/);
    await refused(0x10001n, 4096n, /multiple of the cluster size/);
    await refused(0xffffffffffff0000n, 4096n, /past the end/);
    await refused(0x10000n, 0xffffffffffffffffn, /past the end/);
    await refused(0x10000n, 100n, /truncated/);
    await refused(0x20000n, 4096n, /magic|lies over/);
  });
});

const small = generatedFolder("small");
if (small !== null) {
  test.each(rowsOf(small, qcow2.id).filter(({ secret }) => secret !== "-"))(
    "small corpus: $name",
    async ({ name = "", secret, raw_sha256 }) => {
      using file = openFileSource(join(small, name));
      expect(sha256(await readVolume(await qcow2.open(file, contextFor(secret))))).toBe(raw_sha256);
    },
  );
}
