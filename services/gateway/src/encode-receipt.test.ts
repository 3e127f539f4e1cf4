import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  DurabilityLevel,
  IngestResponseSchema,
  IngestStreamResponseSchema,
} from "@chowhound/shared/contracts/chowhound/v1/ingestion_service";
import { RECORD_REASONS } from "@chowhound/shared/errors/reasons";
import { parseUuid, UUID_BYTES } from "@chowhound/shared/record/uuid";
import { type AcceptedRecord, reject } from "@chowhound/shared/record/validate-record";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type CallReceipt, toReceipt } from "./call-receipt.ts";
import { encodeResponse } from "./encode-receipt.ts";

const nothing = Buffer.alloc(0);

/** A receipt tells an accepted record by its uuid alone. */
function accepted(uuid: Uint8Array): AcceptedRecord {
  return {
    kind: "accepted",
    bytes: nothing,
    uuid,
    contentHash: nothing,
    versionUs: 0,
    sourceType: nothing,
    sourceId: nothing,
  };
}

const text = fc.string({ unit: "binary", maxLength: 200 });
const uuid = fc.uint8Array({ minLength: UUID_BYTES, maxLength: UUID_BYTES });
const record = fc.oneof(
  uuid.map(accepted),
  fc.tuple(fc.constantFrom(...RECORD_REASONS), text, text).map((fields) => reject(...fields)),
);
const receipt: fc.Arbitrary<Omit<CallReceipt, "accepted">> = fc.record({
  receiptId: uuid,
  records: fc.array(record, { maxLength: 300 }),
  acceptedAtUs: fc.option(fc.integer({ min: 0, max: 2 ** 52 }), { nil: undefined }),
  traceId: fc.constantFrom("", "4bf92f3577b34da6a3ce929d0e0e4736"),
  durability: fc.constantFrom(
    DurabilityLevel.UNSPECIFIED,
    DurabilityLevel.WRITTEN,
    DurabilityLevel.SYNCED_REPLICATED,
  ),
});

test("writes what the protobuf library writes", () => {
  fc.assert(
    fc.property(receipt, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (uncounted, batchNumber) => {
      const isAccepted = ({ kind }: { kind: string }): boolean => kind === "accepted";
      const given = { ...uncounted, accepted: uncounted.records.filter(isAccepted).length };
      const message = toReceipt(given);
      const unary = create(IngestResponseSchema, { receipt: message });
      expect(encodeResponse(given)).toEqual(Buffer.from(toBinary(IngestResponseSchema, unary)));
      const stream = create(IngestStreamResponseSchema, { receipt: message, batchNumber });
      expect(encodeResponse(given, batchNumber)).toEqual(
        Buffer.from(toBinary(IngestStreamResponseSchema, stream)),
      );
    }),
  );
});

test("stays the same from release to release", () => {
  const ids = ["01a1fa80-c69d-750d-bfd4-364c8792acf5", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"];
  const [receiptId, uuidOfRecord] = ids.map((id) => parseUuid(id)!);
  const given: CallReceipt = {
    receiptId: receiptId!,
    records: [accepted(uuidOfRecord!), reject("invalid_uuid", "uuid", "not a uuid")],
    accepted: 1,
    acceptedAtUs: 1_768_478_400_123_456,
    traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
    durability: DurabilityLevel.SYNCED,
  };
  expect(encodeResponse(given, 300n).toString("hex")).toBe(
    "0aa9010a2430316131666138302d633639642d373530642d626664342d333634633837393261636635120b08c0ada3cb06108094ef3a180120012a280a2430313766323265322d373962302d376363332d393863342d64633063306330373339386610012a2210021a0c696e76616c69645f757569642204757569642a0a6e6f742061207575696432203462663932663335373762333464613661336365393239643065306534373336380510ac02",
  );
  expect(fromBinary(IngestStreamResponseSchema, encodeResponse(given, 300n))).toMatchObject({
    batchNumber: 300n,
    receipt: {
      receiptId: ids[0],
      acceptedAt: { seconds: 1_768_478_400n, nanos: 123_456_000 },
      accepted: 1,
      rejected: 1,
      statuses: [
        { uuid: ids[1], outcome: 1 },
        { uuid: "", outcome: 2, reason: "invalid_uuid" },
      ],
    },
  });
});

test("gives bytes that later receipts leave alone", () => {
  const given = { receiptId: Buffer.alloc(UUID_BYTES, 1), records: [], accepted: 0, traceId: "" };
  const empty = { ...given, acceptedAtUs: undefined, durability: DurabilityLevel.UNSPECIFIED };
  const first = encodeResponse(empty);
  const copy = Buffer.from(first);
  encodeResponse({ ...empty, receiptId: Buffer.alloc(UUID_BYTES, 2) });
  expect(first).toEqual(copy);
});
