import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { noise, same } from "../../testing/disks.ts";
import { failure } from "../../testing/failure.ts";
import { type FileSource, openFileSource, readExactly } from "./file-source.ts";

const folder = mkdtempSync(join(tmpdir(), "file-source-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Up to 64 KiB are read on the calling thread, more beside it. */
const DIRECT = 64 << 10;
const BYTES = noise(5 * DIRECT + 123, 1);
const LENGTHS = [1, 512, DIRECT, DIRECT + 1, 3 * DIRECT] as const;

let files = 0;
function saved(bytes: Uint8Array = BYTES): string {
  const path = join(folder, `${files++}.img`);
  writeFileSync(path, bytes);
  return path;
}
async function withSource(path: string, use: (source: FileSource) => Promise<void>): Promise<void> {
  const source = await openFileSource(path);
  try {
    await use(source);
  } finally {
    await source.close();
  }
}

describe("a file that is read", () => {
  test("gives the same bytes whatever the lengths and places, to its last one, in memory of the caller's own", async () => {
    await withSource(saved(), async (source) => {
      expect(source).toMatchObject({ size: BYTES.length, name: expect.stringMatching(/^\d+\.img$/) });
      for (const length of LENGTHS)
        for (const at of [0, 1, 511, DIRECT - 1, BYTES.length - length])
          expect([length, at, same(await source.read(at, length), BYTES.subarray(at, at + length))]).toEqual([length, at, true]);
      expect(await source.read(0, 0)).toHaveLength(0);
      expect(await source.read(BYTES.length, 0)).toHaveLength(0);
      const [one, two] = [await source.read(0, 512), await source.read(0, 512)];
      expect([one.buffer.byteLength, two.buffer.byteLength]).toEqual([512, 512]);
      one.fill(0);
      expect(same(two, BYTES.subarray(0, 512))).toBe(true);
    });
  });

  test("gives the same bytes to many readers at once, small ones and large ones mixed", async () => {
    await withSource(saved(), async (source) => {
      const asked = Array.from({ length: 300 }, (_, i) => {
        const length = LENGTHS[i % LENGTHS.length] as number;
        return { at: (i * 7919) % (BYTES.length - length), length };
      });
      const given = await Promise.all(asked.map(({ at, length }) => source.read(at, length)));
      for (const [i, { at, length }] of asked.entries())
        expect([at, length, same(given[i] as Uint8Array, BYTES.subarray(at, at + length))]).toEqual([at, length, true]);
    });
  });

  test.each([
    [-1, 1],
    [0, -1],
    [0.5, 1],
    [0, 1.5],
    [Number.NaN, 1],
    [0, Number.POSITIVE_INFINITY],
    [2 ** 53, 1],
    [0, BYTES.length + 1],
    [BYTES.length, 1],
    [BYTES.length - DIRECT, DIRECT + 1],
    [2 ** 52, DIRECT + 1],
  ])("has no bytes %d+%d", async (at, length) => {
    await withSource(saved(), async (source) => {
      expect(await failure(source.read(at, length))).toMatchObject({ code: "corrupt", file: source.name, at });
    });
  });
});

describe.each(LENGTHS)("reads of %i bytes from a file", (length) => {
  test("that became shorter: an error that names it and the first missing byte", async () => {
    const path = saved();
    await withSource(path, async (source) => {
      const at = BYTES.length - length;
      truncateSync(path, at + (length >> 1));
      for (const from of [at, at - 7]) {
        const missing = { code: "io", file: source.name, at: at + (length >> 1) };
        if (from + length > at + (length >> 1)) expect(await failure(source.read(from, length))).toMatchObject(missing);
      }
      truncateSync(path, 0);
      expect(await failure(source.read(0, length))).toMatchObject({
        code: "io",
        file: source.name,
        at: 0,
        message: expect.stringMatching(/became shorter/),
      });
    });
  });

  test("that another one has replaced: the bytes of the one that was opened, and the change is told", async () => {
    const path = saved();
    await withSource(path, async (source) => {
      await source.checkUnchanged();
      renameSync(saved(new Uint8Array(BYTES.length)), path);
      expect(same(await source.read(3, length), BYTES.subarray(3, 3 + length))).toBe(true);
      expect(await failure(source.checkUnchanged())).toMatchObject({ code: "io", file: source.name });
    });
  });

  test("that is closed: an error that names it and the place", async () => {
    const source = await openFileSource(saved());
    await source.close();
    expect(await failure(source.read(3, length))).toMatchObject({ code: "io", file: source.name, at: 3 });
  });

  test("that is closed meanwhile: the whole bytes or an error, never others", async () => {
    const source = await openFileSource(saved());
    const reads = Array.from({ length: 20 }, (_, i) => source.read(i, length));
    const closed = source.close();
    const later = source.read(20, length);
    for (const [i, outcome] of (await Promise.allSettled([...reads, later])).entries())
      if (outcome.status === "fulfilled") expect(same(outcome.value, BYTES.subarray(i, i + length))).toBe(true);
      else expect(outcome.reason).toMatchObject({ name: "DiskError", code: "io", file: source.name });
    await closed;
  });
});

describe("small reads", () => {
  /** Each read takes so many ms, by a clock that stands still otherwise. */
  function readsTake(ms: number): void {
    let now = performance.now();
    let isEnd = false;
    vi.spyOn(performance, "now").mockImplementation(() => {
      if (isEnd) now += ms;
      isEnd = !isEnd;
      return now;
    });
  }
  afterEach(() => vi.restoreAllMocks());
  /** Whether a read is done without a turn of the event loop. */
  async function isDirect(source: FileSource): Promise<boolean> {
    let isDone = false;
    const read = source.read(0, 512).then(() => {
      isDone = true;
    });
    for (let i = 0; i < 10; i++) await Promise.resolve();
    const answer = isDone;
    await read;
    return answer;
  }

  test("are done at once, but let events have their turn every 20 ms", async () => {
    await withSource(saved(), async (source) => {
      readsTake(0.25);
      const row = [];
      for (let i = 0; i < 400; i++) row.push(await isDirect(source));
      const turns = row.flatMap((direct, i) => (direct ? [] : [i]));
      expect(turns.length).toBeGreaterThanOrEqual(4);
      expect(turns.length).toBeLessThan(10);
      for (const [i, turn] of turns.entries()) if (i > 0) expect(turn - (turns[i - 1] as number)).toBeLessThan(100);
    });
  });

  test("wait beside the thread for a while, once one was slow", async () => {
    await withSource(saved(), async (source) => {
      readsTake(0);
      for (let i = 0; i < 3; i++) await isDirect(source); // past a turn for events
      readsTake(5);
      expect(await isDirect(source)).toBe(true);
      readsTake(0);
      const row = [];
      for (let i = 0; i < 64; i++) row.push(await isDirect(source));
      expect(row).toEqual(Array(64).fill(false));
      expect(await isDirect(source)).toBe(true);
    });
  });
});

describe("a change since the file was opened is told", () => {
  const changes: readonly [string, (path: string) => void][] = [
    ["longer", (path) => appendFileSync(path, "x")],
    ["shorter", (path) => truncateSync(path, 100)],
    ["written to", (path) => writeFileSync(path, BYTES.subarray().fill(1, 0, 1), { flag: "r+" })],
    ["dated otherwise", (path) => utimesSync(path, 1, 1)],
    ["gone", (path) => rmSync(path)],
  ];
  test.each(changes)("%s", async (_, change) => {
    const path = saved(BYTES.slice());
    await withSource(path, async (source) => {
      await source.checkUnchanged();
      change(path);
      expect(await failure(source.checkUnchanged())).toMatchObject({ code: "io", message: expect.stringContaining("was changed") });
    });
  });
});

test("what is no regular file is refused by name", async () => {
  expect(await failure(openFileSource(folder))).toMatchObject({ code: "io", message: expect.stringContaining("not a regular file") });
  expect(await failure(openFileSource("/dev/null"))).toMatchObject({ code: "io", file: "null" });
  expect(await failure(openFileSource(join(folder, "none.img")))).toMatchObject({ code: "io", file: "none.img" });
});

test.each([100, 200_000])("a system that gives fewer bytes than asked is asked for the rest: %i", async (length) => {
  const handle = await open(saved());
  try {
    const slow = {
      read: (into: Uint8Array, offset: number, count: number, at: number) => handle.read(into, offset, Math.min(count, 37_000), at),
    };
    expect(same(await readExactly(slow as unknown as FileHandle, "f", 5, length), BYTES.subarray(5, 5 + length))).toBe(true);
  } finally {
    await handle.close();
  }
});
