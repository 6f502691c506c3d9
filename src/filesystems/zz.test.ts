import { readFileSync } from "node:fs";
import { test } from "vitest";
import { SAMPLES } from "../testing/file-systems.ts";
import { testCompute } from "../testing/image-harness.ts";
import { FREE_MAPS } from "./free-space.ts";
test("x", async () => {
  const s = SAMPLES.find(({ name }) => name === "fat12 of one table")!;
  s.tools!.make("/tmp/slimx/fs.img", "/tmp/slimx/files");
  console.log(s.tools!.marks("/tmp/slimx/fs.img"));
  const image = new Uint8Array(readFileSync("/tmp/slimx/fs.img"));
  for (let k = 0; k < 2; k++) {
    const map = await FREE_MAPS["fat12"]!({ name: "P", length: image.length, read: async (a, l) => image.slice(a, a + l) }, testCompute());
    console.log((await map.free(0, image.length)).ranges.slice(0, 10));
    image.fill(0, 2560, 3072);
  }
});
