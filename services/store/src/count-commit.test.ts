import { isReplay } from "@chowhound/shared/batch/batch-columns";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import { Meter } from "@chowhound/shared/telemetry/meter";
import { OTHER_TENANTS, TENANT } from "@chowhound/shared/telemetry/metric-registry";
import { sampleBatch } from "@chowhound/shared/testing/sample-batches";
import { beforeEach, expect, test } from "vitest";
import { countCommit } from "./count-commit.ts";
import type { BatchOutcome } from "./ingestion-writer.ts";
import { noVerdicts, type Verdict, type VerdictCounts } from "./verdict.ts";

let meter: Meter;
beforeEach(() => {
  meter = new Meter("store");
});

const BYTES = 1_000;

function commit(batch: RecordBatch, outcome: Partial<Extract<BatchOutcome, { kind: "booked" }>> = {}): void {
  const booked: BatchOutcome = {
    kind: "booked",
    batchId: batch.batchId,
    verdicts: noVerdicts(),
    committedFingerprints: new Uint8Array(),
    ...outcome,
  };
  countCommit(meter, [{ batch, bytes: BYTES }], { generation: "1", outcomes: [booked] });
}

const counted = (tenantId: string, verdict: Verdict): number =>
  meter.total("chowhound.records.verdicts", { [TENANT]: tenantId, "chowhound.verdict": verdict });
const verdicts = (counts: Partial<VerdictCounts>): VerdictCounts => ({ ...noVerdicts(), ...counts });
const latency = () =>
  meter.metrics.find(({ name }) => name === "chowhound.accept_to_commit.duration")!.series[0]!.value;

/** acme, umbrella, acme; and dedup has dropped two more of umbrella. */
function mixedBatch(): RecordBatch {
  const batch = sampleBatch({ records: [{}, { tenantId: "umbrella" }, { tenantId: "acme" }] });
  batch.acceptedCount += 2;
  batch.dropped.push({
    $typeName: "chowhound.internal.v1.DroppedCount",
    tenantId: "umbrella",
    sourceType: "forum",
    sourceId: "town-square",
    count: 2,
  });
  return batch;
}

test("a batch of one tenant counts as a whole", () => {
  commit(sampleBatch({ records: [{}, {}, {}] }), { verdicts: verdicts({ stored: 2, stale: 1 }) });
  expect([counted("acme", "stored"), counted("acme", "stale")]).toEqual([2, 1]);
  expect(meter.total("chowhound.records.verdicts")).toBe(3);
  expect([meter.records, meter.batches]).toEqual([3, 1]);
});

test("one of several tenants counts record by record, dropped ones too", () => {
  const of: Verdict[] = ["stored", "updated", "stored"];
  commit(mixedBatch(), {
    verdicts: verdicts({ stored: 2, updated: 1, duplicate: 2 }),
    verdictAt: (index) => ({ verdict: of[index]! }),
  });
  expect(counted("acme", "stored")).toBe(2);
  expect([counted("umbrella", "updated"), counted("umbrella", "duplicate")]).toEqual([1, 2]);
  expect(meter.total("chowhound.records.verdicts")).toBe(5);
});

test("where the sink doesn't tell record by record, one of several tenants is nobody's", () => {
  commit(mixedBatch(), { verdicts: verdicts({ stored: 3, duplicate: 2 }) });
  expect([counted(OTHER_TENANTS, "stored"), counted(OTHER_TENANTS, "duplicate")]).toEqual([3, 2]);
  expect(meter.total("chowhound.records.verdicts")).toBe(5);
});

test("dead letters count by the stage that could not process the record", () => {
  const batch = sampleBatch({ records: [{ dead: { reason: "map_failed" } }, {}, {}] });
  commit(batch, {
    verdicts: verdicts({ dead_lettered: 2, stored: 1 }),
    deadLabels: [{ index: 1, reason: "value_refused_by_database" }],
  });
  const dead = (stage: "enricher" | "store") =>
    meter.metrics
      .find(({ name }) => name === "chowhound.dead_letters")!
      .series.filter(({ attributes, value }) => attributes["chowhound.stage"] === stage && value !== 0)
      .map(({ attributes, value }) => [attributes["chowhound.reason"], value]);
  expect(dead("enricher")).toEqual([["map_failed", 1]]);
  expect(dead("store")).toEqual([["value_refused_by_database", 1]]);
});

test("a record is on its way from its acceptance to now, each counts, and a clock that goes ahead is no time", () => {
  const at = (ms: number) => sampleBatch({ records: [{}, {}], acceptedAtUs: (Date.now() + ms) * 1000 });
  commit(at(-60_000));
  expect(latency()).toMatchObject({ count: 2 });
  expect((latency() as { sum: number }).sum / 2).toBeCloseTo(60, 0);
  meter = new Meter("store");
  commit(at(60_000));
  expect(latency()).toMatchObject({ count: 2, sum: 0 });
});

test("a replay is no measure of how long the way is", () => {
  const batch = sampleBatch({ records: [{}], acceptedAtUs: 1 });
  batch.replayOf = batch.batchId;
  expect(isReplay(batch)).toBe(true);
  commit(batch, { verdicts: verdicts({ stored: 1 }) });
  expect(latency()).toMatchObject({ count: 0 });
  expect(counted("acme", "stored")).toBe(1);
  expect(meter.total("chowhound.records.replayed")).toBe(1);
});

test("a batch that was booked before counts as that and nothing else", () => {
  const batch = sampleBatch({ records: [{}] });
  countCommit(meter, [{ batch, bytes: BYTES }], {
    generation: "1",
    outcomes: [{ kind: "already_booked", batchId: batch.batchId }],
  });
  expect(meter.total("chowhound.batches.already_booked")).toBe(1);
  expect([meter.batches, meter.total("chowhound.records.verdicts")]).toEqual([0, 0]);
});
