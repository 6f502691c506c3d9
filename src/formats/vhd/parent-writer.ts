import type { Write } from "../../core/target.ts";
import type { VhdSpec } from "./options.ts";
import { type HeaderFields, Locator, SECTOR, tag } from "./spec.ts";

type StatedParent = Pick<HeaderFields, "parentUniqueId" | "parentTimeStamp" | "parentUnicodeName" | "parentLocators">;

/** What a differencing image says of its parent. */
export interface ParentPlace {
  readonly fields: StatedParent;
  /** The paths that the locators point to. */
  readonly writes: readonly Write[];
  /** Whole sectors that they take. */
  readonly bytes: number;
}

export const NO_PARENT: ParentPlace = {
  fields: {
    parentUniqueId: new Uint8Array(16),
    parentTimeStamp: 0,
    parentUnicodeName: new Uint8Array(512),
    parentLocators: new Uint8Array(8 * Locator.bytes),
  },
  writes: [],
  bytes: 0,
};

/**
 * The parent lies in the same folder, wherever that is: both locators of Windows, the one for relative and the one for absolute paths,
 * say so, for some readers look at one of them only. The time stamp stays 0, which means that none is stated. [MS-VHD] Platform Code
 */
export function parentPlace({ name, uniqueId }: NonNullable<VhdSpec["parent"]>, at: number): ParentPlace {
  const path = utf16(`.\\${name}`, "le");
  const space = Math.ceil(path.length / SECTOR) * SECTOR;
  const parentLocators = new Uint8Array(8 * Locator.bytes);
  const codes = ["W2ru", "W2ku"];
  const writes = codes.map((code, i): Write => {
    const pathAt = at + i * space;
    const entry = Locator.write({
      platformCode: tag(code),
      // In bytes, as Windows has it; the specification says sectors.
      platformDataSpace: space,
      platformDataLength: path.length,
      reserved: 0,
      platformDataOffset: BigInt(pathAt),
    });
    parentLocators.set(entry, i * Locator.bytes);
    return { file: 0, at: pathAt, bytes: path };
  });
  const parentUnicodeName = new Uint8Array(512);
  parentUnicodeName.set(utf16(name, "be"));
  const fields = { parentUniqueId: uniqueId, parentTimeStamp: 0, parentUnicodeName, parentLocators };
  return { fields, writes, bytes: codes.length * space };
}

function utf16(text: string, endian: "le" | "be"): Uint8Array {
  const view = new DataView(new ArrayBuffer(text.length * 2));
  for (let i = 0; i < text.length; i++) view.setUint16(i * 2, text.charCodeAt(i), endian === "le");
  return new Uint8Array(view.buffer);
}
