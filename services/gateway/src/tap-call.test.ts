import { create, toBinary } from "@bufbuild/protobuf";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { TailRequestSchema } from "@chowhound/shared/contracts/chowhound/v1/tap_service";
import { parseUuid } from "@chowhound/shared/record/uuid";
import { reject } from "@chowhound/shared/record/validate-record";
import { Tap } from "@chowhound/shared/tap/tap";
import { expect, test } from "vitest";
import { tapCall } from "./tap-call.ts";

const nothing = Buffer.alloc(0);
const acceptedRecord = {
  kind: "accepted" as const,
  bytes: nothing,
  contentHash: nothing,
  versionUs: 0,
  sourceType: nothing,
  sourceId: nothing,
};

test("shows accepted and rejected records, also those of which there are no bytes or none that can be read", () => {
  const tap = new Tap();
  const reader = tap.watch(create(TailRequestSchema, { maxContentBytes: 10 }), {
    onPending() {},
    onClosed() {},
  });
  const good = create(IngestionDataSchema, {
    sourceType: "host",
    sourceId: "web-1",
    dataId: "disk",
    data: "full",
  });
  const records = [
    toBinary(IngestionDataSchema, good),
    reject("invalid_metadata", "metadata", "metadata is no object"),
    Buffer.from([0xff]),
  ];
  const uuid = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
  const judged = [
    { ...acceptedRecord, uuid: parseUuid(uuid)! },
    reject("invalid_metadata", "metadata", "metadata is no object"),
    reject("malformed_record", "", "not an encoded record"),
  ];
  tap.show(tapCall(records, "acme", { records: judged, traceId: "t" }));
  const common = { tenantId: "acme", traceId: "t", pipelineVersion: 0n };
  const unread = { ...common, outcome: "rejected", uuid: "", sourceId: "", data: "", metadataJson: "" };
  expect(reader.take()!.records).toMatchObject([
    {
      ...common,
      outcome: "accepted",
      uuid,
      sourceType: "host",
      sourceId: "web-1",
      dataId: "disk",
      data: "full",
    },
    { ...unread, reason: "invalid_metadata", detail: "metadata is no object" },
    { ...unread, reason: "malformed_record", detail: "not an encoded record" },
  ]);
});
