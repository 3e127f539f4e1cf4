import { readFileSync } from "node:fs";
import { equals, type JsonObject } from "@bufbuild/protobuf";
import { callAt, contentHashAt, fingerprintAt } from "@chowhound/shared/batch/batch-columns";
import { decodeBatch } from "@chowhound/shared/batch/decode-batch";
import {
  type RecordBatch,
  RecordBatchSchema,
} from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { DEAD_REASONS } from "@chowhound/shared/errors/reasons";
import { recordFingerprint } from "@chowhound/shared/record/content-hash";
import { RECORD_FIELD, RecordView } from "@chowhound/shared/record/record-view";
import {
  encodeSample,
  reduceSample,
  type SampleRecord,
  sampleRawBatch,
} from "@chowhound/shared/testing/sample-batches";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Additions, appendAdditions, enrichBatch } from "./enrich-batch.ts";
import { pipelineOf } from "./pipeline-for-test.ts";
import { createPipelineSet, type PipelineSet } from "./pipeline-set.ts";
import { failureReasons } from "./steps/step.ts";

const origin = { epoch: 1_700_000_000_000_000n, sequence: 42n };
const roomy = 8 * 1024 * 1024;

const set = createPipelineSet([
  pipelineOf(`
    - require: { fields: [metadata.name] }
    - derive_identity: { from: [metadata.name] }
    - redact: { fields: [metadata.email], detect: [email], drop_raw_payload: true }
    - map: { metadata.half: 'metadata.n / 2.0', attributes.size: 'string(size(data))' }
  `),
  pipelineOf("- set: { values: { lang: de } }", { tenant: "*", sourceType: "*", version: 3n }),
]);
const noPipelines = createPipelineSet([]);

/** What an enricher makes of a raw batch: the message, decoded as the next stage does. */
function pass(raw: RecordBatch, pipelines: PipelineSet = set, maxBytes = roomy): RecordBatch {
  const message = encodeSample(raw);
  const fitted = appendAdditions(
    message,
    enrichBatch(decode(message), origin, pipelines, { maxBytes }),
    maxBytes,
  );
  expect(fitted?.bytes.length).toBeLessThanOrEqual(maxBytes);
  return decode(fitted!.bytes);
}

function decode(message: Uint8Array): RecordBatch {
  const decoded = decodeBatch(message);
  if (decoded.kind !== "batch") throw new Error(JSON.stringify(decoded));
  return decoded.batch;
}

/** What became of one record, whatever its place. */
function fateOf(batch: Additions, index: number) {
  const { index: _, ...enrichment } = batch.enrichments.find((entry) => entry.index === index) ?? { index };
  const { index: __, ...label } = batch.deadLabels.find((entry) => entry.index === index) ?? { index };
  return {
    enrichment,
    label,
    pipeline: batch.pipelines[batch.pipelineOf[index]!],
    fingerprint: Buffer.from(fingerprintAt(batch as RecordBatch, index)).toString("hex"),
  };
}

const someRecord: fc.Arbitrary<SampleRecord> = fc.record(
  {
    tenantId: fc.constantFrom("acme", "other"),
    sourceType: fc.constantFrom("forum", "chat"),
    dataId: fc.constantFrom("", "a", "b"),
    data: fc.constantFrom("plain", "write to ann@example.org", "grüße 🎉"),
    metadata: fc.record(
      {
        name: fc.constantFrom("x", "y:z", ""),
        n: fc.constantFrom<(number | string)[]>(1, 4, "text"),
        email: fc.constant("ann@example.org"),
      },
      { requiredKeys: [] },
    ) as fc.Arbitrary<JsonObject>,
    attributes: fc.constantFrom<Record<string, string>[]>({}, { size: "5" }, { b: "2", a: "1" }),
    lang: fc.constantFrom("", "de"),
    updatedAtUs: fc.constant(1_700_000_000_000_000),
  },
  { requiredKeys: ["dataId", "data", "updatedAtUs"] },
);
const someRecords = fc.array(someRecord, { minLength: 1, maxLength: 12 });

describe("whatever the records", () => {
  const outcomes = new Set<string>();

  test("appending says the same as encoding anew, and changes nothing of what the gateway wrote", () => {
    fc.assert(
      fc.property(someRecords, (records) => {
        const raw = sampleRawBatch({ records });
        const additions = enrichBatch(raw, origin, set, { maxBytes: roomy });
        const passed = pass(raw);
        expect(equals(RecordBatchSchema, passed, { ...raw, ...additions })).toBe(true);
        expect(passed.originals.length).toBe(records.length);
        expect(passed.origin).toMatchObject(origin);
        for (const label of passed.deadLabels) outcomes.add(label.reason);
        if (passed.enrichments.length > 0) outcomes.add("enriched");
      }),
      { numRuns: 200 },
    );
    // All of these were seen, or the properties say little.
    expect([...outcomes]).toEqual(
      expect.arrayContaining(["enriched", "required_field_missing", "map_failed", "identity_missing"]),
    );
  });

  test("a record fares the same alone as among others", () => {
    fc.assert(
      fc.property(someRecords, (records) => {
        const batch = enrichBatch(sampleRawBatch({ records }), origin, set, { maxBytes: roomy });
        records.forEach((record, index) => {
          const alone = enrichBatch(sampleRawBatch({ records: [record] }), origin, set, { maxBytes: roomy });
          expect(fateOf(batch, index)).toEqual(fateOf(alone, 0));
        });
      }),
      { numRuns: 100 },
    );
  });

  test("the fingerprint is that of the final key and the pipeline's version; zeros for the dead", () => {
    fc.assert(
      fc.property(someRecords, (records) => {
        const passed = pass(sampleRawBatch({ records }));
        passed.originals.forEach((original, index) => {
          const view = new RecordView().read(original);
          const enrichment = passed.enrichments.find((entry) => entry.index === index);
          const expected = passed.deadLabels.some((label) => label.index === index)
            ? Buffer.alloc(16)
            : recordFingerprint({
                tenantId: callAt(passed, index).tenantId,
                sourceType: view.slice(RECORD_FIELD.sourceType),
                sourceId: view.slice(RECORD_FIELD.sourceId),
                dataId: enrichment?.dataId ?? view.slice(RECORD_FIELD.dataId),
                versionUs: passed.versionsUs[index]!,
                contentHash: Buffer.from(contentHashAt(passed, index)),
                pipelineVersion: passed.pipelines[passed.pipelineOf[index]!]!.version,
              });
          expect(Buffer.from(fingerprintAt(passed, index))).toEqual(expected);
        });
      }),
      { numRuns: 100 },
    );
  });
});

test("notes what a pipeline changed, and only that", () => {
  const passed = pass(
    sampleRawBatch({
      records: [
        {
          dataId: "",
          data: "write to ann@example.org",
          metadata: { name: "x:1", n: 3, email: "a@b.cd" },
          attributes: { z: "1" },
        },
        { sourceType: "chat", lang: "de" },
      ],
    }),
  );
  expect(passed.enrichments).toHaveLength(1);
  expect(passed.enrichments[0]).toMatchObject({
    index: 0,
    dataId: "x%3A1",
    data: "write to [redacted]",
    metadataJson: '{"n":3,"name":"x:1","half":1.5}',
    attributesJson: '{"size":"19","z":"1"}',
    dropRawPayload: true,
  });
  expect(passed.enrichments[0]?.lang).toBeUndefined();
  expect(passed.pipelines).toMatchObject([
    { tenantId: "acme", sourceType: "forum", version: 7n },
    { tenantId: "*", sourceType: "*", version: 3n },
  ]);
  expect(passed.pipelineOf).toEqual([0, 1]);
});

test("what the gateway has dropped is told the pipeline that it would have gone through", () => {
  const known = [{ sourceType: "forum" }, { sourceType: "chat" }, { tenantId: "other" }];
  const records = [known[0]!, { metadata: { name: "x" } }, known[1]!, known[2]!, known[1]!];
  const passed = pass(reduceSample(sampleRawBatch({ records }), [0, 2, 3, 4]));
  expect(passed.pipelines).toMatchObject([
    { tenantId: "acme", sourceType: "forum", version: 7n },
    { tenantId: "*", sourceType: "*", version: 3n },
  ]);
  expect(passed.pipelineOf).toEqual([0]);
  expect(passed.droppedPipelineOf).toEqual([0, 1, 1, 1]);
  expect(passed).toMatchObject({ acceptedCount: 5, ordinals: [1] });
});

test("without a pipeline a record passes as version 0, unless it has no data_id", () => {
  const passed = pass(sampleRawBatch({ records: [{}, { dataId: "" }, {}] }), noPipelines);
  expect(passed.pipelines).toMatchObject([{ tenantId: "", sourceType: "", version: 0n }]);
  expect(passed.pipelineOf).toEqual([0, 0, 0]);
  expect(passed.enrichments).toEqual([]);
  expect(passed.deadLabels).toMatchObject([{ index: 1, stage: "enricher", reason: "identity_missing" }]);
});

test("a pipeline that empties data_id leaves a record without identity", () => {
  const emptying = createPipelineSet([pipelineOf('- set: { values: { data_id: "" } }')]);
  const passed = pass(sampleRawBatch({ records: [{}] }), emptying);
  expect(passed.deadLabels).toMatchObject([{ index: 0, reason: "identity_missing" }]);
});

test("what a pipeline writes beyond the limits makes the record dead, with field and limit but no contents", () => {
  const long = createPipelineSet([pipelineOf("- map: { data_id: 'data + data' }")]);
  const records = [{ data: "ok" }, { data: "secret".repeat(100) }, { data: "ok" }];
  const passed = pass(sampleRawBatch({ records }), long);
  expect(passed.enrichments.map(({ index }) => index)).toEqual([0, 2]);
  expect(passed.deadLabels).toMatchObject([
    { index: 1, reason: "enriched_field_invalid", detail: "data_id has 1200 bytes, more than 1024" },
  ]);
});

test("names the step that failed", () => {
  const passed = pass(sampleRawBatch({ records: [{ metadata: { name: "x", n: "text" } }] }));
  expect(passed.deadLabels[0]).toMatchObject({ reason: "map_failed" });
  expect(passed.deadLabels[0]?.detail).toMatch(/^3:map: metadata\.half: found no matching overload/);
});

test("bytes that are no record are dead as they are", () => {
  const raw = sampleRawBatch({ records: [{}, {}, {}] });
  raw.originals[1] = Buffer.from("not a record at all");
  const passed = pass(raw);
  expect(Buffer.from(passed.originals[1]!).toString()).toBe("not a record at all");
  expect(passed.deadLabels.find(({ index }) => index === 1)).toMatchObject({ reason: "undecodable_record" });
});

describe("a batch that would outgrow its message", () => {
  const doubling = createPipelineSet([pipelineOf("- map: { metadata.copy: 'data' }")]);
  const sizes = [10, 50_000, 10, 20_000, 30_000];
  const raw = sampleRawBatch({ records: sizes.map((size) => ({ data: "x".repeat(size) })) });
  const length = encodeSample(raw).length;

  test("loses the largest enrichments, whose records are dead, until it fits", () => {
    for (const [room, outgrown] of [
      [110_000, []],
      [60_000, [1]],
      [25_000, [1, 4]],
      [2_000, [1, 3, 4]],
    ] as const) {
      const passed = pass(raw, doubling, length + room);
      const dead = passed.deadLabels.map(({ index, reason }) => [index, reason]);
      expect(dead.sort()).toEqual(outgrown.map((index) => [index, "outgrew_message"]));
      const indices = sizes.map((_, index) => index);
      expect(passed.enrichments.map(({ index }) => index)).toEqual(
        indices.filter((index) => !outgrown.some((gone) => gone === index)),
      );
      for (const index of outgrown)
        expect(fingerprintAt(passed, index).every((byte) => byte === 0)).toBe(true);
    }
  });

  test("never holds much more than a message takes", () => {
    const growing = createPipelineSet([
      pipelineOf(`- map: { data: 'data.replace("x", "${"y".repeat(1_000)}")' }`),
    ]);
    const records = Array.from({ length: 200 }, (_, i) => ({ data: "x".repeat(i % 10 === 0 ? 1 : 500) }));
    const batch = sampleRawBatch({ records });
    const maxBytes = encodeSample(batch).length + 1_000_000;
    const { enrichments, deadLabels } = enrichBatch(batch, origin, growing, { maxBytes });
    const held = enrichments.reduce((sum, { data }) => sum + data!.length, 0);
    expect(held).toBeLessThanOrEqual(2 * maxBytes);
    expect(enrichments.length + deadLabels.length).toBe(200);
    const passed = pass(batch, growing, maxBytes);
    expect(passed.enrichments.length).toBeGreaterThan(20);
    // The small ones, every tenth, are not in anybody's way.
    expect(passed.deadLabels.filter(({ index }) => index % 10 === 0)).toEqual([]);
  });

  test("loses the details when nothing else is left to lose", () => {
    const failing = createPipelineSet([pipelineOf("- require: { fields: [metadata.a_rather_long_name] }")]);
    const many = sampleRawBatch({ records: Array.from({ length: 100 }, () => ({})) });
    const bytes = encodeSample(many).length;
    const passed = pass(many, failing, bytes + 6_000);
    expect(passed.deadLabels).toHaveLength(100);
    expect(passed.deadLabels.every(({ detail }) => detail === "")).toBe(true);
    expect(
      appendAdditions(
        encodeSample(many),
        enrichBatch(many, origin, failing, { maxBytes: bytes }),
        bytes + 100,
      ),
    ).toBeUndefined();
  });
});

test("every reason for which a step fails is one of dead letters, and explained to those who write pipelines", () => {
  expect(DEAD_REASONS).toEqual(expect.arrayContaining([...failureReasons]));
  const guide = readFileSync(new URL("../../../docs/pipelines.md", import.meta.url), "utf8");
  for (const reason of [...failureReasons, "enriched_field_invalid", "outgrew_message", "kills_process"])
    expect(guide).toContain(`\n### ${reason}\n`);
});
