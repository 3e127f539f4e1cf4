import { fromBinary, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { describe, expect, it } from "vitest";
import { JSON_RECURSION_LIMIT, recordFromJson } from "./json-record.ts";

const convert = (json: JsonValue) =>
  recordFromJson(fromJson(ValueSchema, json, { recursionLimit: JSON_RECURSION_LIMIT }));

describe("recordFromJson", () => {
  it("takes the JSON form of a record, with either spelling of its keys", () => {
    const json = {
      sourceType: "host",
      source_id: "web-1",
      metadata: { b: [1, null, { c: "d" }], a: true },
      attributes: { k: "v" },
      updatedAt: "2026-01-15T10:00:00.5Z",
      rawPayload: { content: "AAEC", contentType: "a/b" },
    };
    const bytes = convert(json);
    if (!(bytes instanceof Uint8Array)) throw new Error(bytes.message);
    const { source_id: sourceId, ...rest } = json;
    expect(toJson(IngestionDataSchema, fromBinary(IngestionDataSchema, bytes))).toEqual({
      ...rest,
      sourceId,
      updatedAt: "2026-01-15T10:00:00.500Z",
    });
  });

  const BAD: [what: string, json: JsonValue, reason: string, field: string][] = [
    ["metadata that isn't an object", { metadata: "x" }, "malformed_record", "metadata"],
    ["metadata that is a list", { metadata: [] }, "malformed_record", "metadata"],
    ["a bad timestamp", { updatedAt: "yesterday" }, "malformed_record", "updated_at"],
    ["a number for a text", { sourceType: 1 }, "malformed_record", "source_type"],
    ["an attribute that isn't a text", { attributes: { a: 1 } }, "malformed_record", "attributes"],
    ["bad base64", { rawPayload: { content: "?" } }, "malformed_record", "raw_payload"],
    ["an unknown key", { sourceTyp: "x" }, "malformed_record", "sourceTyp"],
    ["null", null, "malformed_record", ""],
    ["a text", "x", "malformed_record", ""],
    ["half a surrogate pair in metadata", { metadata: { a: ["\ud800"] } }, "invalid_utf8", "metadata.a.0"],
    ["half a surrogate pair in a key", { metadata: { "\udc00": 1 } }, "invalid_utf8", "metadata"],
  ];

  it.each(BAD)("rejects %s", (_what, json, reason, field) => {
    expect(convert(json)).toMatchObject({ kind: "rejected", reason, field });
  });

  it("names the key it doesn't know", () => {
    expect(convert({ sourceTyp: "x" })).toMatchObject({ message: expect.stringContaining("sourceTyp") });
  });
});
