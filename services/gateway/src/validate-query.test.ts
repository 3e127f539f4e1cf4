import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  GetRecordRequestSchema,
  ListRecordsRequestSchema,
} from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { LIMITS } from "@chowhound/shared/record/limits";
import { describe, expect, it } from "vitest";
import { validateQuery } from "./validate-query.ts";

type Get = MessageInitShape<typeof GetRecordRequestSchema>;
type List = MessageInitShape<typeof ListRecordsRequestSchema>;

const key = { sourceType: "host", sourceId: "web-1", dataId: "disk" };
const byKey = (more: Partial<typeof key>): Get => ({ by: { case: "key", value: { ...key, ...more } } });
const byUuid = (value: string): Get => ({ by: { case: "uuid", value } });
const second = (seconds: number, nanos = 0) => ({ seconds: BigInt(seconds), nanos });

function expectRefusal(validate: () => void, field: string, message: string): void {
  const refusal = {
    reason: "invalid_query",
    message: expect.stringContaining(message),
    violations: [{ field, description: expect.stringContaining(field) }],
  };
  expect(validate).toThrow(expect.objectContaining(refusal));
}

describe("GetRecord", () => {
  it.each<Get>([
    byKey({}),
    byKey({ dataId: "ä".repeat(LIMITS.dataIdBytes / 2) }),
    byUuid("1B4E28BA-2fa1-41d2-883f-0016d3cca427"),
  ])("may ask for a record %#", (request) => {
    validateQuery(create(GetRecordRequestSchema, request));
  });

  it.each<[what: string, Get, field: string, message: string]>([
    ["nothing", {}, "by", "exactly one of key and uuid"],
    ["no uuid", byUuid("1b4e28ba"), "uuid", "36 characters"],
    ["the nil uuid", byUuid("00000000-0000-0000-0000-000000000000"), "uuid", "36 characters"],
    ["a key without a source type", byKey({ sourceType: "" }), "key.source_type", "empty"],
    ["a key without a source", byKey({ sourceId: "" }), "key.source_id", "empty"],
    ["a key without a data id", byKey({ dataId: "" }), "key.data_id", "empty"],
    ["a long source type", byKey({ sourceType: "ä".repeat(65) }), "key.source_type", "128 bytes"],
    ["a long source", byKey({ sourceId: "x".repeat(513) }), "key.source_id", "512 bytes"],
    ["a long data id", byKey({ dataId: "x".repeat(1025) }), "key.data_id", "1024 bytes"],
    ["U+0000", byKey({ dataId: "a\0" }), "key.data_id", "U+0000"],
  ])("may not ask for %s", (_, request, field, message) => {
    expectRefusal(() => validateQuery(create(GetRecordRequestSchema, request)), field, message);
  });
});

describe("ListRecords", () => {
  it.each<List>([
    {},
    { sourceType: "host", sourceId: "web-1", pageSize: 1000, pageToken: "x" },
    { storedSince: second(0), storedBefore: second(0, 1_000) },
  ])("may ask for records %#", (request) => {
    validateQuery(create(ListRecordsRequestSchema, request));
  });

  it.each<[what: string, List, field: string, message: string]>([
    ["a source without its type", { sourceId: "web-1" }, "source_id", "set that, too"],
    ["a long source", { sourceType: "a", sourceId: "x".repeat(513) }, "source_id", "512 bytes"],
    ["U+0000", { sourceType: "\0" }, "source_type", "U+0000"],
    ["a large page", { pageSize: 1001 }, "page_size", "1000"],
    ["milliseconds", { storedSince: second(Date.UTC(2026)) }, "stored_since", "unit"],
    ["no time", { storedBefore: second(1, 1e9) }, "stored_before", "nanos"],
    ["no span", { storedSince: second(7), storedBefore: second(7) }, "stored_before", "after stored_since"],
    ["a huge token", { pageToken: "x".repeat(8193) }, "page_token", "exactly as it came"],
  ])("may not ask for %s", (_, request, field, message) => {
    expectRefusal(() => validateQuery(create(ListRecordsRequestSchema, request)), field, message);
  });
});
