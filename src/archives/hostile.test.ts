import { deflateRawSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { memorySource } from "../core/bytes.ts";
import { DiskError } from "../core/errors.ts";
import type { ByteSource } from "../core/model.ts";
import { openImage } from "../formats/registry.ts";
import { noise } from "../testing/disks.ts";
import { contextOf, readVolume } from "../testing/image-harness.ts";
import { growthOf, withGrowth } from "./growth.ts";
import { readTar } from "./tar.ts";
import { tarHeader, tarPadding } from "./tar-writer.ts";
import { unpackedSource } from "./unpacked-source.ts";
import { readZip } from "./zip.ts";

const MIB = 1 << 20;
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const join = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

/** A disk with a boot record; its bytes depend on `seed`. */
function bootable(seed: number, size = 64 << 10): Uint8Array {
  const disk = new Uint8Array(size);
  disk.set(noise(4096, seed), 1024);
  disk.set([0x80, 0, 0, 0, 0x83, 0, 0, 0, 8, 0, 0, 0, 16, 0, 0, 0], 446);
  disk.set([0x55, 0xaa], 510);
  return disk;
}

const tarOf = (...files: readonly (readonly [name: string, bytes: Uint8Array])[]): Uint8Array =>
  join(
    ...files.flatMap(([name, bytes]) => [tarHeader(name, bytes.length), bytes, new Uint8Array(tarPadding(bytes.length))]),
    new Uint8Array(1024),
  );

/** A header of another type; its checksum is made right. */
function typedHeader(name: string, size: number, type: string, change: (block: Uint8Array) => void = () => {}): Uint8Array {
  const block = tarHeader(name, size);
  block[156] = type.charCodeAt(0);
  change(block);
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.set(text(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  return block;
}

interface ZipEntry {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly packed?: boolean;
  readonly flags?: number;
  readonly size?: number;
  readonly disk?: number;
}
function zipOf(entries: readonly ZipEntry[], endDisk = 0, stated = entries.length): Uint8Array {
  const compute = contextOf().compute;
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const { name, bytes, packed = false, flags = 0, size = bytes.length, disk = 0 } of entries) {
    const data = packed ? new Uint8Array(deflateRawSync(bytes)) : bytes;
    const common = (view: DataView, from: number) => {
      view.setUint16(from + 2, flags, true);
      view.setUint16(from + 4, packed ? 8 : 0, true);
      view.setUint32(from + 10, compute.crc32(bytes), true);
      view.setUint32(from + 14, data.length, true);
      view.setUint32(from + 18, size, true);
      view.setUint16(from + 22, text(name).length, true);
    };
    const local = new DataView(new ArrayBuffer(30));
    local.setUint32(0, 0x04034b50, true);
    common(local, 4);
    const central = new DataView(new ArrayBuffer(46));
    central.setUint32(0, 0x02014b50, true);
    common(central, 6);
    central.setUint16(34, disk, true);
    central.setUint32(42, at, true);
    parts.push(new Uint8Array(local.buffer), text(name), data);
    directory.push(new Uint8Array(central.buffer), text(name));
    at += 30 + text(name).length + data.length;
  }
  const table = join(...directory);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(4, endDisk, true);
  end.setUint16(6, endDisk, true);
  end.setUint16(8, stated, true);
  end.setUint16(10, stated, true);
  end.setUint32(12, table.length, true);
  end.setUint32(16, at, true);
  return join(...parts, table, new Uint8Array(end.buffer));
}

const openBytes = (name: string, bytes: Uint8Array, member?: string) => openImage(memorySource(name, bytes), { ...contextOf(), member });

describe("unpacked streams", () => {
  /** Fails the reads of a stretch once, and counts what is read. */
  function failingOnce(bytes: Uint8Array, from: number) {
    const source = memorySource("disk.raw.gz", bytes);
    const state = { armed: false };
    const failing: ByteSource = {
      ...source,
      read: async (at, length, signal) => {
        if (state.armed && at >= from) {
          state.armed = false;
          throw new DiskError("io", "the cable came loose");
        }
        return source.read.call(failing, at, length, signal);
      },
    };
    return { failing, state };
  }

  test("after a read that failed half-way the next ones give the right bytes", async () => {
    const disk = noise(40 * MIB + 12_345, 3);
    const { failing, state } = failingOnce(new Uint8Array(gzipSync(disk, { level: 1 })), 9 * MIB);
    const source = await unpackedSource(failing, "gzip", "disk.raw", contextOf());
    for (const start of [9 * MIB + 777, 10 * MIB, 8 * MIB + 5]) {
      state.armed = true;
      await source.read(start, 3 * MIB).catch((error: unknown) => expect(error).toMatchObject({ code: "io" }));
      state.armed = false;
      for (const at of [start, start + MIB, start + 2 * MIB, 0])
        expect(Buffer.from(await source.read(at, 2 * MIB)).equals(disk.subarray(at, at + 2 * MIB)), `${start} ${at}`).toBe(true);
    }
  });

  test("reads all at once, in any order, of any length", async () => {
    const disk = noise(30 * MIB + 1, 4);
    const source = await unpackedSource(memorySource("d.gz", new Uint8Array(gzipSync(disk, { level: 1 }))), "gzip", "d", contextOf());
    const wanted = [
      [disk.length - 1, 1],
      [0, 0],
      [disk.length, 0],
      [5 * MIB - 1, 2],
      [29 * MIB, MIB + 1],
      [0, 3],
      [17 * MIB + 3, 2 * MIB],
      [MIB, 25 * MIB],
    ] as const;
    const parts = await Promise.all(wanted.map(([at, length]) => source.read(at, length)));
    parts.forEach((part, i) => {
      const [at, length] = wanted[i] as readonly [number, number];
      expect(Buffer.from(part).equals(disk.subarray(at, at + length)), `${at}`).toBe(true);
    });
    await expect(source.read(disk.length, 1)).rejects.toMatchObject({ code: "corrupt" });
  });

  test("a read can be given up", async () => {
    const disk = noise(30 * MIB, 4);
    const source = await unpackedSource(memorySource("d.gz", new Uint8Array(gzipSync(disk, { level: 1 }))), "gzip", "d", contextOf());
    const abort = new AbortController();
    const reading = source.read(0, 30 * MIB, abort.signal);
    abort.abort(new Error("enough"));
    await expect(reading).rejects.toThrow("enough");
    expect(Buffer.from(await source.read(4 * MIB + 5, 100)).equals(disk.subarray(4 * MIB + 5, 4 * MIB + 105))).toBe(true);
  });

  test("a member of a zip that states a huge size is followed only when asked for", async () => {
    const bytes = zipOf([{ name: "disk.raw", bytes: bootable(1), packed: true, size: 0xf000_0000 }]);
    await expect(openBytes("a.zip", bytes)).rejects.toMatchObject({ code: "limit", message: expect.stringContaining("--any-size") });
  });
});

describe("members", () => {
  const descriptor = (extent: string): Uint8Array =>
    text(
      `# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 128 FLAT "${extent}" 0\nddb.adapterType = "ide"\n`,
    );

  test("files that an image names are those of its own folder", async () => {
    const [right, wrong] = [bootable(1), bootable(2)];
    for (const order of [0, 1]) {
      const files: [string, Uint8Array][] = [
        ["a/disk.vmdk", descriptor("disk-flat.vmdk")],
        ["a/disk-flat.vmdk", right],
        ["b/disk-flat.vmdk", wrong],
      ];
      if (order === 1) files.reverse();
      const volume = await openBytes("two.tar", tarOf(...files), "a/disk.vmdk");
      expect(Buffer.from(await readVolume(volume)).equals(right)).toBe(true);
    }
  });

  test("files of other folders are no answer", async () => {
    const bytes = tarOf(["disk.vmdk", descriptor("disk-flat.vmdk")], ["a/disk-flat.vmdk", bootable(1)], ["b/disk-flat.vmdk", bootable(2)]);
    await expect(openBytes("two.tar", bytes, "disk.vmdk")).rejects.toMatchObject({ code: "missing-file" });
    const one = tarOf(["disk.vmdk", descriptor("disk-flat.vmdk")], ["a/disk-flat.vmdk", bootable(1)]);
    await expect(openBytes("one.tar", one, "disk.vmdk")).rejects.toMatchObject({ code: "missing-file" });
  });

  test("sums of the files that an image names are compared too", async () => {
    const bytes = zipOf([
      { name: "disk.vmdk", bytes: descriptor("disk-flat.vmdk") },
      { name: "disk-flat.vmdk", bytes: bootable(1) },
    ]);
    const place = Buffer.from(bytes).indexOf(Buffer.from(bootable(1).subarray(1024, 1100)));
    bytes[place] = (bytes[place] as number) ^ 1;
    const volume = await openBytes("parts.zip", bytes, "disk.vmdk");
    await expect(volume.verify!(() => {})).rejects.toMatchObject({ code: "corrupt", message: expect.stringContaining("disk-flat.vmdk") });
  });

  test("a name that no archive holds is never passed over", async () => {
    const one = tarOf(["disk.raw", bootable(1)]);
    await expect(openBytes("one.tar", one, "other.raw")).rejects.toMatchObject({ code: "choice", choices: ["disk.raw"] });
    await expect(openBytes("one.tar.gz", new Uint8Array(gzipSync(one)), "other.raw")).rejects.toMatchObject({ code: "choice" });
    await expect(openBytes("one.zip", zipOf([{ name: "one.tar", bytes: one }]), "other.raw")).rejects.toMatchObject({ code: "choice" });
    await expect(openBytes("one.zip", zipOf([{ name: "one.tar", bytes: one }]), "disk.raw")).resolves.toMatchObject({
      wrapping: ["zip", "tar"],
    });
  });

  test("a name that is in both archives means the outer one first", async () => {
    const inner = tarOf(["disk.raw", bootable(1)], ["other.raw", bootable(2)]);
    const outer = tarOf(["disk.raw", inner]);
    await expect(openBytes("o.tar", outer, "disk.raw")).rejects.toMatchObject({ code: "choice", choices: ["disk.raw", "other.raw"] });
  });

  test("a disk behind many small files is found, and a member that cannot be looked into is not passed over", async () => {
    const many = Array.from({ length: 600 }, (_, i): [string, Uint8Array] => [`notes/${i}.txt`, text("x")]);
    const volume = await openBytes("many.tar", tarOf(...many, ["disk", bootable(5)]));
    expect(volume.files[0]?.name).toBe("disk");
    const two = zipOf([
      { name: "a.qcow2", bytes: bootable(1), flags: 1 },
      { name: "b.raw", bytes: bootable(2) },
    ]);
    await expect(openBytes("two.zip", two)).rejects.toMatchObject({ code: "choice", choices: ["a.qcow2", "b.raw"] });
  });
});

describe("tar", () => {
  test("an archive that ends inside a header is truncated", async () => {
    const whole = tarOf(["disk.raw", bootable(1)], ["more.raw", bootable(2)]);
    const cut = whole.subarray(0, 512 + (64 << 10) + 300);
    await expect(openBytes("cut.tar", cut)).rejects.toMatchObject({ code: "corrupt", message: expect.stringContaining("header") });
  });

  test("a size from a pax header belongs to the file, not to a name record before it", async () => {
    const record = text("18 size=00000065536\n".replace("18", "20"));
    const disk = bootable(1);
    const bytes = join(
      typedHeader("pax", record.length, "x"),
      record,
      new Uint8Array(tarPadding(record.length)),
      typedHeader("././@LongLink", 9, "L"),
      text("disk.raw\0"),
      new Uint8Array(tarPadding(9)),
      tarHeader("short", disk.length),
      disk,
      new Uint8Array(1024),
    );
    const volume = await openBytes("a.tar", bytes);
    expect(volume.files[0]?.name).toBe("disk.raw");
    expect(Buffer.from(await readVolume(volume)).equals(disk)).toBe(true);
  });

  test("folders and links have no data, whatever size they state", async () => {
    const disk = bootable(1);
    const folder = typedHeader("folder", 4096, "5");
    const link = typedHeader("link", 100, "2");
    const volume = await openBytes("a.tar", join(folder, link, tarOf(["disk.raw", disk])));
    expect(Buffer.from(await readVolume(volume)).equals(disk)).toBe(true);
  });

  test.each([
    ["descending", "2,512,0,512"],
    ["overlapping", "0,1024,512,1024"],
    ["past the size", "65536,1"],
    ["odd", "0,512,1024"],
    ["not numbers", "0,x"],
  ])("a sparse map that is %s is refused", async (_, map) => {
    const body = `GNU.sparse.size=65536\nGNU.sparse.map=${map}\n`;
    const records = body
      .trim()
      .split("\n")
      .map((line) => {
        const length = ` ${line}\n`.length;
        return `${length + String(length + 2).length} ${line}\n`;
      })
      .join("");
    const bytes = join(
      typedHeader("pax", text(records).length, "x"),
      text(records),
      new Uint8Array(tarPadding(text(records).length)),
      tarHeader("disk.raw", 1024),
      new Uint8Array(1024 + 1024),
    );
    await expect(openBytes("a.tar", bytes)).rejects.toMatchObject({ code: "corrupt" });
  });

  test("a sparse map of millions of entries is refused before it fills the memory", async () => {
    const blocks = 26_000;
    const extension = new Uint8Array(512);
    const bytes = new Uint8Array((blocks + 2) * 512);
    const header = typedHeader("disk.raw", 21 * blocks, "S", (block) => {
      block[482] = 1;
      block.set(text("77777777777"), 483);
    });
    bytes.set(header);
    for (let i = 0, at = 0; i < blocks; i++) {
      for (let e = 0; e < 21; e++, at += 2) {
        extension.set(text(at.toString(8).padStart(11, "0")), e * 24);
        extension.set(text("00000000001"), e * 24 + 12);
      }
      extension[504] = 1;
      bytes.set(extension, (i + 1) * 512);
    }
    await expect(readTar(memorySource("a.tar", bytes))).rejects.toMatchObject({ code: "limit" });
  });
});

describe("zip", () => {
  test("more entries than a person packs are refused before they fill the memory", async () => {
    const bytes = new Uint8Array(zipOf([{ name: "disk.raw", bytes: bootable(1) }]));
    const end = bytes.length - 22;
    const large = new Uint8Array(47 * 300_000 + end + 98);
    large.set(bytes.subarray(0, end));
    const entry = bytes.subarray(end - 54, end - 54 + 46);
    for (let i = 0; i < 300_000; i++) {
      large.set(entry, end + i * 47);
      new DataView(large.buffer).setUint16(end + i * 47 + 28, 1, true);
    }
    const at = end + 47 * 300_000;
    const view = new DataView(large.buffer);
    view.setUint32(at, 0x06064b50, true);
    view.setBigUint64(at + 32, 300_000n, true);
    view.setBigUint64(at + 40, BigInt(47 * 300_000), true);
    view.setBigUint64(at + 48, BigInt(end), true);
    view.setUint32(at + 56, 0x07064b50, true);
    view.setBigUint64(at + 64, BigInt(at), true);
    view.setUint32(at + 76, 0x06054b50, true);
    view.setUint16(at + 86, 0xffff, true);
    view.setUint32(at + 88, 0xffff_ffff, true);
    view.setUint32(at + 92, 0xffff_ffff, true);
    await expect(readZip(memorySource("many.zip", large), contextOf())).rejects.toMatchObject({ code: "limit" });
  });

  test("a part of a split archive is named for what it is", async () => {
    const last = zipOf([{ name: "disk.raw", bytes: bootable(1) }], 1);
    await expect(openBytes("a.zip", last)).rejects.toMatchObject({ code: "unsupported", message: expect.stringContaining("parts") });
    const elsewhere = zipOf([{ name: "disk.raw", bytes: bootable(1), disk: 3 }]);
    await expect(openBytes("a.zip", elsewhere)).rejects.toMatchObject({ code: "unsupported" });
  });

  test("names without the UTF-8 mark that are UTF-8 all the same are read so; a sum that fails names the archive", async () => {
    const bytes = zipOf([
      { name: "größe/диск.raw", bytes: bootable(1) },
      { name: "b.raw", bytes: bootable(2) },
    ]);
    const volume = await openBytes("a.zip", bytes, "größe/диск.raw");
    expect(volume.files[0]?.name).toBe("диск.raw");
    const place = Buffer.from(bytes).indexOf(Buffer.from(bootable(1).subarray(1024, 1100)));
    bytes[place] = (bytes[place] as number) ^ 1;
    const damaged = await openBytes("a.zip", bytes, "größe/диск.raw");
    await expect(damaged.verify!(() => {})).rejects.toMatchObject({ message: expect.stringContaining("a.zip") });
  });
});

test("a stream in a stream is followed as far as the size of the outermost file bears", async () => {
  const zeros = new Uint8Array(new ArrayBuffer(16));
  const packed = withGrowth(memorySource("inner.gz", new Uint8Array(gzipSync(zeros))), 1000);
  const huge = { size: 3 * 2 ** 30, crc32: 0 };
  await expect(unpackedSource(packed, "gzip", "inner", contextOf(), huge)).rejects.toMatchObject({ code: "limit" });
  const outer = await unpackedSource(memorySource("a.gz", new Uint8Array(gzipSync(new Uint8Array(4 * MIB)))), "gzip", "a", contextOf());
  expect(growthOf(outer)).toBeGreaterThan(900);
  const member = (await readTar(withGrowth(memorySource("a.tar", tarOf(["x", zeros])), 7)))[0];
  expect(growthOf((await member!.open()).source)).toBe(7);
});
