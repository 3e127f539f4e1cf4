import type { RecordBatch } from "@chowhound/shared/contracts/chowhound/internal/v1/record_batch";
import type { StageTrace } from "@chowhound/shared/telemetry/stage-trace";
import type { WriteTrace } from "@chowhound/shared/telemetry/write-trace";
import type { BatchOutcome, WriteResult } from "./ingestion-writer.ts";
import { VERDICTS } from "./verdict.ts";

/** Tells a commit on the spans of its group, batch by batch in their order, and ends the group's. */
export function traceCommit(
  trace: WriteTrace | undefined,
  group: readonly { batch: RecordBatch; trace: StageTrace | undefined }[],
  { outcomes, commit }: WriteResult,
): void {
  if (trace === undefined) return;
  for (const [index, outcome] of outcomes.entries()) {
    const { batch, trace: stage } = group[index]!;
    stage?.setBatchAttributes(verdictsOf(outcome));
    if (outcome.kind === "booked") stage?.deadLettered(batch, outcome.deadLabels ?? []);
  }
  if (commit !== undefined) trace.committed(commit);
  trace.end();
}

function verdictsOf(outcome: BatchOutcome): Record<string, number | boolean> {
  if (outcome.kind === "already_booked") return { "chowhound.already_booked": true };
  const counted = VERDICTS.filter((verdict) => outcome.verdicts[verdict] > 0);
  return Object.fromEntries(
    counted.map((verdict) => [`chowhound.verdict.${verdict}`, outcome.verdicts[verdict]]),
  );
}
