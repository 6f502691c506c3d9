import * as fc from "fast-check";
import { expect, it } from "vitest";
import { decodeBase64 } from "./base64.ts";

it("decodes what Node encodes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect([...decodeBase64(Buffer.from(bytes).toString("base64"))]).toEqual([...bytes]);
    }),
  );
});
