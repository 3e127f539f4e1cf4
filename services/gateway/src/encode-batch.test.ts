import { create, toBinary } from "@bufbuild/protobuf";
import { ENVELOPE_VERSION } from "@chowhound/shared/batch/decode-batch";
import { RecordBatchSchema } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { LIMITS } from "@chowhound/shared/record/limits";
import type { AcceptedRecord } from "@chowhound/shared/record/validate-record";
import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeBatch, type NewBatch } from "./encode-batch.ts";

const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 });
const text = fc.string({ unit: "binary", maxLength: 20 });
const record: fc.Arbitrary<AcceptedRecord> = fc.record({
  kind: fc.constant("accepted"),
  bytes: fc.uint8Array({ maxLength: 300 }),
  uuid: bytes16,
  contentHash: bytes16,
  versionUs: fc.integer({ min: LIMITS.earliestUs, max: 2 ** 52 }),
  sourceType: bytes16,
  sourceId: bytes16,
});
const batch: fc.Arbitrary<NewBatch> = fc
  .array(fc.tuple(record, fc.nat(300)), { minLength: 1, maxLength: 200 })
  .chain((pairs) =>
    fc.record({
      batchId: bytes16,
      acceptedAtUs: fc.integer({ min: 0, max: 2 ** 52 }),
      partition: fc.nat(255),
      calls: fc.array(
        fc.record({ tenantId: text, receiptId: bytes16, traceparent: text, tracestate: text }),
        { maxLength: 5 },
      ),
      records: fc.constant(pairs.map(([first]) => first)),
      callOf: fc.constant(pairs.map(([, second]) => second)),
      acknowledged: fc.option(
        fc.record({ epoch: fc.bigInt(1n, 2n ** 52n), sequence: fc.integer({ min: 1, max: 2 ** 52 }) }),
        { nil: undefined },
      ),
    }),
  );

test("writes what the protobuf library writes", () => {
  fc.assert(
    fc.property(batch, (given) => {
      const { batchId, acceptedAtUs, partition, calls, records, callOf, acknowledged } = given;
      const message = create(RecordBatchSchema, {
        envelopeVersion: ENVELOPE_VERSION,
        batchId,
        acceptedAtUs: BigInt(acceptedAtUs),
        partition,
        acceptedCount: records.length,
        calls: [...calls],
        originals: records.map(({ bytes }) => bytes),
        callOf: [...callOf],
        uuids: Buffer.concat(records.map(({ uuid }) => uuid)),
        contentHashes: Buffer.concat(records.map(({ contentHash }) => contentHash)),
        versionsUs: records.map(({ versionUs }) => BigInt(versionUs)),
        ...(acknowledged && {
          acknowledged: { epoch: acknowledged.epoch, sequence: BigInt(acknowledged.sequence) },
        }),
      });
      expect(encodeBatch(given)).toEqual(Buffer.from(toBinary(RecordBatchSchema, message)));
    }),
  );
});
