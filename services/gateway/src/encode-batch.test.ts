import { create, toBinary } from "@bufbuild/protobuf";
import {
  decodeBatch,
  ENVELOPE_VERSION,
  REDUCED_ENVELOPE_VERSION,
} from "@chowhound/shared/batch/decode-batch";
import {
  DroppedCountSchema,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { LIMITS } from "@chowhound/shared/record/limits";
import { formatUuid } from "@chowhound/shared/record/uuid";
import type { AcceptedRecord } from "@chowhound/shared/record/validate-record";
import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeBatch, type NewBatch } from "./encode-batch.ts";
import { isKnown, KnownRecord } from "./known-record.ts";

const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 });
const text = fc.string({ unit: "binary", maxLength: 20 });
const accepted: fc.Arbitrary<AcceptedRecord> = fc.record({
  kind: fc.constant("accepted"),
  bytes: fc.uint8Array({ maxLength: 300 }),
  uuid: bytes16,
  contentHash: bytes16,
  versionUs: fc.integer({ min: LIMITS.earliestUs, max: 2 ** 52 }),
  sourceType: bytes16,
  sourceId: bytes16,
});
const name = fc.constantFrom("a", "b");
const known: fc.Arbitrary<KnownRecord> = fc
  .record({ uuid: bytes16.map((bytes) => formatUuid(bytes)), sourceType: name, sourceId: name })
  .map((record) => new KnownRecord(toBinary(IngestionDataSchema, create(IngestionDataSchema, record))));
const records = fc.oneof(
  fc.array(accepted, { minLength: 1, maxLength: 200 }),
  fc.array(fc.oneof(accepted, known), { minLength: 1, maxLength: 200 }),
  fc.array(known, { minLength: 1, maxLength: 200 }),
);
const batch: fc.Arbitrary<NewBatch> = records
  .chain((list) => fc.tuple(...list.map((record) => fc.tuple(fc.constant(record), fc.nat(4)))))
  .chain((pairs) =>
    fc.record({
      batchId: bytes16,
      acceptedAtUs: fc.integer({ min: 0, max: 2 ** 52 }),
      partition: fc.nat(255),
      calls: fc.array(
        fc.record({ tenantId: text, receiptId: bytes16, traceparent: text, tracestate: text }),
        { minLength: 5, maxLength: 5 },
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
      const entries = records.map((record, place) => ({ record, place, call: callOf[place]! }));
      const kept = entries.flatMap(({ record, ...entry }) => (isKnown(record) ? [] : [{ ...entry, record }]));
      const dropped = entries.filter(({ record }) => isKnown(record));
      const sourceOf = ({ record, call }: (typeof entries)[number]): string =>
        JSON.stringify([calls[call]!.tenantId, `${record.sourceType}`, `${record.sourceId}`]);
      const sources = [...new Set(dropped.map(sourceOf))];
      const message = create(RecordBatchSchema, {
        envelopeVersion: dropped.length > 0 ? REDUCED_ENVELOPE_VERSION : ENVELOPE_VERSION,
        batchId,
        acceptedAtUs: BigInt(acceptedAtUs),
        partition,
        acceptedCount: records.length,
        calls: [...calls],
        originals: kept.map(({ record }) => record.bytes),
        callOf: kept.map(({ call }) => call),
        uuids: Buffer.concat(kept.map(({ record }) => record.uuid)),
        contentHashes: Buffer.concat(kept.map(({ record }) => record.contentHash)),
        versionsUs: kept.map(({ record }) => BigInt(record.versionUs)),
        ordinals: dropped.length > 0 ? kept.map(({ place }) => place) : [],
        ...(acknowledged && {
          acknowledged: { epoch: acknowledged.epoch, sequence: BigInt(acknowledged.sequence) },
        }),
        dropped: sources.map((source) => {
          const [tenantId, sourceType, sourceId] = JSON.parse(source) as string[];
          const count = dropped.filter((entry) => sourceOf(entry) === source).length;
          return create(DroppedCountSchema, {
            tenantId: tenantId!,
            sourceType: sourceType!,
            sourceId: sourceId!,
            count,
          });
        }),
        droppedUuids: Buffer.concat(dropped.map(({ record }) => record.uuid)),
        droppedCallOf: dropped.map(({ call }) => call),
        droppedSourceOf: dropped.map((entry) => sources.indexOf(sourceOf(entry))),
      });
      const written = encodeBatch(given);
      expect(written).toEqual(Buffer.from(toBinary(RecordBatchSchema, message)));
      expect(decodeBatch(written).kind).toBe("batch");
    }),
  );
});
