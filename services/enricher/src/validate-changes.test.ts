import { describe, expect, test } from "vitest";
import type { JsonObject, RecordChanges } from "./record-draft.ts";
import { findInvalidChange } from "./validate-changes.ts";

function nested(levels: number): JsonObject {
  return levels === 1 ? {} : { a: nested(levels - 1) };
}

describe("findInvalidChange", () => {
  test.each<RecordChanges>([
    {},
    { dataId: "ä".repeat(512), metadataType: "npm-manifest/1", lang: "pt-BR" },
    { lang: "", data: "line\nline\ttab 🎉", dropRawPayload: true },
    { metadata: nested(32), attributes: { "": "", a: "x".repeat(4096) } },
  ])("accepts %#", (changes) => {
    expect(findInvalidChange(changes)).toBeUndefined();
  });

  test.each<[RecordChanges, string]>([
    [{ dataId: "ä".repeat(513) }, "data_id has 1026 bytes, more than 1024"],
    [{ dataId: "a\nb" }, "data_id holds a control character"],
    [{ dataId: "a\0b" }, "data_id holds the character U+0000"],
    [{ dataId: "a\ud83cb" }, "data_id holds half of a character (a lone surrogate)"],
    [{ metadataType: "\x7f" }, "metadata_type holds a control character"],
    [{ lang: "en_US" }, "lang is not a BCP 47 tag"],
    [{ lang: "a".repeat(36) }, "lang has 36 bytes, more than 35"],
    [{ data: "a\0" }, "data holds the character U+0000"],
    [
      { attributes: Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`${n}`, ""])) },
      "attributes has 65 entries, more than 64",
    ],
    [{ attributes: { ["k".repeat(129)]: "" } }, "attributes (a key) has 129 bytes, more than 128"],
    [{ attributes: { a: "x".repeat(4097) } }, "attributes (a value) has 4097 bytes, more than 4096"],
    [{ attributes: { a: "\0" } }, "attributes (a value) holds the character U+0000"],
    [{ metadata: nested(33) }, "metadata is nested more than 32 levels deep"],
    [{ metadata: { a: [{ b: "\0" }] } }, "metadata holds the character U+0000"],
    [{ metadata: { "\ud83c": 1 } }, "metadata (a key) holds half of a character (a lone surrogate)"],
    [{ metadata: { a: "x".repeat(600_000) } }, "metadata as JSON has 600008 bytes, more than 524288"],
  ])("refuses %#", (changes, problem) => {
    expect(findInvalidChange(changes)).toBe(problem);
  });
});
