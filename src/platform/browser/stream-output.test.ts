import fc from "fast-check";
import { expect, test } from "vitest";
import { noise } from "../../testing/disks.ts";
import { streamOutput } from "./stream-output.ts";

const MIB = 1 << 20;

interface Given {
  readonly position: number;
  readonly data: Uint8Array | Blob;
}

/** What the browser's stream is used for, as an array of bytes; `failAt`: the number of the write that fails. */
function fakeStream(failAt = Number.POSITIVE_INFINITY, failure = "QuotaExceededError") {
  let bytes = new Uint8Array(0);
  let writes = 0;
  let underWay = 0;
  const resize = (size: number): void => {
    const next = new Uint8Array(size);
    next.set(bytes.subarray(0, size));
    bytes = next;
  };
  const stream = {
    async write({ position, data: given }: Given) {
      expect(++underWay).toBe(1);
      if (++writes === failAt) throw new DOMException("no space", failure);
      await new Promise((resolve) => setTimeout(resolve));
      const data = given instanceof Blob ? new Uint8Array(await given.arrayBuffer()) : given;
      if (position + data.length > bytes.length) resize(position + data.length);
      bytes.set(data, position);
      underWay--;
    },
    truncate: async (size: number) => resize(size),
    close: async () => {},
  };
  return { stream: stream as unknown as FileSystemWritableFileStream, content: () => bytes, writes: () => writes };
}

test("what is written stands where it belongs, whatever the pieces", async () => {
  const piece = fc.record({ gap: fc.nat(3), length: fc.constantFrom(0, 1, 4096, MIB, 5 * MIB) });
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
      const { stream, content } = fakeStream();
      const output = streamOutput(stream, "disk");
      const written: Promise<void>[] = [];
      const placed: { readonly at: number; readonly bytes: Uint8Array }[] = [];
      let at = 0;
      pieces.forEach(({ gap, length }, i) => {
        at += gap * 65536;
        const bytes = new Uint8Array(length).fill(i + 1);
        placed.push({ at, bytes });
        // The memory is the caller's again once the write has resolved.
        written.push(output.write(at, [bytes.subarray(0, length >> 1), bytes.subarray(length >> 1)]).then(() => void bytes.fill(0)));
        at += length;
      });
      await Promise.all(written);
      await output.close(at);
      const expected = new Uint8Array(at);
      placed.forEach(({ at: start, bytes }, i) => void expected.fill(i + 1, start, start + bytes.length));
      expect(Buffer.compare(content(), expected)).toBe(0);
    }),
    { numRuns: 20 },
  );
});

test("small neighbours go to the browser together", async () => {
  const { stream, writes } = fakeStream();
  const output = streamOutput(stream, "disk");
  for (let at = 0; at < 16 * MIB; at += 65536) await output.write(at, [new Uint8Array(65536)]);
  await output.close(16 * MIB);
  expect(writes()).toBe(2);
});

test("a write that fails is told, at the latest when the file is closed", async () => {
  for (const size of [MIB, 40 * MIB]) {
    const { stream } = fakeStream(1);
    const output = streamOutput(stream, "disk");
    const all = async (): Promise<void> => {
      for (let at = 0; at < size; at += MIB) await output.write(at, [new Uint8Array(MIB)]);
      await output.close(size);
    };
    await expect(all()).rejects.toMatchObject({ code: "io", reason: "disk-full" });
    await expect(output.close(size)).rejects.toMatchObject({ reason: "disk-full" });
  }
});

/** A file of which nothing can be read any more. */
class Gone extends Blob {
  override slice(at?: number, end?: number): Blob {
    return new Gone([new Uint8Array((end ?? this.size) - (at ?? 0))]);
  }
  override arrayBuffer(): Promise<ArrayBuffer> {
    return Promise.reject(new DOMException("gone", "NotReadableError"));
  }
}

test("a write that the browser cuts off is a full disk, unless its source is what has gone", async () => {
  const bytes = new Uint8Array(2 * MIB);
  const from = (handle: Blob) => [
    {
      source: { name: "source", size: bytes.length, origin: { handle, at: 0 }, read: () => Promise.reject() },
      at: 0,
      length: bytes.length,
    },
  ];
  const failing = async (failure: string, copied?: ReturnType<typeof from>) => {
    const output = streamOutput(fakeStream(1, failure).stream, "disk");
    await output.write(0, [bytes], copied);
    await output.close(bytes.length);
  };
  await expect(failing("AbortError")).rejects.toMatchObject({ code: "io", reason: "disk-full", file: "disk" });
  await expect(failing("NotReadableError", from(new Blob([bytes])))).rejects.toMatchObject({ reason: "disk-full", file: "disk" });
  await expect(failing("NotReadableError", from(new Gone([bytes])))).rejects.toMatchObject({
    reason: "file-changed",
    file: "source",
    at: 0,
  });
  await expect(failing("NotReadableError")).rejects.toMatchObject({ code: "io", reason: undefined });
});

test("ranges of a file are handed on as such, joined where they follow each other", async () => {
  const bytes = new Uint8Array(12 * MIB).map((_, i) => (i >> 12) * 7);
  const { stream, content, writes } = fakeStream();
  const output = streamOutput(stream, "disk");
  const source = {
    name: "source",
    size: bytes.length,
    origin: { handle: new Blob([bytes]), at: 0 },
    read: () => Promise.reject(new Error("not read")),
  };
  const part = (at: number, length: number) => output.write(at, [bytes.subarray(at, at + length)], [{ source, at, length }]);
  for (const at of [0, 2, 4]) await part(at * MIB, 2 * MIB);
  await part(6 * MIB, 65536); // too little to be worth it
  await output.write(6 * MIB + 65536, [new Uint8Array(10)]); // not from the file
  await part(8 * MIB, 4 * MIB);
  await output.close(bytes.length);
  bytes.fill(0, 6 * MIB + 65536, 8 * MIB);
  expect(Buffer.compare(content(), bytes)).toBe(0);
  expect(writes()).toBe(3);
});

/** Two files of which ranges may be copied, the second inside an archive, and one that is no file. */
const held = [1, 2, 3].map((seed) => noise(8 * MIB, seed) as Uint8Array<ArrayBuffer>);
const sources = held.map((bytes, i) => ({
  name: `source ${i}`,
  size: bytes.length - 512 * i,
  origin: i === 2 ? null : { handle: new Blob([bytes]), at: 512 * i },
  read: () => Promise.reject(new Error("not read")),
}));
const sourceOf = (file: number) => sources[file] as (typeof sources)[0];
const there = ({ file, at, length }: { file: number; at: number; length: number }): Uint8Array =>
  (held[file] as Uint8Array).subarray(512 * (file % 2) + at, 512 * (file % 2) + at + length);

test("ranges of several files and bytes, with and without gaps, stand where they belong", async () => {
  const range = fc.record({
    file: fc.constantFrom(0, 0, 0, 0, 1, 1, 1, 2),
    at: fc.constantFrom(0, MIB, 2 * MIB, 3 * MIB),
    length: fc.constantFrom(4096, MIB, 2 * MIB),
  });
  const write = fc.record({
    ranges: fc.array(range, { minLength: 1, maxLength: 3 }),
    gap: fc.constantFrom(0, 0, 0, 4096),
    copied: fc.constantFrom(true, true, false),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(write, { minLength: 1, maxLength: 8 }), async (list) => {
      const { stream, content } = fakeStream();
      const output = streamOutput(stream, "disk");
      const expected: Uint8Array[] = [];
      let at = 0;
      for (const { ranges, gap, copied } of list) {
        const bytes = Buffer.concat(ranges.map(there));
        expected.push(new Uint8Array(gap), bytes);
        const named = ranges.map(({ file, at: from, length }) => ({ source: sourceOf(file), at: from, length }));
        await output.write(at + gap, [bytes], copied ? named : undefined);
        at += gap + bytes.length;
      }
      await output.close(at);
      expect(Buffer.compare(content(), Buffer.concat(expected))).toBe(0);
    }),
    { numRuns: 60 },
  );
});

test("ranges of one place in two files that follow each other are not one", async () => {
  const { stream, content } = fakeStream();
  const output = streamOutput(stream, "disk");
  const places = [
    { file: 0, at: 512, length: 2 * MIB },
    { file: 1, at: 2 * MIB, length: MIB }, // in the Blob it begins where the first ends
  ];
  for (const [i, { file, at, length }] of places.entries())
    await output.write(i * 2 * MIB, [there({ file, at, length })], [{ source: sourceOf(file), at, length }]);
  await output.close(3 * MIB);
  expect(Buffer.compare(content(), Buffer.concat(places.map(there)))).toBe(0);
});

test("ranges that follow each other go as one write, up to 64 MiB, if they are large", async () => {
  const writesOf = async (count: number, length: number): Promise<number> => {
    const { stream, writes } = fakeStream();
    const output = streamOutput(stream, "disk");
    for (let i = 0; i < count; i++) {
      const copied = [3, 1, 2, 0].map((n) => ({ source: sourceOf(i % 2), at: n * length, length }));
      await output.write(i * 4 * length, [new Uint8Array(4 * length)], copied);
    }
    await output.close(count * 4 * length);
    return writes();
  };
  expect(await writesOf(16, MIB)).toBe(1);
  expect(await writesOf(17, MIB)).toBe(2);
  expect(await writesOf(8, MIB - 512)).toBe(4); // as bytes, in pieces of 8 MiB
});

test("when a write of ranges fails, the file that has gone is named, and where", async () => {
  const lost = { ...sourceOf(1), name: "gone", origin: { handle: new Gone([held[1] as Uint8Array<ArrayBuffer>]), at: 512 } };
  const output = streamOutput(fakeStream(1, "NotReadableError").stream, "disk");
  const copied = [
    { source: sourceOf(0), at: 0, length: MIB },
    { source: lost, at: 3 * MIB, length: MIB },
  ];
  await output.write(0, [new Uint8Array(2 * MIB)], copied);
  await expect(output.close(2 * MIB)).rejects.toMatchObject({ reason: "file-changed", file: "gone", at: 3 * MIB + 512 });
});
