import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createFileSink, writeAll } from "./file-sink.ts";

const folder = mkdtempSync(join(tmpdir(), "spindle-sink-"));
afterAll(() => rmSync(folder, { recursive: true }));
const { signal } = new AbortController();

/** More parts than one call of the operating system takes (IOV_MAX is 1024), of odd lengths. */
const parts = Array.from({ length: 2500 }, (_, i) => new Uint8Array((i * 37) % 1500).fill(i % 251));

test("parts lie one behind the other, in the files they are for; nothing stands there before the commit", async () => {
  const sink = await createFileSink(folder, ["a.img", "b.img"]);
  const whole = Buffer.concat(parts);
  const size = whole.length + 100_000;
  await Promise.all([sink.write(0, 5000, parts), sink.write(1, 0, parts.slice(0, 1)), sink.write(1, 70_000, [parts[7] as Uint8Array])]);
  const [a, b] = await sink.close([size, 80_000], signal);
  expect(readdirSync(folder).filter((name) => name.endsWith(".img"))).toEqual([]);
  expect(Buffer.compare((await a?.read(5000, whole.length, signal)) as Uint8Array, whole)).toBe(0);
  expect(b?.size).toBe(80_000);
  await sink.commit();
  expect(readdirSync(folder).toSorted()).toEqual(["a.img", "b.img"]);
  const expected = Buffer.concat([Buffer.alloc(5000), whole, Buffer.alloc(size - 5000 - whole.length)]);
  expect(Buffer.compare(readFileSync(join(folder, "a.img")), expected)).toBe(0);
});

test("a system that takes little at a time gets all of it", async () => {
  const whole = Buffer.concat(parts);
  const found = Buffer.alloc(whole.length);
  const handle = {
    async writev(given: readonly Uint8Array[], to: number) {
      const bytes = Buffer.concat(given).subarray(0, 37_000);
      found.set(bytes, to - 5000);
      return { bytesWritten: bytes.length, buffers: [] };
    },
  };
  await writeAll(handle as never, parts, 5000);
  expect(found.equals(whole)).toBe(true);
});

test("errors name the file that is to be, not the temporary one", async () => {
  const sink = await createFileSink(folder, ["d.img"]);
  const temporary = readdirSync(folder).find((name) => name.endsWith(".part")) as string;
  rmSync(join(folder, temporary));
  await expect(sink.close([10], signal)).rejects.toMatchObject({ code: "io", file: "d.img", message: expect.stringContaining("d.img") });
  await sink.abort(new Error("gone"));
});

test("after an abort nothing is left", async () => {
  const before = readdirSync(folder);
  const sink = await createFileSink(folder, ["c.img"]);
  await sink.write(0, 0, parts);
  await sink.abort(new Error("enough"));
  expect(readdirSync(folder)).toEqual(before);
});
