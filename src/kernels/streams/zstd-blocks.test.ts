import { describe, expect, it } from "vitest";
import { ZSTD_STREAM_BASE64 } from "../../../build/zstd-stream.js";
import { judge } from "../../testing/judges.ts";
import { noise, randomNumbers, text } from "../../testing/streams.ts";
import { kernelModule } from "./instance.ts";
import type { ZstdExports } from "./zstd-blocks.ts";
import { BLOCK_LIMIT } from "./zstd-header.ts";
import { ZstdHistory } from "./zstd-history.ts";

const CANARY = 0x5c;
const program = judge("zstd");

/** The compressed blocks of a frame without a checksum. */
function compressedBlocks(packed: Uint8Array): Buffer[] {
  const descriptor = packed[4] as number;
  const single = (descriptor & 0x20) !== 0;
  let at = 5 + (single ? 0 : 1) + ([single ? 1 : 0, 2, 4, 8][descriptor >>> 6] as number);
  const blocks: Buffer[] = [];
  for (let last = false; !last; ) {
    const header = Buffer.from(packed).readUIntLE(at, 3);
    last = (header & 1) === 1;
    const type = (header >>> 1) & 3;
    const length = type === 1 ? 1 : header >>> 3;
    if (type === 2) blocks.push(Buffer.from(packed.subarray(at + 3, at + 3 + length)));
    at += 3 + length;
  }
  return blocks;
}

describe.skipIf(program === null)("the kernel", () => {
  it("touches nothing outside its literals, its output and the slack behind them, and reads the input's bytes only", () => {
    const { exports, base, reserve } = kernelModule<ZstdExports>(ZSTD_STREAM_BASE64)();
    const slack = exports.zstdSlack();
    const input = base + slack;
    const literals = input + BLOCK_LIMIT + slack;
    const history = literals + BLOCK_LIMIT + slack;
    const output = history + 5000;
    const end = output + BLOCK_LIMIT + slack;
    const memory = reserve(end + 4096 - base);
    const untouched = (from: number, to: number) =>
      expect(Buffer.compare(memory.subarray(from, to), Buffer.alloc(to - from, memory[from] as number))).toBe(0);
    const source = Buffer.concat([text(90_000), Buffer.alloc(5000), noise(3000), text(100_000, 3)]);
    const blocks = ["-1", "-3", "-19", "--fast=7"].flatMap((level) =>
      compressedBlocks(program!.bytes([level, "--no-check", "-c", "-q"], { input: source })),
    );
    expect(blocks.length).toBeGreaterThan(6);
    const next = randomNumbers(3);
    for (let i = 0; i < 600; i++) {
      const block = Buffer.from(blocks[i % blocks.length] as Buffer);
      for (let flips = next() % 4; flips > 0; flips--) block[next() % (flips % 2 ? block.length : 40)]! = next() & 255;
      const limit = i % 3 === 0 ? BLOCK_LIMIT : 1 + (next() % BLOCK_LIMIT);
      const outcomes = [CANARY, 0xff].map((around) => {
        memory.fill(around, base, history);
        memory.fill(0, history, output);
        memory.fill(CANARY, output, end + 4096);
        memory.set(block, input);
        exports.zstdStart();
        // Matches reach past the 5000 bytes before the block only when the second part of the history says so.
        exports.zstdHistory(1 << 20, i % 2 ? 5000 : 9000, history, output + BLOCK_LIMIT + slack);
        const made = exports.zstdBlock(input, block.length, literals, output, limit);
        expect(made).toBeLessThanOrEqual(limit);
        untouched(base, input);
        untouched(input + block.length, literals);
        untouched(literals + limit + slack, history);
        untouched(history, output);
        untouched(output + Math.max(0, limit) + slack, end + 4096);
        return made < 0 ? made : Buffer.from(memory.subarray(output, output + made)).toString("base64");
      });
      expect(outcomes[0]).toBe(outcomes[1]);
    }
  });
});

describe("the history", () => {
  it("keeps the window, wherever its room begins anew, and grows only as more is made", () => {
    for (const window of [1024, 5000, 300_000, 2 << 20]) {
      const next = randomNumbers(window);
      const memory = new Uint8Array(window + (1 << 20));
      let reached = 0;
      const create = () => {
        const history = new ZstdHistory(100, (end) => {
          expect(end).toBeLessThanOrEqual(100 + window + BLOCK_LIMIT + 200);
          reached = Math.max(reached, end);
          return memory;
        });
        history.begin(window, null);
        return history;
      };
      let history = create();
      let made = Buffer.alloc(0);
      for (let total = 0; total < 3 * window + (1 << 20); ) {
        history.makeRoom();
        const block = noise(next() % (Math.min(window, BLOCK_LIMIT) + 1), next() | 1);
        expect(history.at + BLOCK_LIMIT).toBeLessThan(reached);
        expect(reached).toBeLessThan(100 + Math.max(2 * (total + BLOCK_LIMIT), 1 << 20) + 300);
        memory.set(block, history.at);
        history.add(block.length);
        total += block.length;
        made = Buffer.concat([made, block]).subarray(-window);
        const state = history.save();
        expect(Buffer.compare(state.made, made)).toBe(0);
        if (next() % 8 === 0) {
          history = create();
          memory.fill(0);
          history.restore(state);
        }
      }
    }
  });
});
