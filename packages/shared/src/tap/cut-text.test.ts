import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cutBytes, cutText } from "./cut-text.ts";

const texts = fc.string({ unit: fc.constantFrom("a", "é", "€", "😀", "\u0301"), maxLength: 40 });
const sizes = fc.nat({ max: 60 });

describe.each([
  ["text", cutText],
  ["encoded text", (text: string, maxBytes: number) => cutBytes(Buffer.from(text), maxBytes)],
])("cutting %s", (_, cut) => {
  test("gives the longest beginning of whole characters that fits", () => {
    fc.assert(
      fc.property(texts, sizes, (text, maxBytes) => {
        const beginning = cut(text, maxBytes);
        expect(text.startsWith(beginning)).toBe(true);
        expect(Buffer.byteLength(beginning)).toBeLessThanOrEqual(maxBytes);
        const next = [...text.slice(beginning.length)][0];
        if (next !== undefined) expect(Buffer.byteLength(beginning + next)).toBeGreaterThan(maxBytes);
      }),
    );
  });
});

test("what is not UTF-8 becomes text that is, within the limit", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), sizes, (bytes, maxBytes) => {
      const text = cutBytes(Buffer.from(bytes), maxBytes);
      expect(text.isWellFormed()).toBe(true);
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(maxBytes);
    }),
  );
});
