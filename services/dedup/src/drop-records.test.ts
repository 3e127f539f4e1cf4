import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { ordinalAt } from "@chowhound/shared/batch/batch-columns";
import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import { wholeColumns } from "@chowhound/shared/batch/whole-columns";
import {
  type RecordBatch,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { encodeSample, type SampleRecord, sampleBatch } from "@chowhound/shared/testing/sample-batches";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dropRecords } from "./drop-records.ts";

const anyRecord = fc.record(
  {
    tenantId: fc.constantFrom("acme", "umbrella"),
    sourceType: fc.constantFrom("forum", "mail"),
    sourceId: fc.constantFrom("a", "b", "ü"),
    data: fc.string({ maxLength: 8 }),
    updatedAtUs: fc.integer({ min: 1, max: 2e15 }),
    pipelineVersion: fc.integer({ min: 0, max: 2 }),
    enrichment: fc.record(
      { lang: fc.constant("de"), data: fc.string({ maxLength: 8 }) },
      { requiredKeys: [] },
    ),
    dead: fc.constant({ reason: "step_error", detail: "boom" }),
  },
  { requiredKeys: ["tenantId"] },
);

/** A batch and for each of its records the round in which it is dropped: 0 never, 1 or 2. */
const anyDrops = fc
  .array(fc.tuple(anyRecord, fc.constantFrom(0, 1, 2)), { maxLength: 30 })
  .map((records) => ({
    batch: roundTrip(sampleBatch({ records: records.map(([record]) => record as SampleRecord) })),
    rounds: records.map(([, round]) => round),
  }));

function placesOf(rounds: readonly number[], isWanted: (round: number) => boolean): number[] {
  return rounds.flatMap((round, index) => (isWanted(round) ? [index] : []));
}

function roundTrip(batch: RecordBatch): RecordBatch {
  const decoded = decodeBatch(encodeSample(batch));
  if (decoded.kind !== "batch") throw new Error(JSON.stringify(decoded));
  return decoded.batch;
}

/** All that a batch says of one record, wherever it stands by now. */
function facts(batch: RecordBatch, index: number): unknown {
  const bytes = (column: Uint8Array): string =>
    Buffer.from(column.subarray(index * 16, index * 16 + 16)).toString("hex");
  const labels = <T extends { index: number }>(of: readonly T[]) =>
    of.filter((label) => label.index === index).map((label) => ({ ...label, index: undefined }));
  return {
    ordinal: ordinalAt(batch, index),
    original: Buffer.from(batch.originals[index]!).toString("hex"),
    call: batch.calls[batch.callOf[index]!],
    uuid: bytes(batch.uuids),
    contentHash: bytes(batch.contentHashes),
    versionUs: batch.versionsUs[index],
    pipeline: batch.pipelines[batch.pipelineOf[index]!],
    fingerprint: bytes(batch.fingerprints),
    enrichments: labels(batch.enrichments),
    deadLabels: labels(batch.deadLabels),
  };
}

/** The uuid, call and pipeline of every record that was accepted. */
function whose(batch: RecordBatch): unknown {
  const { uuids, callOf, pipelineOf } = wholeColumns(batch);
  return { uuids: Buffer.from(uuids).toString("hex"), callOf, pipelineOf };
}

function bySource({ dropped }: RecordBatch): Record<string, number> {
  return Object.fromEntries(
    dropped.map((drop) => [`${drop.tenantId}/${drop.sourceType}/${drop.sourceId}`, drop.count]),
  );
}

describe("dropping records", () => {
  it("counts the dropped by tenant and source", () => {
    const batch = sampleBatch({
      records: [
        { tenantId: "acme", sourceId: "a" },
        { tenantId: "umbrella", sourceId: "a" },
        { tenantId: "acme", sourceId: "a" },
        { tenantId: "acme", sourceId: "b" },
        { tenantId: "acme", sourceType: "mail", sourceId: "a" },
      ],
    });
    expect(bySource(dropRecords(batch, [0, 1, 2, 4]))).toEqual({
      "acme/forum/a": 2,
      "umbrella/forum/a": 1,
      "acme/mail/a": 1,
    });
  });

  it("leaves a batch of no records, with its origin, when all are dropped", () => {
    const batch = sampleBatch({ records: [{}, {}], origin: { epoch: 7n, sequence: 9n } });
    const rest = roundTrip(dropRecords(batch, [0, 1]));
    expect(rest).toMatchObject({ originals: [], acceptedCount: 2, origin: { epoch: 7n, sequence: 9n } });
    expect(rest.batchId).toEqual(new Uint8Array(batch.batchId));
  });

  it("keeps every column of the rest and loses no count", () => {
    fc.assert(
      fc.property(anyDrops, ({ batch, rounds }) => {
        const rest = roundTrip(
          dropRecords(
            batch,
            placesOf(rounds, (round) => round > 0),
          ),
        );
        const kept = placesOf(rounds, (round) => round === 0);
        expect(rest.originals.map((_, index) => facts(rest, index))).toEqual(
          kept.map((index) => facts(batch, index)),
        );
        const dropped = rest.dropped.reduce((sum, { count }) => sum + count, 0);
        expect(rest.originals.length + dropped).toBe(batch.acceptedCount);
        expect(rest.acceptedCount).toBe(batch.acceptedCount);
        expect(whose(rest)).toEqual(whose(batch));
      }),
    );
  });

  it("comes to the same in two steps as in one", () => {
    fc.assert(
      fc.property(anyDrops, ({ batch, rounds }) => {
        const first = roundTrip(
          dropRecords(
            batch,
            placesOf(rounds, (round) => round === 1),
          ),
        );
        const left = rounds.filter((round) => round !== 1);
        const second = dropRecords(
          first,
          placesOf(left, (round) => round === 2),
        );
        const atOnce = dropRecords(
          batch,
          placesOf(rounds, (round) => round > 0),
        );
        expect(bySource(second)).toEqual(bySource(atOnce));
        expect(whose(second)).toEqual(whose(batch));
        const withoutCounts = (of: RecordBatch) => toBinary(RecordBatchSchema, { ...of, dropped: [] });
        expect(Buffer.from(withoutCounts(second)).equals(withoutCounts(atOnce))).toBe(true);
      }),
    );
  });

  it("leaves the batch it was given as it is", () => {
    const batch = sampleBatch({
      records: [{ dead: { reason: "step_error" } }, { enrichment: { lang: "de" } }],
    });
    const once = dropRecords(batch, [0]);
    const before = encodeSample(once);
    dropRecords(once, [0]);
    expect(encodeSample(once)).toEqual(before);
    expect(fromBinary(RecordBatchSchema, encodeSample(batch)).originals).toHaveLength(2);
  });
});
