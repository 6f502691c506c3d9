import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { rowsOf } from "../../testing/corpus-images.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { sha256 } from "../../testing/hashes.ts";
import { contextOf, readVolume } from "../../testing/image-harness.ts";
import { generatedFolder } from "../../testing/judges.ts";
import { describeMalformed } from "../../testing/malformed-images.ts";
import { raw } from "../raw/index.ts";
import { qed } from "./index.ts";

const small = generatedFolder("small");
if (small !== null)
  describe("images of the small corpus", () => {
    test.each(rowsOf(small, qed.id).filter(({ raw_sha256 }) => raw_sha256 !== "-"))("$name", async (row) => {
      using file = openFileSource(join(small, row["name"] as string));
      const volume = await qed.open(file, contextOf());
      expect(volume.size).toBe(Number(row["virtual_size"]));
      const companion = row["companions"] as string;
      using below = companion === "-" ? null : openFileSource(join(small, "chain", companion));
      const chain = below === null ? [volume] : [volume, await raw.open(below, contextOf())];
      expect(chain.length).toBe(volume.parent === null ? 1 : 2);
      expect(sha256(await readVolume(chain))).toBe(row["raw_sha256"]);
      expect(await qed.check!(file, contextOf())).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
    });
  });

describeMalformed(qed, "qed/needcheck.qed");
