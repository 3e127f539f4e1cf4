import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ListRecordsRequestSchema } from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { describe, expect, it } from "vitest";
import { pageTokenAfter, readPageToken } from "./query-page-token.ts";

const request = (init: MessageInitShape<typeof ListRecordsRequestSchema> = {}) =>
  create(ListRecordsRequestSchema, init);
const position = { sourceType: "forum", sourceId: 'town "square" é', dataId: "\u{1f415}" };
const filters = { sourceType: "forum", storedSince: { seconds: 7n, nanos: 1 } };
const token = pageTokenAfter(position, "acme", request(filters));

describe("a page token", () => {
  it("leads to its position, with another page size, too", () => {
    expect(readPageToken("acme", request({ ...filters, pageToken: token, pageSize: 5 }))).toEqual(position);
  });

  it("is empty for the first page", () => {
    expect(readPageToken("acme", request(filters))).toBeUndefined();
  });

  it.each([
    ["of another tenant", "umbrella", filters],
    ["of other sources", "acme", { ...filters, sourceType: "host" }],
    ["of another time", "acme", { ...filters, storedSince: { seconds: 7n, nanos: 2 } }],
    ["of fewer filters", "acme", {}],
  ])("is refused for a listing %s", (_, tenantId, others) => {
    expect(() => readPageToken(tenantId, request({ ...others, pageToken: token }))).toThrow("other filters");
  });

  const encode = (json: unknown): string => Buffer.from(JSON.stringify(json)).toString("base64url");
  const [listing] = JSON.parse(Buffer.from(token, "base64url").toString());

  it.each([
    "nonsense",
    token.slice(0, -4),
    encode(null),
    encode([listing, "a", "b"]),
    encode([listing, "a", "b", 7]),
    encode([listing, "a", "b", "nul\0"]),
  ])("is refused where it was forged: %s", (pageToken) => {
    const read = () => readPageToken("acme", request({ ...filters, pageToken }));
    expect(read).toThrow(
      expect.objectContaining({
        reason: "invalid_query",
        violations: [expect.objectContaining({ field: "page_token" })],
      }),
    );
  });
});
