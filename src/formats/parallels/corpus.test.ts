import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { rowsOf } from "../../testing/corpus-images.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { sha256 } from "../../testing/hashes.ts";
import { contextOf, readVolume } from "../../testing/image-harness.ts";
import { generatedFolder } from "../../testing/judges.ts";
import { describeMalformed } from "../../testing/malformed-images.ts";
import { parallels } from "./index.ts";

const small = generatedFolder("small");
if (small !== null)
  describe("images of the small corpus", () => {
    test.each(rowsOf(small, parallels.id).filter(({ raw_sha256 }) => raw_sha256 !== "-"))("$name", async (row) => {
      using file = openFileSource(join(small, row["name"] as string));
      const volume = await parallels.open(file, contextOf());
      expect(volume.size).toBe(Number(row["virtual_size"]));
      expect(sha256(await readVolume(volume))).toBe(row["raw_sha256"]);
      expect(await parallels.check!(file, contextOf())).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
    });
  });

describeMalformed(parallels, "parallels/inuse.hdd");
