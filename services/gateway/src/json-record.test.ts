import { fromBinary, fromJson, type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { attributesToJson } from "@chowhound/shared/record/attributes-json";
import { LIMITS } from "@chowhound/shared/record/limits";
import { RECORD_FIELD, RecordView } from "@chowhound/shared/record/record-view";
import { structToJson } from "@chowhound/shared/record/struct-json";
import { type RejectedRecord, validateRecord } from "@chowhound/shared/record/validate-record";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { recordFromJson } from "./json-record.ts";

/** An object with so many levels, two or more. */
function nested(levels: number): JsonObject {
  let json: JsonValue = [];
  for (let i = 2; i < levels; i++) json = [json];
  return { a: json };
}

const zeros = (count: number): JsonValue[] => new Array(count).fill(0);

const texts = (count: number): JsonObject =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`${index}`, "x"]));

function encode(json: JsonValue): Buffer {
  const record = recordFromJson(json);
  if (record instanceof Uint8Array) return Buffer.from(record);
  throw new Error(record.message);
}

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
    const { source_id: sourceId, ...rest } = json;
    expect(toJson(IngestionDataSchema, fromBinary(IngestionDataSchema, encode(json)))).toEqual({
      ...rest,
      sourceId,
      updatedAt: "2026-01-15T10:00:00.500Z",
    });
  });

  const BAD: [what: string, json: JsonValue, reason: string, field: string][] = [
    ["metadata that isn't an object", { metadata: "x" }, "malformed_record", "metadata"],
    ["metadata that is a list", { metadata: [] }, "malformed_record", "metadata"],
    ["a bad timestamp", { updatedAt: "yesterday" }, "malformed_record", "updated_at"],
    ["a day that there is not", { updatedAt: "2026-02-30T00:00:00Z" }, "malformed_record", "updated_at"],
    ["a number for a text", { sourceType: 1 }, "malformed_record", "source_type"],
    ["an attribute that isn't a text", { attributes: { a: 1 } }, "malformed_record", "attributes"],
    ["bad base64", { rawPayload: { content: "?" } }, "malformed_record", "raw_payload"],
    ["an unknown key", { sourceTyp: "x" }, "malformed_record", "sourceTyp"],
    ["null", null, "malformed_record", ""],
    ["a text", "x", "malformed_record", ""],
    ["a list", [], "malformed_record", ""],
    ["attributes that are a list", { attributes: [] }, "malformed_record", "attributes"],
    ["a key of Object.prototype", { toString: "x" }, "malformed_record", "toString"],
    ["half a surrogate pair in a text", { data: "\ud800" }, "invalid_utf8", "data"],
    [
      "half a surrogate pair in an attribute",
      { attributes: { a: "\udc00" } },
      "invalid_utf8",
      "attributes.a",
    ],
  ];

  it.each(BAD)("rejects %s", (_what, json, reason, field) => {
    expect(recordFromJson(json)).toMatchObject({ kind: "rejected", reason, field });
  });

  const BEYOND: [what: string, make: () => JsonObject, reason: string, field: string][] = [
    ["metadata of 33 levels", () => ({ metadata: nested(33) }), "metadata_too_deep", "metadata"],
    ["metadata of a million levels", () => ({ metadata: nested(1e6) }), "metadata_too_deep", "metadata"],
    ["data of a million levels", () => ({ data: nested(1e6) }), "malformed_record", "data"],
    ["metadata larger than a record", () => ({ metadata: { a: zeros(1e6) } }), "record_too_large", ""],
    ["attributes larger than a record", () => ({ attributes: texts(2e5) }), "record_too_large", ""],
  ];

  it.each(BEYOND)("rejects %s without building it", (_what, make, reason, field) => {
    const json = make();
    const started = performance.now();
    expect(recordFromJson(json)).toMatchObject({ kind: "rejected", reason, field });
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  it("encodes metadata and attributes as the protobuf library does", () => {
    const text = fc.string({ unit: "grapheme" });
    fc.assert(
      fc.property(
        fc.dictionary(text, fc.jsonValue({ maxDepth: 5, stringUnit: "grapheme" })),
        fc.dictionary(text, text),
        (metadata, attributes) => {
          // The library loses this key.
          fc.pre(!JSON.stringify([metadata, attributes]).includes("__proto__"));
          const json = { metadata: metadata as JsonObject, attributes };
          const expected = fromJson(IngestionDataSchema, json);
          expect(fromBinary(IngestionDataSchema, encode(json))).toEqual(expected);
        },
      ),
    );
  });

  it("keeps 32 levels, long texts and the key __proto__", () => {
    const long = "é".repeat(100_000);
    const metadata = `{"__proto__":{"a":1},"long":"${long}","nested":${JSON.stringify(nested(31))}}`;
    const record = encode(JSON.parse(`{"metadata":${metadata},"attributes":{"__proto__":"x"}}`));
    const view = new RecordView().read(record);
    expect(structToJson(view.slice(RECORD_FIELD.metadata), LIMITS.metadataDepth)).toBe(metadata);
    expect(attributesToJson(view.attributes())).toBe('{"__proto__":"x"}');
  });

  it("leaves a number that JSON hasn't to the validation", () => {
    const json = JSON.parse(
      '{"sourceType":"a","sourceId":"b","updatedAt":"2026-01-01T00:00:00Z","metadata":{"a":1e400}}',
    );
    const context = { tenantId: "acme", nowMs: Date.now(), maxRecordBytes: LIMITS.recordBytes };
    expect(validateRecord(encode(json), context)).toMatchObject({
      reason: "invalid_metadata",
      field: "metadata",
    });
  });

  it.each([
    [{ rawPayload: "s3cret" }],
    [{ rawPayload: { content: "s3cret?" } }],
    [{ data: 53_7281 }],
    [{ lang: true }],
    [{ updatedAt: 'a "quoted"\ns3cret' }],
  ])("quotes no value in its reason: %j", (json) => {
    const { field, message } = recordFromJson(json) as RejectedRecord;
    expect(field).not.toBe("");
    expect(message).not.toMatch(/s3cret|537281|true/);
  });

  it("quotes no more of an unknown key than a receipt should hold", () => {
    const { field, message } = recordFromJson({ ["k".repeat(1e6)]: 1 }) as RejectedRecord;
    expect(field.length + message.length).toBeLessThan(1_000);
  });

  it("names the key it doesn't know", () => {
    expect(recordFromJson({ sourceTyp: "x" })).toMatchObject({
      message: expect.stringContaining("sourceTyp"),
    });
  });
});
