import fc from "fast-check";
import { expect, test } from "vitest";
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

test("a write of several ranges goes as one, if they are large; the order is kept", async () => {
  const held = new Uint8Array(8 * MIB).map((_, i) => (i >> 12) * 5 + 1);
  const source = {
    name: "source",
    size: held.length - 512,
    origin: { handle: new Blob([held]), at: 512 }, // inside an archive, say
    read: () => Promise.reject(new Error("not read")),
  };
  const there = (at: number, length: number) => held.subarray(512 + at, 512 + at + length);
  const { stream, content, writes } = fakeStream();
  const output = streamOutput(stream, "disk");
  const order = [4, 1, 2].map((mib) => ({ source, at: mib * MIB, length: mib === 1 ? MIB : 2 * MIB }));
  const bytes = Buffer.concat(order.map(({ at, length }) => there(at, length)));
  await output.write(0, [bytes], order);
  await output.write(bytes.length, [there(6 * MIB, MIB)], [{ source, at: 6 * MIB, length: MIB }]);
  const small = Array.from({ length: 16 }, (_, i) => ({ source, at: (15 - i) * 65536, length: 65536 }));
  const last = Buffer.concat(small.map(({ at, length }) => there(at, length)));
  await output.write(bytes.length + MIB, [last], small);
  await output.close(bytes.length + 2 * MIB);
  expect(Buffer.compare(content(), Buffer.concat([bytes, there(6 * MIB, MIB), last]))).toBe(0);
  expect(writes()).toBe(2);
});
