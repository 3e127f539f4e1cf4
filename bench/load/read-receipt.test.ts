import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  IngestResponseSchema,
  IngestStreamResponseSchema,
  RecordOutcome,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { expect, test } from "vitest";
import { readReceipt } from "./read-receipt.ts";

const receiptId = "01890a5d-ac96-774b-bcce-b302099a8057";
const statuses = [
  { uuid: receiptId, outcome: RecordOutcome.ACCEPTED },
  { outcome: RecordOutcome.REJECTED, reason: "invalid_uuid", field: "uuid", message: "no uuid" },
];

test("the counts of a receipt, whatever else it holds", () => {
  const receipt = { receiptId, acceptedAt: timestampFromMs(1), accepted: 300, rejected: 2, statuses };
  const unary = toBinary(IngestResponseSchema, create(IngestResponseSchema, { receipt }));
  expect(readReceipt(Buffer.from(unary))).toEqual({ accepted: 300, rejected: 2, receiptId });
  const streamed = create(IngestStreamResponseSchema, { receipt, batchNumber: 7n });
  const bytes = toBinary(IngestStreamResponseSchema, streamed);
  expect(readReceipt(Buffer.from(bytes))).toEqual({ accepted: 300, rejected: 2, receiptId });
});

test("zeroes are not on the wire", () => {
  const empty = toBinary(IngestResponseSchema, create(IngestResponseSchema, { receipt: {} }));
  expect(readReceipt(Buffer.from(empty))).toEqual({ accepted: 0, rejected: 0, receiptId: "" });
});
