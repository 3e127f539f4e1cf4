import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { formatUuid } from "@chowhound/shared/record/uuid";
import { expect, test } from "vitest";
import { isKnown, KnownRecord } from "./known-record.ts";

const known = (record: MessageInitShape<typeof IngestionDataSchema>): KnownRecord =>
  new KnownRecord(toBinary(IngestionDataSchema, create(IngestionDataSchema, record)));

test("says who it is and whose, also after others were read", () => {
  const uuid = "0198c0de-0000-7000-8000-00000000000e";
  const one = known({ uuid, sourceType: "forum", sourceId: "größe", data: "x" });
  const other = known({ sourceType: "chat", sourceId: "a", tenantId: "acme" });
  expect([one, other].every(isKnown)).toBe(true);
  expect([`${one.sourceType}`, `${one.sourceId}`]).toEqual(["forum", "größe"]);
  expect([`${other.sourceType}`, `${other.sourceId}`]).toEqual(["chat", "a"]);
  expect(formatUuid(one.uuid)).toBe(uuid);
});

test("gets a uuid where it has none, as any record does", () => {
  const [one, other] = [known({ sourceType: "a" }), known({ sourceType: "a" })];
  expect(formatUuid(one.uuid)).toMatch(/^\w{8}-\w{4}-7/);
  expect(one.uuid).not.toEqual(other.uuid);
});
