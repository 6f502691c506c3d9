import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { rowsOf } from "../../testing/corpus-images.ts";
import { failure } from "../../testing/failure.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { sha256 } from "../../testing/hashes.ts";
import { contextOf, readVolume } from "../../testing/image-harness.ts";
import { generatedFolder } from "../../testing/judges.ts";
import { openImage } from "../registry.ts";
import { checkQcow } from "./check.ts";
import { qcow } from "./index.ts";

const small = generatedFolder("small");
if (small !== null)
  describe("images of the small corpus", () => {
    test.each(rowsOf(small, qcow.id).filter(({ raw_sha256 }) => raw_sha256 !== "-"))("$name", async ({ name = "", secret, raw_sha256 }) => {
      using file = openFileSource(join(small, name));
      const volume = await qcow.open(file, { ...contextOf(), passphrase: secret === "-" ? undefined : secret });
      expect(volume.notes).toEqual([]);
      expect(await checkQcow(file, contextOf())).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
      if (volume.parent !== null) return;
      expect(sha256(await readVolume(volume))).toBe(raw_sha256);
    });
  });

const malformed = generatedFolder("malformed");
if (malformed !== null)
  describe("malformed images", () => {
    // The bytes that zflip alters are not in a compressed cluster, as its row says: noise inside plain data cannot be known.
    test.each(rowsOf(malformed, qcow.id).filter(({ name }) => name !== "qcow/zflip.qcow"))("$name: $what", async ({ name = "" }) => {
      using file = openFileSource(join(malformed, name));
      const read = async () => readVolume(await openImage(file, contextOf()));
      await failure(read());
    });
  });
