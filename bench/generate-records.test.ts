import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { IngestRequestSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { expect, test } from "vitest";
import {
  benchRecord,
  CALL_RECORDS,
  encodeOnDemand,
  encodeRequests,
  encodeRequestsWithRepeats,
  encodeUnderOtherUuids,
} from "./generate-records.ts";

test("a range is the same bytes every time, in calls of the given size", () => {
  const range = { first: 7, count: CALL_RECORDS + 3, revision: 0 };
  const requests = encodeRequests(range);
  expect(requests).toEqual(encodeRequests(range));
  const records = requests.flatMap((bytes) => fromBinary(IngestRequestSchema, bytes).records);
  expect(requests.map((bytes) => fromBinary(IngestRequestSchema, bytes).records.length)).toEqual([
    CALL_RECORDS,
    3,
  ]);
  expect(new Set(records.map(({ dataId }) => dataId)).size).toBe(records.length);
  expect(new Set(records.map(({ uuid }) => uuid)).size).toBe(records.length);
});

test("encoded on demand it is the same", () => {
  const range = { first: 7, count: CALL_RECORDS + 3, revision: 0 };
  expect([...encodeOnDemand(range)]).toEqual(encodeRequests(range));
});

test("every tenth record is one that is known", () => {
  const known = { first: 0, count: 10, revision: 1 };
  const requests = encodeRequestsWithRepeats({ first: 1_000, count: 100, revision: 0 }, known);
  const ids = requests
    .flatMap((bytes) => fromBinary(IngestRequestSchema, bytes).records)
    .map(({ dataId }) => Number(/\d+$/.exec(dataId)![0]));
  expect(ids).toHaveLength(100);
  expect(ids.filter((id) => id < 1_000)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(new Set(ids).size).toBe(100);
});

test("under other uuids all else is the same", () => {
  const range = { first: 7, count: 30, revision: 0 };
  const read = (requests: readonly Uint8Array[]) =>
    requests.flatMap((bytes) => fromBinary(IngestRequestSchema, bytes).records);
  const [records, others] = [read(encodeRequests(range)), read(encodeUnderOtherUuids(range))];
  const uuids = new Set([...records, ...others].map(({ uuid }) => uuid));
  expect(uuids.size).toBe(60);
  expect(others.map((record) => ({ ...record, uuid: "" }))).toEqual(
    records.map((record) => ({ ...record, uuid: "" })),
  );
});

test("a record has about 500 bytes", () => {
  for (const number of [0, 1, 99_999, 5_000_000]) {
    const bytes = toBinary(IngestionDataSchema, create(IngestionDataSchema, benchRecord(number, 0)));
    expect(bytes.length).toBeGreaterThan(440);
    expect(bytes.length).toBeLessThan(560);
  }
});

test("a later revision is about the same key and uuid, newer, and says something else", () => {
  const [first, second] = [0, 1].map((revision) =>
    create(IngestionDataSchema, benchRecord(42, revision)),
  ) as [ReturnType<typeof toRecord>, ReturnType<typeof toRecord>];
  for (const field of ["uuid", "sourceType", "sourceId", "dataId"] as const)
    expect(second[field]).toBe(first[field]);
  expect(second.updatedAt!.seconds).toBeGreaterThan(first.updatedAt!.seconds);
  expect(second.data).not.toBe(first.data);
});

function toRecord() {
  return create(IngestionDataSchema);
}
