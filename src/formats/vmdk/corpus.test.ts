import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { DiskError } from "../../core/errors.ts";
import type { ByteSource, FormatContext, Volume } from "../../core/model.ts";
import { knownImages, rowsOf, seedHash } from "../../testing/corpus-images.ts";
import { openFileSource } from "../../testing/file-source.ts";
import { contentHash } from "../../testing/hashes.ts";
import { contextOf } from "../../testing/image-harness.ts";
import { generatedFolder } from "../../testing/judges.ts";
import { vmdk } from "./index.ts";

const MOST_BYTES = 256 << 20;

/** Files beside the image, by verbatim name: what has a path in it is not found. */
function besides(path: string): FormatContext {
  const resolve = async ({ name }: { name: string }): Promise<ByteSource | null> => {
    const place = join(dirname(path), name);
    return /[\\/:]/.test(name) || !existsSync(place) ? null : openFileSource(place);
  };
  return { ...contextOf(), resolve };
}

/** The image and the layers below it. */
async function openChain(path: string): Promise<readonly Volume[]> {
  const chain = [await vmdk.open(openFileSource(path), besides(path))];
  for (let top = chain[0]!; top.parent !== null; top = chain.at(-1)!) {
    const parent = await besides(path).resolve(top.parent);
    if (parent === null || chain.length > 8)
      throw new DiskError("missing-file", `${top.parent.name} was not given`, { needs: top.parent.name });
    chain.push(await vmdk.open(parent, besides(path)));
    if (Number.parseInt(top.parent.id!, 16) !== chain.at(-1)!.details["cid"])
      throw new DiskError("corrupt", "the parent was changed after its child was made");
  }
  return chain;
}

const malformed = generatedFolder("malformed");
if (malformed !== null)
  describe("malformed images", () => {
    const rows = rowsOf(malformed, vmdk.id);
    const seed = seedHash(malformed);
    test.each(rows.map((row) => [row["name"]!, row] as const))(
      "%s: an error that names the problem, or the seed's bytes",
      async (name, row) => {
        const path = join(malformed!, name);
        let outcome: string;
        try {
          if (statSync(path).size < 4) throw new DiskError("wrong-format", "too short to be any image");
          const chain = await openChain(path);
          for (const { unsupported } of chain) if (unsupported.length > 0) throw new DiskError("unsupported", unsupported.join());
          const hash = await contentHash(chain);
          outcome = hash === seed ? `seed${chain[0]!.notes.length > 0 ? `, ${chain[0]!.notes[0]!.text}` : ""}` : `OTHER ${chain[0]!.size}`;
        } catch (error) {
          if (!(error instanceof DiskError)) throw error;
          outcome = `error ${error.code}: ${error.message} @${error.at}`;
        }
        if (row["expect"]!.startsWith("decode")) expect(outcome).toMatch(/^seed, /);
        expect(outcome).not.toMatch(/^OTHER/);
      },
    );
  });

const known = knownImages(vmdk.id).filter(({ name }) => /\.(vmdk|img)$/.test(name));

if (known.length > 0)
  describe("images of other tools", () => {
    test.each(known)("$name", async ({ path, row }) => {
      const chain = await openChain(path).catch((error: unknown) => {
        if (error instanceof DiskError && row["expect"]?.startsWith("clear error")) return error;
        throw error;
      });
      if (chain instanceof DiskError) {
        expect(chain.code).toBe("missing-file");
        return;
      }
      const [top] = chain as [Volume];
      if (row["virtual_size"] !== "-") expect(top.size).toBe(Number(row["virtual_size"]));
      expect(top.unsupported).toEqual([]);
      const report = await vmdk.check!(openFileSource(path), besides(path));
      expect(report.findings.filter(({ severity }) => severity !== "warning")).toEqual([]);
      if (row["nz_sha256"] === "-" || top.size > MOST_BYTES) return;
      expect(await contentHash(chain)).toBe(row["nz_sha256"]);
    });
  });
