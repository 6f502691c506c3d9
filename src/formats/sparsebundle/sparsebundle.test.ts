import { expect, test } from "vitest";
import { memorySource } from "../../core/bytes.ts";
import type { ByteSource } from "../../core/model.ts";
import { failure } from "../../testing/failure.ts";
import { checked, contextOf, readVolume } from "../../testing/image-harness.ts";
import { detect } from "../registry.ts";
import { sparsebundle } from "./index.ts";

const BAND = 8192;
const info = (size: number | string, bandSize: number | string, more = "") => `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>CFBundleInfoDictionaryVersion</key>
	<string>6.0</string>
	<key>band-size</key>
	<integer>${bandSize}</integer>
	<!-- a remark -->
	<key>bundle-backingstore-version</key>
	<integer>1</integer>
	<key>diskimage-bundle-type</key>
	<string>com.apple.diskimage.sparsebundle</string>
	<key>size</key>
	<integer>${size}</integer>${more}
</dict>
</plist>
`;
const source = (name: string, bytes: Uint8Array | string): ByteSource =>
  memorySource(name, typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
const band = (number: number, length = BAND) => source(`bands/${number.toString(16)}`, new Uint8Array(length).fill(number + 1));
const open = (text: string, files: readonly ByteSource[]) => sparsebundle.open(source("Info.plist", text), contextOf(files));

test("bands, a short one, and one without a file, which is told", async () => {
  const bytes = new TextEncoder().encode(info(17 * BAND - 512, BAND));
  expect(detect(bytes, bytes).id).toBe("sparsebundle");
  const files = [source("token", ""), ...[0, 1, 2, 10, 15].map((number) => band(number)), band(16, 1024)];
  const volume = checked(await open(info(17 * BAND - 512, BAND), files));
  expect(volume).toMatchObject({ size: 17 * BAND - 512, unit: BAND, details: { bands: 17, "bands-present": 6 } });
  expect(volume.notes).toMatchObject([
    { severity: "warning", text: expect.stringMatching(/^11 of 17 bands .*\(3, 4, 5, 6, 7, 8, 9, b, …\)/) },
  ]);
  const disk = await readVolume(volume);
  const expected = new Uint8Array(17 * BAND - 512);
  for (const number of [0, 1, 2, 10, 15]) expected.fill(number + 1, number * BAND, (number + 1) * BAND);
  expected.fill(17, 16 * BAND, 16 * BAND + 1024);
  expect(Buffer.compare(disk, expected)).toBe(0);
  expect((await volume.extents(3 * BAND, 8 * BAND)).map(({ kind, length }) => [kind, length / BAND])).toEqual([
    ["hole", 7],
    ["raw", 1],
  ]);
});

test("without any band there is no disk; without the token it is not known whether it is encrypted", async () => {
  await expect(open(info(BAND, BAND), [])).rejects.toMatchObject({ code: "missing-file", needs: "bands/0" });
  const volume = await open(info(BAND, BAND), [band(0)]);
  expect(volume.notes).toMatchObject([{ severity: "info", text: expect.stringContaining("token") }]);
  const files = [band(0), source("token", `encrcdsa${"\0".repeat(100)}`)];
  await expect(open(info(BAND, BAND), files)).rejects.toMatchObject({ code: "unsupported", file: "token" });
});

test("a band that ends within a sector, and one that is too long", async () => {
  const volume = checked(await open(info(2 * BAND, BAND), [source("token", ""), band(0, 1000), band(1, BAND + 512)]));
  expect(volume.notes).toMatchObject([{ severity: "warning", text: expect.stringContaining("longer") }]);
  expect(await readVolume(volume, 0, 512)).toEqual(new Uint8Array(512).fill(1));
  const behind = { start: 512, length: BAND - 512 };
  await expect(volume.extents(512, BAND)).rejects.toMatchObject({ code: "corrupt", file: "bands/0", guest: behind });
  expect(await readVolume(volume, BAND, BAND)).toEqual(new Uint8Array(BAND).fill(2));
});

test("any range, not of whole sectors either", async () => {
  const volume = checked(await open(info(2 * BAND, BAND), [source("token", ""), band(0), band(1, 1024)]));
  const disk = await readVolume(volume);
  for (const [at, length] of [
    [0, 1000],
    [1, 1],
    [700, BAND],
    [BAND + 1000, 100],
  ] as const)
    expect(await readVolume(volume, at, length)).toEqual(disk.slice(at, at + length));
});

test.each<[string, string, string]>([
  [info(0, BAND), "corrupt", "size"],
  [info("x", BAND), "corrupt", "size"],
  [info("99999999999999999999", BAND), "corrupt", "size"],
  [info(1000, BAND), "corrupt", "size"],
  [info(BAND, 0), "corrupt", "band-size"],
  [info(2 ** 50, 512), "limit", "bands"],
  [info(BAND, BAND, "<key>size</key><integer>1</integer>"), "corrupt", "twice"],
  [info(BAND, BAND, "<key>x</key><array/>"), "corrupt", "something other"],
  [info(BAND, BAND).replace("<integer>1<", "<integer>2<"), "unsupported", "backingstore"],
  [info(BAND, BAND).replace("com.apple.diskimage.sparsebundle", "x"), "corrupt", "diskimage-bundle-type"],
  ["<plist>", "corrupt", "dictionary"],
  ["x".repeat(70_000), "corrupt", "bytes"],
])("%#: refused by name", async (text, code, word) => {
  const error = await failure(open(text, [band(0)]));
  expect(error).toMatchObject({ code, file: "Info.plist", message: expect.stringContaining(word) });
});
