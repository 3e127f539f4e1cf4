import { create, toBinary } from "@bufbuild/protobuf";
import {
  CallSchema,
  DeadLabelSchema,
  DroppedCountSchema,
  EnrichmentSchema,
  PipelineRefSchema,
  type RecordBatch,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HASH_BYTES } from "../record/content-hash.ts";
import { UUID_BYTES } from "../record/uuid.ts";
import { encodeSample, reduceSample, sampleBatch, sampleRawBatch } from "../testing/sample-batches.ts";
import { callAt, contentHashAt, fingerprintAt, ordinalAt, uuidAt } from "./batch-columns.ts";
import { decodeBatch, NEWEST_ENVELOPE_VERSION, REPLAY_ENVELOPE_VERSION } from "./decode-batch.ts";
import { wholeColumns } from "./whole-columns.ts";

const records = [
  { tenantId: "acme", data: "one" },
  { tenantId: "globex", data: "two", pipelineVersion: 4, enrichment: { lang: "en" } },
  { tenantId: "acme", data: "three", dead: { reason: "step_error" } },
];

/** Two records more that dedup dropped, as these columns say. */
function drop(
  batch: RecordBatch,
  uuids: readonly number[],
  callOf: number[],
  pipelineOf: number[],
): RecordBatch {
  batch.acceptedCount += 2;
  batch.dropped.push(create(DroppedCountSchema, { tenantId: "acme", count: 2 }));
  batch.droppedUuids = Buffer.concat(uuids.map((byte) => Buffer.alloc(UUID_BYTES, byte)));
  batch.droppedCallOf = callOf;
  batch.droppedPipelineOf = pipelineOf;
  return batch;
}

const reduced = (): RecordBatch => drop(sampleBatch({ records }), [8, 9], [0, 1], [1, 0]);

function decoded(batch: RecordBatch): RecordBatch {
  const result = decodeBatch(encodeSample(batch));
  if (result.kind !== "batch") throw new Error(JSON.stringify(result));
  return result.batch;
}

describe("a valid batch", () => {
  test.each([
    ["of the gateway", sampleRawBatch({ records })],
    ["of the enricher", sampleBatch({ records })],
    ["of no records", sampleRawBatch({ records: [] })],
  ])("%s comes out as it went in", (_, batch) => {
    expect(toBinary(RecordBatchSchema, decoded(batch))).toEqual(toBinary(RecordBatchSchema, batch));
  });

  test("that dedup has dropped records from", () => {
    const batch = sampleBatch({ records });
    batch.acceptedCount += 7;
    batch.ordinals = [3, 5, 9];
    batch.dropped = [
      create(DroppedCountSchema, { tenantId: "acme", count: 3 }),
      create(DroppedCountSchema, { tenantId: "globex", count: 4 }),
    ];
    expect(decoded(batch).originals).toHaveLength(3);
  });

  test("that dedup has dropped records from, with whose they were", () => {
    const { originals, droppedUuids } = decoded(reduced());
    expect(originals).toHaveLength(3);
    expect(droppedUuids).toHaveLength(2 * UUID_BYTES);
  });

  test.each([[[0, 2]], [[0, 1, 2]]])("that the gateway has dropped records %j from", (known) => {
    const batch = reduceSample(sampleRawBatch({ records }), known);
    expect(toBinary(RecordBatchSchema, decoded(batch))).toEqual(toBinary(RecordBatchSchema, batch));
    const whole = wholeColumns(decoded(batch));
    const { uuids, callOf } = wholeColumns(decoded(sampleRawBatch({ records })));
    expect(whole).toMatchObject({ callOf, pipelineOf: [] });
    expect(whole.uuids).toHaveLength(uuids.length);
  });

  test("can be read record by record", () => {
    const sample = sampleBatch({ records });
    const batch = decoded(sample);
    for (const index of [0, 1, 2]) {
      expect(callAt(batch, index).tenantId).toBe(records[index]!.tenantId);
      const ofColumn = (column: Uint8Array, width: number) =>
        new Uint8Array(column).slice(index * width, (index + 1) * width);
      expect(uuidAt(batch, index)).toEqual(ofColumn(sample.uuids, UUID_BYTES));
      expect(contentHashAt(batch, index)).toEqual(ofColumn(sample.contentHashes, HASH_BYTES));
      expect(fingerprintAt(batch, index)).toEqual(ofColumn(sample.fingerprints, HASH_BYTES));
      expect(ordinalAt(batch, index)).toBe(index);
    }
    batch.ordinals = [2, 4, 8];
    expect([0, 1, 2].map((index) => ordinalAt(batch, index))).toEqual([2, 4, 8]);
  });

  test("may hold fields that this version doesn't know", () => {
    const bytes = Buffer.concat([encodeSample(sampleBatch({ records })), Buffer.from([0xf8, 0x7f, 1])]);
    expect(decodeBatch(bytes).kind).toBe("batch");
  });
});

describe("a replay", () => {
  const replay = (): RecordBatch => ({
    ...sampleRawBatch({ records }),
    envelopeVersion: REPLAY_ENVELOPE_VERSION,
    replayOf: new Uint8Array(UUID_BYTES).fill(7),
    replayOrdinals: [2, 5, 40],
  });

  test("says of which batch, and which of its records", () => {
    expect(decoded(replay()).replayOrdinals).toEqual([2, 5, 40]);
  });

  test.each<[string, Partial<RecordBatch>]>([
    ["names no batch", { replayOf: new Uint8Array() }],
    ["lacks a place", { replayOrdinals: [2, 5] }],
    ["has a place twice", { replayOrdinals: [2, 5, 5] }],
    ["claims to be none", { envelopeVersion: REPLAY_ENVELOPE_VERSION - 1 }],
    ["lacks records", { acceptedCount: 4, dropped: [create(DroppedCountSchema, { count: 1 })] }],
  ])("that %s is undecodable", (_, changes) => {
    expect(decodeBatch(encodeSample({ ...replay(), ...changes })).kind).toBe("undecodable");
  });
});

describe("a batch of newer software", () => {
  test("is told from one that is broken", () => {
    const batch = sampleBatch({ records });
    batch.envelopeVersion = NEWEST_ENVELOPE_VERSION + 1;
    const newer = { kind: "newer", envelopeVersion: NEWEST_ENVELOPE_VERSION + 1 };
    expect(decodeBatch(encodeSample(batch))).toEqual(newer);
    // Its columns may be others: they are not judged.
    batch.uuids = new Uint8Array();
    expect(decodeBatch(encodeSample(batch))).toEqual(newer);
  });
});

describe("a batch that the gateway has dropped records from", () => {
  const known = (): RecordBatch => reduceSample(sampleRawBatch({ records }), [0, 2]);

  test.each<[string, RegExp, (batch: RecordBatch) => void]>([
    ["sources", /column dropped_source_of has the length 0, not 2/, (batch) => (batch.droppedSourceOf = [])],
    ["uuids", /column dropped_uuids has the length 0, not 32/, (batch) => (batch.droppedUuids = Buffer.of())],
    ["calls", /column dropped_call_of has the length 0, not 2/, (batch) => (batch.droppedCallOf = [])],
    ["a source that is there", /no source/, (batch) => (batch.droppedSourceOf = [0, 1])],
    [
      "a pipeline once it is enriched",
      /column dropped_pipeline_of has the length 0, not 2/,
      (batch) => {
        const { origin, pipelines, fingerprints } = sampleBatch({ records: [records[1]!] });
        Object.assign(batch, { origin, pipelines, pipelineOf: [0], fingerprints });
      },
    ],
  ])("must have %s", (_, detail, damage) => {
    const batch = known();
    damage(batch);
    expect(decodeBatch(encodeSample(batch))).toEqual({
      kind: "undecodable",
      detail: expect.stringMatching(detail),
    });
  });
});

describe("a batch whose parts don't agree", () => {
  const shorter = (column: Uint8Array): Uint8Array => column.subarray(1);

  test.each<[string, RegExp, (batch: RecordBatch) => void]>([
    ["no version", /no envelope version/, (batch) => (batch.envelopeVersion = 0)],
    ["no batch id", /a batch id of 0 bytes/, (batch) => (batch.batchId = new Uint8Array())],
    ["a long batch id", /a batch id of 17 bytes/, (batch) => (batch.batchId = new Uint8Array(17))],
    ["fewer accepted", /3 records and 0 dropped where 2 were accepted/, (batch) => (batch.acceptedCount = 2)],
    ["more accepted", /3 records and 0 dropped where 4 were accepted/, (batch) => (batch.acceptedCount = 4)],
    [
      "dropped records that were never accepted",
      /3 records and 2 dropped where 3 were accepted/,
      (batch) => batch.dropped.push(create(DroppedCountSchema, { count: 2 })),
    ],
    ["a record more", /4 records and 0 dropped/, (batch) => batch.originals.push(new Uint8Array())],
    ["call_of", /column call_of has the length 2, not 3/, (batch) => batch.callOf.pop()],
    ["uuids", /column uuids has the length 47, not 48/, (batch) => (batch.uuids = shorter(batch.uuids))],
    [
      "content_hashes",
      /column content_hashes has the length 47, not 48/,
      (batch) => (batch.contentHashes = shorter(batch.contentHashes)),
    ],
    ["versions_us", /column versions_us has the length 4, not 3/, (batch) => batch.versionsUs.push(0n)],
    ["ordinals", /column ordinals has the length 1, not 3/, (batch) => batch.ordinals.push(0)],
    ["pipeline_of", /column pipeline_of has the length 2, not 3/, (batch) => batch.pipelineOf.pop()],
    [
      "fingerprints",
      /column fingerprints has the length 47, not 48/,
      (batch) => (batch.fingerprints = shorter(batch.fingerprints)),
    ],
    [
      "dropped_uuids",
      /column dropped_uuids has the length 16, not 32/,
      (batch) => drop(batch, [9], [0], [0]),
    ],
    [
      "dropped_call_of",
      /column dropped_call_of has the length 1, not 2/,
      (batch) => drop(batch, [9, 9], [0], [0, 0]),
    ],
    [
      "dropped_pipeline_of",
      /column dropped_pipeline_of has the length 0, not 2/,
      (batch) => drop(batch, [9, 9], [0, 0], []),
    ],
    ["a dropped record of no call", /a record of no call/, (batch) => drop(batch, [9, 9], [0, 2], [0, 0])],
    [
      "a dropped record of no pipeline",
      /a record of no pipeline/,
      (batch) => drop(batch, [9, 9], [0, 0], [2, 0]),
    ],
    ["a call that isn't there", /a record of no call/, (batch) => (batch.callOf[1] = 2)],
    ["a pipeline that isn't there", /a record of no pipeline/, (batch) => (batch.pipelineOf[0] = 2)],
    [
      "an enrichment of no record",
      /an enrichment or a dead label of no record/,
      (batch) => batch.enrichments.push(create(EnrichmentSchema, { index: 3 })),
    ],
    [
      "a dead label of no record",
      /an enrichment or a dead label of no record/,
      (batch) => batch.deadLabels.push(create(DeadLabelSchema, { index: 3 })),
    ],
  ])("%s", (_, detail, damage) => {
    const batch = sampleBatch({ records });
    damage(batch);
    expect(decodeBatch(encodeSample(batch))).toEqual({
      kind: "undecodable",
      detail: expect.stringMatching(detail),
    });
  });

  test("calls and pipelines that no record uses do no harm", () => {
    const batch = sampleBatch({ records });
    batch.calls.push(create(CallSchema));
    batch.pipelines.push(create(PipelineRefSchema));
    expect(decodeBatch(encodeSample(batch)).kind).toBe("batch");
  });
});

describe("bytes that are no batch", () => {
  test.each([
    ["nothing", "", /no envelope version/],
    ["text", "hello, world", /not a RecordBatch/],
    ["JSON", '{"envelopeVersion":1}', /./],
  ])("%s", (_, text, detail) => {
    expect(decodeBatch(Buffer.from(text))).toEqual({
      kind: "undecodable",
      detail: expect.stringMatching(detail),
    });
  });

  /** Whatever is called a batch can be read at every record. */
  function check(bytes: Uint8Array): void {
    const result = decodeBatch(bytes);
    if (result.kind !== "batch") return;
    const { batch } = result;
    batch.originals.forEach((_, index) => {
      expect(callAt(batch, index)).toBeDefined();
      expect(uuidAt(batch, index)).toHaveLength(UUID_BYTES);
      expect(contentHashAt(batch, index)).toHaveLength(HASH_BYTES);
      expect(batch.versionsUs[index]).toBeTypeOf("bigint");
      expect(ordinalAt(batch, index)).toBeTypeOf("number");
      if (batch.origin === undefined) return;
      expect(fingerprintAt(batch, index)).toHaveLength(HASH_BYTES);
      expect(batch.pipelines[batch.pipelineOf[index]!]).toBeDefined();
    });
  }

  test("never throws, and never passes off damage as a batch", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), check), { numRuns: 1_000 });
    const valid = encodeSample(sampleBatch({ records }));
    for (let length = 0; length <= valid.length; length++) check(valid.subarray(0, length));
    const damages = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(damages, (list) => {
        const bytes = Buffer.from(valid);
        for (const [at, byte] of list) bytes[at] = byte;
        check(bytes);
      }),
      { numRuns: 1_000 },
    );
  });
});
