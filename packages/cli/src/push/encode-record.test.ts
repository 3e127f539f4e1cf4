import { fromBinary, fromJson, type JsonObject, toJson } from "@bufbuild/protobuf";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeRecord } from "./encode-record.ts";
import { parseJson } from "./parse-json.ts";

const none = { texts: {} };
const base = { source_type: "note", source_id: "s", data: "x", updated_at: "2026-01-01T00:00:00Z" };

function decode(json: JsonObject, defaults: Parameters<typeof encodeRecord>[1] = none) {
  const encoded = encodeRecord(json, defaults);
  if (!(encoded instanceof Uint8Array)) throw new Error(encoded.message);
  return fromBinary(IngestionDataSchema, encoded);
}

describe("encodeRecord", () => {
  it("says the same as the protobuf library, in either spelling", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 10 });
    const record = fc.record(
      {
        sourceType: text.filter(Boolean),
        sourceId: text.filter(Boolean),
        data: text,
        uuid: fc.uuid(),
        attributes: fc.dictionary(text, text, { maxKeys: 3 }),
        metadata: fc.dictionary(
          text.filter((key) => key !== "__proto__"),
          fc.jsonValue({ noUnicodeString: false, maxDepth: 3 }) as fc.Arbitrary<JsonObject>,
          { maxKeys: 3 },
        ),
        createdAt: fc
          .date({ min: new Date("1950-01-01"), max: new Date("2026-01-01"), noInvalidDate: true })
          .map((date) => date.toISOString()),
        rawPayload: fc.record({
          content: fc.uint8Array().map((bytes) => Buffer.from(bytes).toString("base64")),
        }),
      },
      { requiredKeys: ["sourceType", "sourceId", "uuid", "createdAt"] },
    );
    fc.assert(
      fc.property(record, fc.boolean(), (record, isSnake) => {
        const json = JSON.parse(JSON.stringify(record));
        const spelled = Object.fromEntries(
          Object.entries(json).map(([key, value]) => [
            isSnake ? key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : key,
            value,
          ]),
        );
        expect(toJson(IngestionDataSchema, decode(spelled as JsonObject))).toEqual(
          toJson(IngestionDataSchema, fromJson(IngestionDataSchema, json)),
        );
      }),
    );
  }, 30_000);

  it("gives the same record the same uuid, and another one another; a uuid of its own stays", () => {
    const { uuid } = decode(base);
    expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(decode({ ...base }).uuid).toBe(uuid);
    expect(decode({ ...base, data: "y" }).uuid).not.toBe(uuid);
    const own = "01a1fa71-3721-4bc1-9fb5-e84d349ba2e2";
    expect(decode({ ...base, uuid: own }).uuid).toBe(own);
  });

  it("fills in what is missing or empty, and only that", () => {
    const defaults = { texts: { source_id: "d", lang: "en" }, updatedAt: () => "2026-02-02T00:00:00Z" };
    const filled = decode({ source_type: "note", source_id: "", data: "x" }, defaults);
    expect(filled).toMatchObject({ sourceId: "d", lang: "en", updatedAt: { seconds: 1769990400n } });
    const { updatedAt, createdAt } = decode(
      { source_type: "n", source_id: "s", data: "x", createdAt: base.updated_at },
      defaults,
    );
    expect(updatedAt).toBeUndefined();
    expect(createdAt?.seconds).toBe(1767225600n);
  });

  it("keeps __proto__ in metadata", () => {
    const json = JSON.parse(JSON.stringify(base).replace("{", '{"metadata":{"__proto__":"kept"},'));
    expect(Buffer.from(encodeRecord(json, none) as Uint8Array).includes("kept")).toBe(true);
  });

  it.each<[string, unknown, string, string, string]>([
    ["no object", [1], "malformed_record", "", "not a JSON object"],
    [
      "an unknown field",
      { ...base, sku: 1 },
      "malformed_record",
      "sku",
      "put what is your own into metadata",
    ],
    ["both spellings", { ...base, sourceType: "x" }, "malformed_record", "source_type", "both spellings"],
    ["a number for a text", { ...base, data_id: 7 }, "malformed_record", "data_id", "not a text"],
    ["a list of metadata", { ...base, metadata: [1] }, "malformed_record", "metadata", "not a JSON object"],
    [
      "a number among attributes",
      { ...base, attributes: { a: 1 } },
      "malformed_record",
      "attributes",
      "of texts",
    ],
    [
      "a time without a zone",
      { ...base, updated_at: "2026-01-01 10:00" },
      "malformed_record",
      "updated_at",
      "RFC 3339",
    ],
    ["no source", { data: "x" }, "missing_field", "source_type", "--source-type"],
    ["no time", { ...base, updated_at: null }, "missing_time", "updated_at", "--now"],
    [
      "a time only in a v4 uuid",
      { ...base, updated_at: null, uuid: "01a1fa71-3721-4bc1-9fb5-e84d349ba2e2" },
      "missing_time",
      "updated_at",
      "--column updated_at=NAME",
    ],
    ["too much", { ...base, data: "x".repeat(1024 * 1024) }, "record_too_large", "", "split it"],
  ])("rejects %s, with the remedy", (_, json, reason, field, message) => {
    expect(encodeRecord(json as JsonObject, none)).toEqual({
      reason,
      field,
      message: expect.stringContaining(message),
    });
  });

  it("rejects metadata that is too deep", () => {
    const nested = (levels: number): JsonObject => (levels === 1 ? {} : { a: nested(levels - 1) });
    expect(decode({ ...base, metadata: nested(32) }).metadata).toBeDefined();
    expect(encodeRecord({ ...base, metadata: nested(33) }, none)).toMatchObject({
      reason: "metadata_too_deep",
    });
  });
});

describe("parseJson", () => {
  it.each([
    ['{"a":"\\ud83d"}', false],
    ['{"\\udc00":1}', false],
    ['{"a":"\\ud83d\\ude42"}', true],
    ['{"a":"\\\\ud83d"}', true],
    ['{"a":"🙂"}', true],
  ])("takes %s: %s", (text, isTaken) => {
    expect("json" in parseJson(text)).toBe(isTaken);
  });
});
