import { create } from "@bufbuild/protobuf";
import { TailRequestSchema } from "@chowhound/shared/contracts/chowhound/v1/tap_service";
import { Tap } from "@chowhound/shared/tap/tap";
import { sampleBatch } from "@chowhound/shared/testing/sample-batches";
import { expect, test } from "vitest";
import type { BatchOutcome, RecordVerdict } from "./ingestion-writer.ts";
import { showVerdicts } from "./show-verdicts.ts";
import { noVerdicts } from "./verdict.ts";

test("shows the records of what was booked now, by a sink that knows what became of each", () => {
  const tap = new Tap();
  const reader = tap.watch(create(TailRequestSchema), { onPending() {}, onClosed() {} });
  const batches = ["again", "new", "unknown"].map((sourceId) =>
    sampleBatch({ records: [{ sourceId }, { sourceId, dead: { reason: "step_error" } }, { sourceId }] }),
  );
  const verdicts: RecordVerdict[] = [
    { verdict: "stored" },
    { verdict: "dead_lettered", reason: "step_error", detail: "0:map" },
    { verdict: "dead_lettered", reason: "value_refused_by_database", detail: "22021" },
  ];
  const booked = (batchId: Uint8Array): BatchOutcome => ({
    kind: "booked",
    batchId,
    verdicts: noVerdicts(),
    committedFingerprints: new Uint8Array(),
  });
  const [again, isNew, unknown] = batches.map(({ batchId }) => batchId);
  const outcomes: BatchOutcome[] = [
    { kind: "already_booked", batchId: again! },
    { ...booked(isNew!), verdictAt: (index: number) => verdicts[index]! } as BatchOutcome,
    booked(unknown!),
  ];
  showVerdicts(tap, { generation: "1", outcomes }, batches);
  expect(
    reader
      .take()
      ?.records.map(({ sourceId, outcome, reason, detail }) => [sourceId, outcome, reason, detail]),
  ).toEqual([
    ["new", "stored", "", ""],
    ["new", "dead_lettered", "step_error", "0:map"],
    ["new", "dead_lettered", "value_refused_by_database", "22021"],
  ]);
});
