import type { StageTrace } from "@chowhound/shared/telemetry/stage-trace";
import type { WriteTrace } from "@chowhound/shared/telemetry/write-trace";
import type { BatchOutcome, WriteResult } from "./ingestion-writer.ts";
import { VERDICTS } from "./verdict.ts";

/** Tells a commit on the spans of its group, whose batches `stages` follow in their order, and ends the group's. */
export function traceCommit(
  trace: WriteTrace | undefined,
  stages: readonly (StageTrace | undefined)[],
  { outcomes, commit }: WriteResult,
): void {
  if (trace === undefined) return;
  for (const [index, outcome] of outcomes.entries()) stages[index]?.setBatchAttributes(verdictsOf(outcome));
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
