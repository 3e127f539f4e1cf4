import { callAt, isReplay } from "@chowhound/shared/batch/batch-columns";
import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { DeadReason } from "@chowhound/shared/errors/reasons";
import type { Meter } from "@chowhound/shared/telemetry/meter";
import { OTHER_TENANTS, TENANT } from "@chowhound/shared/telemetry/metric-registry";
import type { BatchOutcome, WriteResult } from "./ingestion-writer.ts";
import { VERDICTS, type Verdict } from "./verdict.ts";

type Booked = Extract<BatchOutcome, { kind: "booked" }>;

/** Counts what a commit has come to. @param group its batches, in the order of the result's outcomes */
export function countCommit(
  meter: Meter,
  group: readonly { batch: RecordBatch; bytes: number }[],
  { outcomes, commit }: WriteResult,
): void {
  const nowMs = Date.now();
  if (commit !== undefined)
    meter.record("db.client.operation.duration", commit.tookMs / 1000, {
      "db.system.name": commit.system,
      "db.operation.name": "COMMIT",
    });
  for (const [place, outcome] of outcomes.entries()) {
    if (outcome.kind === "already_booked") {
      meter.count("chowhound.batches.already_booked", 1);
      continue;
    }
    const { batch, bytes } = group[place]!;
    meter.batch(batch.acceptedCount, bytes);
    countVerdicts(meter, batch, outcome);
    countDead(meter, batch, outcome);
    if (isReplay(batch)) {
      // It was accepted when it came first; how long it was a dead letter since then says nothing of the mesh.
      meter.count("chowhound.records.replayed", batch.acceptedCount);
      continue;
    }
    const acceptedMs = Number(batch.acceptedAtUs / 1000n);
    // The clocks of gateway and store may differ.
    const tookSeconds = Math.max(0, nowMs - acceptedMs) / 1000;
    meter.recordTimes("chowhound.accept_to_commit.duration", tookSeconds, batch.acceptedCount);
  }
}

function countVerdicts(meter: Meter, batch: RecordBatch, { verdicts, verdictAt }: Booked): void {
  const count = (tenantId: string, verdict: Verdict, by: number): void =>
    meter.count("chowhound.records.verdicts", by, { [TENANT]: tenantId, "chowhound.verdict": verdict });
  const tenants = new Set(batch.calls.map(({ tenantId }) => tenantId));
  const [tenant = OTHER_TENANTS] = tenants;
  if (tenants.size > 1 && verdictAt !== undefined) {
    for (const dropped of batch.dropped) count(dropped.tenantId, "duplicate", dropped.count);
    for (let index = 0; index < batch.originals.length; index++)
      count(callAt(batch, index).tenantId, verdictAt(index).verdict, 1);
    return;
  }
  for (const verdict of VERDICTS)
    if (verdicts[verdict] > 0) count(tenants.size > 1 ? OTHER_TENANTS : tenant, verdict, verdicts[verdict]);
}

function countDead(meter: Meter, batch: RecordBatch, { deadLabels = [] }: Booked): void {
  for (const { stage, reason } of batch.deadLabels)
    if (stage === "enricher")
      meter.count("chowhound.dead_letters", 1, {
        "chowhound.stage": "enricher",
        "chowhound.reason": reason as DeadReason,
      });
  for (const { reason } of deadLabels)
    meter.count("chowhound.dead_letters", 1, {
      "chowhound.stage": "store",
      "chowhound.reason": reason as DeadReason,
    });
}
