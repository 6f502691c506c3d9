import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { HEADER, KEY_SLOT } from "../../ciphers/luks1.ts";
import { memorySource } from "../../core/bytes.ts";
import { DiskError } from "../../core/errors.ts";
import type { KeyHash, SectorCipherName } from "../../core/ports.ts";
import { rowsOf } from "../../testing/corpus-images.ts";
import { noise, same } from "../../testing/disks.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { sha256 } from "../../testing/hashes.ts";
import { contextOf, readVolume } from "../../testing/image-harness.ts";
import { corpusFolder, generatedFolder, type Judge, judge } from "../../testing/judges.ts";
import { encryptSectors, luksImage } from "../../testing/luks-image.ts";
import { openImage } from "../registry.ts";
import { luks, luks2 } from "./index.ts";

const open = (bytes: Uint8Array, passphrase?: string) => openImage(memorySource("disk.luks", bytes), { ...contextOf(), passphrase });
const folder = mkdtempSync(join(tmpdir(), "spindle-luks-"));
afterAll(() => rmSync(folder, { recursive: true }));

const plain = new Uint8Array(64 << 10);
plain.set(noise(20_000, 5), 100);
plain.set(noise(512, 6), plain.length - 512);
const SPEC = { cipher: "xts-plain64", hash: "sha256", keyBytes: 64, passphrases: ["first", "zwölf"], stripes: 8 } as const;
const image = luksImage(SPEC, plain);

describe("images that OpenSSL encrypts", () => {
  const variants: readonly (readonly [SectorCipherName, number, KeyHash])[] = [
    ["xts-plain64", 64, "sha512"],
    ["xts-plain64", 32, "sha1"],
    ["xts-plain", 64, "sha256"],
    ["xts-essiv:sha256", 64, "sha256"],
    ["cbc-essiv:sha256", 16, "sha1"],
    ["cbc-essiv:sha256", 32, "sha256"],
    ["cbc-plain64", 24, "sha256"],
    ["cbc-plain", 32, "sha1"],
  ];
  test.each(variants)("aes-%s with %i bytes of key and %s", async (cipher, keyBytes, hash) => {
    const volume = await open(luksImage({ ...SPEC, cipher, keyBytes, hash }, plain), "zwölf");
    expect([volume.variant, volume.size, volume.locked, volume.notes]).toEqual([`aes-${cipher}`, plain.length, false, []]);
    expect(same(await readVolume(volume), plain)).toBe(true);
    expect(same(await readVolume(volume, 777, 5000), plain.subarray(777, 5777))).toBe(true);
  });

  test("without a passphrase the facts are told, and no data", async () => {
    const volume = await open(image);
    expect([volume.format, volume.size, volume.encrypted, volume.locked]).toEqual(["luks", plain.length, true, true]);
    expect(volume.details).toMatchObject({ "cipher-alg": "aes-256", uuid: "11111111-2222-3333-4444-555555555555", "hash-alg": "sha256" });
    await expect(volume.extents(0, 512)).rejects.toMatchObject({ code: "passphrase", file: "disk.luks" });
  });

  test.each(["", "First", "first\n"])("a wrong passphrase is refused: “%s”", async (passphrase) => {
    await expect(open(image, passphrase)).rejects.toMatchObject({ code: "passphrase", message: expect.stringContaining("2 key slots") });
  });

  test("a file that ends inside a sector is read up to it, which is told", async () => {
    const volume = await open(image.slice(0, -100), "first");
    expect([volume.size, volume.notes.length]).toEqual([plain.length - 512, 1]);
    expect(same(await readVolume(volume), plain.subarray(0, -512))).toBe(true);
  });
});

const slotAt = (slot: number, field: "active" | "iterations" | "key-material-offset" | "stripes") =>
  HEADER.bytes + slot * KEY_SLOT.bytes + KEY_SLOT.offsetOf(field);
const edited = (edit: (view: DataView, bytes: Uint8Array) => void) => {
  const bytes = image.slice();
  edit(new DataView(bytes.buffer), bytes);
  return bytes;
};
const text = (field: "cipher-name" | "cipher-mode" | "hash-spec", words: string) =>
  edited((_, bytes) => bytes.fill(0, HEADER.offsetOf(field), HEADER.offsetOf(field) + 32).set(Buffer.from(words), HEADER.offsetOf(field)));
const number = (field: "payload-offset" | "key-bytes" | "mk-digest-iter", value: number) =>
  edited((view) => view.setUint32(HEADER.offsetOf(field), value));

describe("a damaged or strange header", () => {
  const refused: readonly (readonly [string, string, Uint8Array])[] = [
    ["version is 3", "unsupported", edited((view) => view.setUint16(6, 3))],
    ["payload-offset is 0", "unsupported", number("payload-offset", 0)],
    ["payload-offset is 1", "corrupt", number("payload-offset", 1)],
    ["key slot 0", "corrupt", number("payload-offset", 8)],
    ["past the end of the file", "corrupt", number("payload-offset", 0xffffffff)],
    ["key-bytes is 63", "corrupt", number("key-bytes", 63)],
    ["key-bytes is 4294967295", "corrupt", number("key-bytes", 0xffffffff)],
    ["mk-digest-iter is 0", "corrupt", number("mk-digest-iter", 0)],
    ["mk-digest-iter is 4294967295", "limit", number("mk-digest-iter", 0xffffffff)],
    ["truncated", "corrupt", image.slice(0, 500)],
  ];
  test.each(refused)("%s: %s", async (words, code, bytes) => {
    const opened = open(bytes);
    await expect(opened).rejects.toMatchObject({ code, file: "disk.luks", message: expect.stringContaining(words) });
  });

  const named: readonly (readonly [string, Uint8Array])[] = [
    ["the cipher serpent-xts-plain64", text("cipher-name", "serpent")],
    ["the cipher aes-ecb", text("cipher-mode", "ecb")],
    ["the cipher aes-lrw-benbi", text("cipher-mode", "lrw-benbi")],
    ["the cipher aes-cbc-essiv:sha1", text("cipher-mode", "cbc-essiv:sha1")],
    ["the hash whirlpool", text("hash-spec", "whirlpool")],
  ];
  test.each(named)("%s is named and not read, whatever the passphrase", async (feature, bytes) => {
    for (const passphrase of [undefined, "first"]) {
      const volume = await open(bytes, passphrase);
      expect([volume.unsupported, volume.locked]).toEqual([[feature], false]);
      await expect(volume.extents(0, 512)).rejects.toMatchObject({ code: "unsupported", message: expect.stringContaining(feature) });
    }
  });

  const slots: readonly (readonly ["active" | "iterations" | "key-material-offset" | "stripes", number])[] = [
    ["active", 0xac71f2],
    ["iterations", 0],
    ["iterations", 0xffffffff],
    ["key-material-offset", 1],
    ["key-material-offset", 0xffffffff],
    ["stripes", 0],
    ["stripes", 0xffffffff],
  ];
  test.each(slots)("key slot with %s %i: the other one still opens it", async (field, value) => {
    const bytes = edited((view) => view.setUint32(slotAt(0, field), value));
    const volume = await open(bytes, "zwölf");
    expect(same(await readVolume(volume), plain)).toBe(true);
    expect(volume.notes).toMatchObject([{ severity: "warning", text: expect.stringContaining(`${field} of key slot 0`) }]);
    await expect(open(bytes, "first")).rejects.toMatchObject({
      code: "passphrase",
      message: expect.stringContaining("damaged and cannot be tried: 1"),
    });
    const both = bytes.slice();
    new DataView(both.buffer).setUint32(slotAt(1, field), value);
    const code = field === "iterations" && value > 0 ? "limit" : "corrupt";
    await expect(open(both, "first")).rejects.toMatchObject({ code, message: expect.stringContaining(field) });
  });

  test("no key slot in use", async () => {
    const bytes = edited((view) => [0, 1].map((slot) => view.setUint32(slotAt(slot, "active"), 0xdead)));
    await expect(open(bytes, "first")).rejects.toMatchObject({ code: "corrupt" });
  });

  test("slots that together take too long are not tried for ever", async () => {
    const bytes = edited((view) => [0, 1].map((slot) => view.setUint32(slotAt(slot, "iterations"), 2 ** 25)));
    view(bytes).setUint32(HEADER.offsetOf("mk-digest-iter"), 2 ** 25);
    const compute = { ...contextOf().compute, deriveKey: async ({ length }: { length: number }) => new Uint8Array(length) };
    const opened = luks.open(memorySource("slow.luks", bytes), { ...contextOf(), compute, passphrase: "first" });
    await expect(opened).rejects.toMatchObject({ code: "limit" });
  });

  test("a payload that begins elsewhere is noise, which is told", async () => {
    const at = view(image).getUint32(HEADER.offsetOf("payload-offset"));
    const volume = await open(number("payload-offset", at + 8), "first");
    expect(volume.notes).toMatchObject([{ severity: "warning", text: expect.stringContaining("payload-offset") }]);
  });

  test("any bytes changed: an error about the file, or the disk", async () => {
    const edits = fc.array(fc.tuple(fc.nat({ max: 591 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 3 });
    const { compute } = contextOf();
    const patient = 1000;
    const deriveKey: typeof compute.deriveKey = async (derivation) =>
      derivation.iterations > patient ? new Uint8Array(derivation.length) : compute.deriveKey(derivation);
    const context = { ...contextOf(), compute: { ...compute, deriveKey }, passphrase: "first" };
    const check = async (changes: readonly (readonly [number, number])[]) => {
      const bytes = image.slice();
      for (const [at, value] of changes) bytes[at] = value;
      const result = await luks.open(memorySource("disk.luks", bytes), context).then(
        async (volume) => (volume.unsupported.length > 0 || volume.notes.length > 0 ? null : readVolume(volume)),
        (reason: unknown) => reason,
      );
      if (result instanceof Uint8Array) expect(same(result, plain)).toBe(true);
      else if (result !== null) expect(result).toBeInstanceOf(DiskError);
    };
    await fc.assert(fc.asyncProperty(edits, check), { numRuns: 100 });
  });

  test("LUKS2 is named and refused", async () => {
    const bytes = new Uint8Array(1 << 16);
    bytes.set(image.subarray(0, 6));
    bytes[7] = 2;
    bytes.set(Buffer.from("backup"), 24);
    const words = { code: "unsupported", message: expect.stringMatching(/LUKS2.*“backup”/) };
    await expect(open(bytes, "first")).rejects.toMatchObject(words);
    await expect(luks2.open(memorySource("short", bytes.slice(0, 20)), contextOf())).rejects.toMatchObject({ code: "unsupported" });
  });
});

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset);

const cryptsetup = judge("cryptsetup");
describe.skipIf(cryptsetup === null)("headers of cryptsetup", () => {
  const run = (args: readonly string[]) => (cryptsetup as Judge).must(args, { cwd: folder });
  test.each([
    ["aes-xts-plain64", "512", "sha256"],
    ["aes-xts-plain64", "256", "sha512"],
    ["aes-cbc-essiv:sha256", "256", "sha1"],
    ["aes-cbc-plain", "128", "sha256"],
  ])("%s with %s bits and %s: the same master key", async (cipher, bits, hash) => {
    const [file, key] = [join(folder, "c.luks"), join(folder, "key")];
    writeFileSync(file, "");
    truncateSync(file, 4 << 20);
    writeFileSync(key, "geheim");
    const format = ["luksFormat", "--type", "luks1", "-q", "--pbkdf-force-iterations", "1000", "--cipher", cipher];
    run([...format, "--key-size", bits, "--hash", hash, file, key]);
    const dump = run(["luksDump", "-q", "--dump-master-key", "--key-file", key, file]);
    const master = Uint8Array.from(Buffer.from(dump.slice(dump.indexOf("MK dump:") + 8).replaceAll(/\s/g, ""), "hex"));
    const bytes = new Uint8Array(readFileSync(file));
    const payloadAt = view(bytes).getUint32(HEADER.offsetOf("payload-offset")) * 512;
    bytes.set(encryptSectors(cipher.slice(4) as SectorCipherName, master, plain, 0), payloadAt);
    const volume = await open(bytes, "geheim");
    expect([volume.size, volume.locked]).toEqual([bytes.length - payloadAt, false]);
    expect(same(await readVolume(volume, 0, plain.length), plain)).toBe(true);
  });
});

const qemuImg = judge("qemu-img");
test.skipIf(qemuImg === null)("qemu-img shows the same facts", async () => {
  const path = join(folder, "facts.luks");
  const options = "key-secret=s,iter-time=10,cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256";
  const words = ["create", "-q", "--object", "secret,id=s,data=geheim", "-f", "luks", "-o", options, path, "1M"];
  (qemuImg as Judge).must(words);
  const info = JSON.parse((qemuImg as Judge).must(["info", "--output=json", path])) as { "format-specific": { data: object } };
  using file = openFileSource(path);
  expect((await luks.open(file, contextOf())).details).toEqual(info["format-specific"].data);
});

const small = generatedFolder("small");
if (small !== null) {
  test.each(rowsOf(small, luks.id))("small corpus: $name", async ({ name = "", secret, raw_sha256, variant = "" }) => {
    using file = openFileSource(join(small, name));
    const volume = await luks.open(file, { ...contextOf(), passphrase: secret });
    if (variant.includes("serpent")) expect(volume.unsupported).toEqual(["the cipher serpent-xts-plain64"]);
    else expect(sha256(await readVolume(volume))).toBe(raw_sha256);
  });
}

const corpus = corpusFolder();
const xz = judge("xz");
if (corpus !== null)
  describe.skipIf(xz === null)("real files", () => {
    const unpacked = (name: string) => new Uint8Array(xz!.bytes(["-dc", join(corpus, "files", name)]));
    test("cryptsetup 1.0's image opens", async () => {
      const bytes = unpacked("cryptsetup/compatv10image.img.xz");
      const volume = await open(bytes, "compatkey");
      expect([volume.variant, volume.locked]).toEqual(["aes-cbc-plain", false]);
      await expect(open(bytes, "compatkeY")).rejects.toMatchObject({ code: "passphrase" });
    });

    test.each([
      ["cryptsetup/luks2_keyslot_unassigned.img.xz", "unsupported"],
      ["cryptsetup/luks2_valid_hdr.img.xz", "unsupported"],
      ["blkid/luks2.img.xz", "unsupported"],
      ["blkid/luks1.img.xz", "corrupt"],
      ["cryptsetup/evil_hdr-small_luks_device.xz", "corrupt"],
    ])("%s is refused: %s", async (name, code) => {
      await expect(open(unpacked(name), "x")).rejects.toMatchObject({ code });
    });

    test("ciphers and hashes of cryptsetup's images are named", () => {
      const listed = spawnSync("tar", ["-xJf", join(corpus, "files/cryptsetup/luks1-images.tar.xz"), "-C", folder]);
      expect(listed.status).toBe(0);
    });
    test.each([
      ["aes-lrw-plain64-sha1", ["the cipher aes-lrw-plain64"]],
      ["aes-xts-essiv-wp256-whirlpool", ["the cipher aes-xts-essiv:wp256", "the hash whirlpool"]],
      ["twofish-xts-plain64-sha256", ["the cipher twofish-xts-plain64"]],
      ["aes-xts-plain64-sha256", []],
    ])("%s", async (name, unsupported) => {
      using file = openFileSource(join(folder, "luks1-images", `luks1_${name}.img`));
      expect((await luks.open(file, contextOf())).unsupported).toEqual(unsupported);
    });
  });
