import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DiskError } from "../../core/errors.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { contextOf, readVolume } from "../../testing/image-harness.ts";
import { generatedFolder, readTable } from "../../testing/judges.ts";
import { openImage } from "../registry.ts";
import { checkQcow } from "./check.ts";
import { qcow } from "./index.ts";

const rowsOf = (folder: string) => readTable(readFileSync(join(folder, "manifest.tsv"), "utf8")).filter(({ format }) => format === "qcow");

const small = generatedFolder("small");
if (small !== null)
  describe("images of the small corpus", () => {
    test.each(rowsOf(small).filter(({ raw_sha256 }) => raw_sha256 !== "-"))("$name", async ({ name = "", secret, raw_sha256 }) => {
      using file = openFileSource(join(small, name));
      const volume = await qcow.open(file, { ...contextOf(), passphrase: secret === "-" ? undefined : secret });
      expect(volume.notes).toEqual([]);
      expect(await checkQcow(file, contextOf())).toMatchObject({ corruptions: 0, leaks: 0, findings: [] });
      if (volume.parent !== null) return;
      const hash = createHash("sha256").update(await readVolume(volume));
      expect(hash.digest("hex")).toBe(raw_sha256);
    });
  });

const malformed = generatedFolder("malformed");
if (malformed !== null)
  describe("malformed images", () => {
    // The bytes that zflip alters are not in a compressed cluster, as its row says: noise inside plain data cannot be known.
    test.each(rowsOf(malformed).filter(({ name }) => name !== "qcow/zflip.qcow"))("$name: $what", async ({ name = "" }) => {
      using file = openFileSource(join(malformed, name));
      const read = async () => readVolume(await openImage(file, contextOf()));
      const error = await read().then(
        () => null,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(DiskError);
    });
  });
